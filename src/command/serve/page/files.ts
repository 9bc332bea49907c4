// The files of the page, which are part of the command: nothing is built, and nothing is read.

import style from "./page.css" with { type: "text" };
import page from "./page.html" with { type: "text" };
import script from "./page.js" with { type: "text" };

/** Blue, as the first participant of a map, on cells that are free. */
const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><g fill="#8893a3"><path
 d="M1 1h4v4H1zM11 1h4v4h-4zM6 6h4v4H6zM1 11h4v4H1zM6 11h4v4H6z"/></g><path fill="#3b7ddd"
 d="M6 1h4v4H6zM1 6h4v4H1zM11 6h4v4h-4zM11 11h4v4h-4z"/></svg>`;

// The types of Bun know only what an import of HTML is without the attribute.
const html = page as unknown as string;

/** By their path behind the token. */
export const files: Readonly<Record<string, { type: string; text: string }>> = {
  "": { type: "text/html; charset=utf-8", text: html },
  "page.css": { type: "text/css; charset=utf-8", text: style },
  "page.js": { type: "text/javascript; charset=utf-8", text: script },
  "icon.svg": { type: "image/svg+xml", text: icon },
};
