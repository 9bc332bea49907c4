// Who is let in: whoever has the token, asks by a name of this machine, and only reads.

import { timingSafeEqual } from "node:crypto";

/** A page of another site may lead a name of its own here, and its browser would go along. */
const ownNames = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?$/i;

/** No request leaves the page's own server, and no text becomes markup or a script. */
const policy = [
  "default-src 'none'",
  ...["script-src", "style-src", "img-src", "connect-src"].map((what) => `${what} 'self'`),
  ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
  "require-trusted-types-for 'script'; trusted-types 'none'",
].join("; ");

export const headers: Readonly<Record<string, string>> = {
  "Cache-Control": "no-store",
  "Content-Security-Policy": policy,
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
};

export function plain(status: number, text: string, more: Record<string, string> = {}): Response {
  const type = { "Content-Type": "text/plain; charset=utf-8" };
  return new Response(`${text}\n`, { status, headers: { ...headers, ...type, ...more } });
}

/** It takes as long whatever is wrong with what was given. */
function isSame(given: string, token: string): boolean {
  const [one, other] = [given, token].map((text) => new Bun.CryptoHasher("sha256", text).digest());
  return timingSafeEqual(one as Buffer, other as Buffer);
}

/** The path behind the token, with the query; a response where the request is refused. */
export function admitted(request: Request, token: string): URL | Response {
  if (!ownNames.test(request.headers.get("host") ?? "")) {
    return plain(403, "This server answers to 127.0.0.1 and localhost only.");
  }
  // It has the given host, whose port may be none.
  const url = URL.parse(request.url);
  if (url === null) return plain(400, "This is not an address.");
  const [, given = "", ...path] = url.pathname.split("/");
  if (!isSame(given, token)) {
    return plain(403, "The address needs the token that `xmem serve` has printed.");
  }
  if (request.method !== "GET") return plain(405, "Only GET is allowed.", { Allow: "GET" });
  if (path.length === 0) return plain(302, "It is a folder.", { Location: `/${token}/` });
  url.pathname = path.join("/");
  return url;
}
