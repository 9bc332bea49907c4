// What a question of the suite is: rows, each of which is a program that answers in figures, and the
// panels in which the figures are shown.

/** What a row is measured as: the project itself, a limit of the hardware, or somebody else's. */
export type Kind = "xmem" | "yardstick" | "peer";

export interface Row {
  name: string;
  kind: Kind;
  /** Runs once per round. Its last line is an object: each key is a column's, each value a figure. */
  command: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** Why there is no such program here: then it is reported, and not run. */
  absent?: string;
  /** A row that is only in the table: a plot of everything would show nothing. */
  tableOnly?: boolean;
}

export interface Column {
  key: string;
  label: string;
  /** Where the column stands on the plot's axis; without it the plot has a field per column. */
  x?: number;
}

export interface Panel {
  title: string;
  unit: string;
  better: "less" | "more";
  scale: "log" | "linear";
  /** What `x` is. */
  axis?: { label: string; scale: "log" | "linear"; tick: (x: number) => string };
  columns: readonly Column[];
}

export interface Question {
  name: string;
  /** The question, as a sentence. */
  title: string;
  /** How it is measured, and what that does not say: plain paragraphs. */
  method: string;
  panels: readonly Panel[];
  /** The row by which the table divides the others, if that says anything. */
  yardstick?: string;
  rows: (context: Context) => Row[];
}

/** What the questions are given to make their rows of. */
export interface Context {
  /** How long a program is to measure for one figure. */
  milliseconds: number;
  /** The command of a program of a peer that `bench/peers/install.ts` made, or why there is none. */
  peer: (
    source: string,
    ...argv: string[]
  ) => { command: string[] } | { command: string[]; absent: string };
}

/** A question's row with what it answered. */
export interface Answer {
  name: string;
  kind: Kind;
  tableOnly?: boolean;
  /** Why there are no figures. */
  absent?: string;
  /** By column: one figure per round. */
  figures: Record<string, number[]>;
}

export interface Result {
  question: string;
  at: string;
  rounds: number;
  milliseconds: number;
  machine: Record<string, string>;
  versions: Record<string, string>;
  answers: Answer[];
}
