// Numbers, times and tables as people read them.

import { styleText } from "node:util";
import prettyBytes from "pretty-bytes";
import prettyMs from "pretty-ms";

/** Whether the output is one that shows styles. */
function isStyled(): boolean {
  return (
    process.stdout.isTTY === true && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb"
  );
}

export function styled(style: "bold" | "dim" | "inverse" | "red" | "yellow", text: string): string {
  return isStyled() ? styleText(style, text, { validateStream: false }) : text;
}

export function bytes(count: number): string {
  return prettyBytes(count, { binary: true, maximumFractionDigits: count < 1024 ? 0 : 1 });
}

/** Rounded: nobody reads milliseconds of an hour. */
export function duration(milliseconds: number): string {
  const most = Math.max(0, milliseconds);
  return prettyMs(most < 1000 ? Math.round(most) : most, { unitCount: 2, secondsDecimalDigits: 1 });
}

export function count(amount: number, what: string): string {
  return `${amount} ${what}${amount === 1 ? "" : "s"}`;
}

/** Per second, as briefly as it stays useful. */
export function rate(perSecond: number): string {
  if (perSecond >= 1e6) return `${(perSecond / 1e6).toFixed(1)}M`;
  if (perSecond >= 1e4) return `${(perSecond / 1e3).toFixed(0)}k`;
  return perSecond >= 10 ? perSecond.toFixed(0) : perSecond.toFixed(1).replace(/\.0$/, "");
}

/** What another program wrote may hold anything: it must not move the cursor. */
export function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, "?");
}

export interface Column {
  title: string;
  /** Numbers end at the right. */
  right?: boolean;
}

/** Rows under their titles, in columns as wide as they have to be. */
export function table(columns: readonly Column[], rows: readonly string[][]): string[] {
  const widths = columns.map(({ title }, place) =>
    Math.max(title.length, ...rows.map((row) => Bun.stringWidth(row[place] ?? ""))),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, place) => {
        const gap = " ".repeat(Math.max(0, (widths[place] ?? 0) - Bun.stringWidth(cell)));
        return columns[place]?.right === true ? gap + cell : cell + gap;
      })
      .join("  ")
      .trimEnd();
  return [styled("bold", line(columns.map(({ title }) => title))), ...rows.map(line)];
}

const bars = [..."▁▂▃▄▅▆▇█"];

/** A bar for each share from 0 to 1. */
export function sparkline(shares: readonly number[]): string {
  const most = bars.length - 1;
  return shares
    .map((share) => bars[Math.round(Math.min(Math.max(share, 0), 1) * most)] ?? "")
    .join("");
}

export function json(value: unknown): string {
  return JSON.stringify(value, null, 2);
}
