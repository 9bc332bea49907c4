// A screen that is drawn again and again: the terminal's other page, keys without Enter, and whatever
// happens, the terminal as it was afterwards.

import { emitKeypressEvents } from "node:readline";
import ansi from "ansi-escapes";

export interface Size {
  columns: number;
  rows: number;
}

/** How a screen ended: a key, or a signal's number. */
export type End = { signal: number } | "quit";

const signals = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const;

export class Screen {
  readonly ended: Promise<End>;
  readonly #end: (how: End) => void;
  #open = true;
  readonly #handlers: [NodeJS.Signals, () => void][] = [];

  /** `key` is called with the name of each key, `resized` once the terminal has another size. */
  constructor(key: (name: string) => void, resized: () => void) {
    const { promise, resolve } = Promise.withResolvers<End>();
    this.ended = promise;
    this.#end = resolve;
    process.stdout.write(ansi.enterAlternativeScreen + ansi.cursorHide + ansi.clearScreen);
    process.on("exit", () => this.close());
    for (const [name, signal] of Object.entries(signals) as [NodeJS.Signals, number][]) {
      const handler = (): void => this.#end({ signal });
      process.on(name, handler);
      this.#handlers.push([name, handler]);
    }
    process.stdout.on("resize", resized);
    if (process.stdin.isTTY !== true) return;
    emitKeypressEvents(process.stdin);
    process.stdin.setRawMode(true);
    process.stdin.on(
      "keypress",
      (_, pressed: { name?: string; ctrl?: boolean; sequence?: string }) => {
        if (pressed.ctrl === true && pressed.name === "c") this.#end({ signal: signals.SIGINT });
        else if (pressed.name === "q" || pressed.name === "escape") this.#end("quit");
        else key(pressed.name ?? pressed.sequence ?? "");
      },
    );
    process.stdin.resume();
  }

  static size(): Size {
    const { columns, rows } = process.stdout;
    return { columns: columns || 80, rows: rows || 24 };
  }

  /** Each line over the one that stands there, so that nothing flickers. */
  draw(lines: readonly string[]): void {
    if (!this.#open) return;
    const { columns, rows } = Screen.size();
    const shown = lines.slice(0, rows).map((line) => Bun.sliceAnsi(line, 0, columns));
    const text = shown.map((line) => line + ansi.eraseEndLine).join("\r\n");
    process.stdout.write(ansi.cursorTo(0, 0) + text + ansi.eraseDown);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const [name, handler] of this.#handlers) process.off(name, handler);
    if (process.stdin.isTTY === true) {
      process.stdin.setRawMode(false);
      process.stdin.pause();
    }
    process.stdout.write(ansi.cursorShow + ansi.exitAlternativeScreen);
  }
}
