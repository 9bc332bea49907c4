// Asks every row once per round, so that whatever slows the machine down for a while slows all of
// them down. Each row is a process of its own each time: where code and data come to lie can cost a
// process a tenth for its whole life, and code that an engine compiled for one row must not serve
// another.

import type { Answer, Row } from "./question.ts";

/** Milliseconds that a program may take in all. */
const longest = 60_000;

export interface Rounds {
  rounds: number;
  milliseconds: number;
  /** Called after each row of each round. */
  step: (row: Row, round: number) => void;
}

export async function ask(rows: readonly Row[], how: Rounds): Promise<Answer[]> {
  const answers = rows.map(({ name, kind, absent, tableOnly }): Answer => {
    const extra = {
      ...(absent === undefined ? {} : { absent }),
      ...(tableOnly ? { tableOnly } : {}),
    };
    return { name, kind, ...extra, figures: {} };
  });
  for (let round = 0; round < how.rounds; round++) {
    // Each round begins with another row: none has always the same one before it.
    for (let place = 0; place < rows.length; place++) {
      const at = (place + round) % rows.length;
      const row = rows[at] as Row;
      const answer = answers[at] as Answer;
      if (answer.absent === undefined) {
        const said = await once(row, how.milliseconds);
        if (typeof said === "string") {
          answer.absent = said;
          answer.figures = {};
        } else record(answer, said);
      }
      how.step(row, round);
    }
  }
  return answers;
}

function record(answer: Answer, said: Record<string, number>): void {
  for (const [key, value] of Object.entries(said)) {
    answer.figures[key] ??= [];
    answer.figures[key].push(Number(value.toPrecision(5)));
  }
}

/** One answer, or why there is none. */
async function once(row: Row, milliseconds: number): Promise<Record<string, number> | string> {
  const child = Bun.spawn([...row.command], {
    env: { ...process.env, XMEM_BENCH_MS: String(milliseconds), ...row.env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: longest,
    killSignal: "SIGKILL",
  });
  const [out, errors] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (child.exitCode === 0) {
    const said = parse(out);
    if (said !== undefined) return said;
  }
  const last = `${errors}\n${out}`.trim().split("\n").slice(-3).join(" | ").slice(0, 300);
  return `failed with ${child.exitCode ?? child.signalCode}: ${last}`;
}

/** The object of numbers on the last line. */
export function parse(out: string): Record<string, number> | undefined {
  try {
    const said: unknown = JSON.parse(out.trim().split("\n").at(-1) ?? "");
    if (typeof said !== "object" || said === null) return undefined;
    const values = Object.values(said);
    const fine = values.length > 0 && values.every((value) => Number.isFinite(value));
    return fine ? (said as Record<string, number>) : undefined;
  } catch {
    return undefined;
  }
}
