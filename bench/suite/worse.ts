// Which figures of xmem are worse than a peer's. A limit of the hardware is no peer.

import type { Answer, Panel, Question, Result } from "./question.ts";
import { spread } from "./statistics.ts";

/** Why one row of xmem is behind a peer's, wherever it is. */
export interface Reason {
  question: string;
  ours: RegExp;
  theirs: RegExp;
  because: string;
}

export interface Worse {
  ours: string;
  theirs: string;
  panel: string;
  column: string;
  /** How many times as much, or as little. */
  factor: number;
  /** The rounds of the two do not overlap. */
  sure: boolean;
}

function compare(panel: Panel, ours: Answer, theirs: Answer): Worse[] {
  return panel.columns.flatMap(({ key, label }) => {
    const [own, other] = [ours.figures[key], theirs.figures[key]];
    if (own === undefined || other === undefined) return [];
    const [a, b] = [spread(own), spread(other)];
    const more = panel.better === "more";
    const factor = more ? b.median / a.median : a.median / b.median;
    if (!(factor > 1)) return [];
    const sure = more ? a.most < b.least : a.least > b.most;
    const what = { panel: panel.title, column: label };
    return [{ ours: ours.name, theirs: theirs.name, ...what, factor, sure }];
  });
}

export function worse(question: Question, { answers }: Result): Worse[] {
  const own = answers.filter(({ kind }) => kind === "xmem");
  const peers = answers.filter(({ kind }) => kind === "peer");
  return question.panels.flatMap((panel) =>
    own.flatMap((ours) => peers.flatMap((theirs) => compare(panel, ours, theirs))),
  );
}

export function reasonFor(
  reasons: readonly Reason[],
  question: string,
  { ours, theirs }: Worse,
): Reason | undefined {
  return reasons.find(
    (reason) =>
      reason.question === question && reason.ours.test(ours) && reason.theirs.test(theirs),
  );
}
