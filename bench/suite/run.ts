// Runs one question: all its rows, round by round, with a bar.

import cliProgress from "cli-progress";
import { peerProgram } from "../peers/install.ts";
import { machine, versions } from "./machine.ts";
import type { Question, Result } from "./question.ts";
import { ask } from "./rounds.ts";

export interface Length {
  rounds: number;
  milliseconds: number;
  /** Leaves out the peers that have to be installed. */
  withoutPeers: boolean;
}

export async function runQuestion(question: Question, length: Length): Promise<Result> {
  const { rounds, milliseconds, withoutPeers } = length;
  const peer = (source: string, ...argv: string[]) => {
    if (withoutPeers) return { command: [], absent: "left out of this run" };
    const found = peerProgram(source);
    return { ...found, command: [...found.command, ...argv] };
  };
  const rows = question.rows({ milliseconds, peer });
  const about = machine();
  // The bar is drawn only between rows, so that it takes no time from one.
  const bar = new cliProgress.SingleBar({
    format: `${question.name.padEnd(12)} {bar} {value}/{total} {row}`,
    ...{ fps: 1000, hideCursor: true, noTTYOutput: false, clearOnComplete: true },
  });
  bar.start(rows.length * rounds, 0, { row: "" });
  const answers = await ask(rows, {
    rounds,
    milliseconds,
    step: (row) => bar.increment(1, { row: row.name }),
  });
  bar.stop();
  return {
    ...{ question: question.name, at: new Date().toISOString(), rounds, milliseconds },
    ...{ machine: about, versions: versions(), answers },
  };
}
