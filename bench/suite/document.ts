// docs/performance.md and the README's figures, from the results in docs/benchmarks and nothing else.

import type { Question, Result } from "./question.ts";
import { figure, median } from "./statistics.ts";
import { markdownTable } from "./table.ts";
import { type Reason, reasonFor, type Worse, worse } from "./worse.ts";

export interface Asked {
  question: Question;
  result: Result;
}

const wide = 100;

/** Lines of at most a hundred characters. */
function wrapped(text: string): string {
  const lines = [""];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1) ?? "";
    if (last.length + word.length + 1 > wide) lines.push(word);
    else lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
  }
  return lines.join("\n");
}

const item = (text: string): string => wrapped(`- ${text}`).replaceAll("\n", "\n  ");

function listed(pairs: Record<string, string>): string {
  return Object.entries(pairs)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");
}

/** "2.1 x", or "1.2 to 3.4 x" of several columns. */
function times(factors: readonly number[]): string {
  const [least, most] = [Math.min(...factors), Math.max(...factors)];
  const said = [figure(least), figure(most)];
  return said[0] === said[1] ? `${said[0]} x` : `${said[0]} to ${said[1]} x`;
}

/** Where a row is behind a peer and how far; columns are named where they are not all of them. */
function pair(found: readonly Worse[], { panels }: Question): string {
  const all = panels.reduce((sum, { columns: { length } }) => sum + length, 0);
  const where = found.map(({ panel, column }) =>
    panels.length > 1 ? `${panel}: ${column}` : column,
  );
  const named = found.length < all && where.length <= 3 ? ` (${where.join(", ")})` : "";
  return `${found[0]?.theirs} ${times(found.map(({ factor }) => factor))}${named}`;
}

/** A line per row of xmem, with the peers that it is behind. */
function behind(all: readonly Worse[], question: Question): string[] {
  return [...Map.groupBy(all, ({ ours }) => ours)].map(([ours, found]) => {
    const peers = Map.groupBy(found, ({ theirs }) => theirs);
    const said = [...peers.values()].map((each) => pair(each, question));
    return `**${ours}**: ${said.join("; ")}`;
  });
}

function listing(why: string, found: readonly Worse[], question: Question): string[] {
  const rows = behind(found, question).map((row) => `  ${item(row).replaceAll("\n", "\n  ")}`);
  return [item(why), ...rows];
}

/** The figures that are worse than a peer's, each with its reason; throws where one has none. */
function worseSection({ question, result }: Asked, reasons: readonly Reason[]): string[] {
  const all = worse(question, result);
  if (all.length === 0) return [];
  const sure = all.filter((each) => each.sure);
  const reason = (each: Worse): Reason | undefined => reasonFor(reasons, question.name, each);
  const missing = sure.filter((each) => reason(each) === undefined);
  if (missing.length > 0) {
    const what = behind(missing, question).join("; ");
    throw new Error(`${question.name}: bench/reasons.ts does not say why ${what}`);
  }
  const byReason = Map.groupBy(sure, (each) => reason(each) as Reason);
  const unsure = all.filter((each) => !each.sure);
  return [
    "Behind a peer, by how many times:",
    "",
    ...[...byReason].flatMap(([{ because }, found]) => listing(because, found, question)),
    ...(unsure.length === 0
      ? []
      : listing("The medians are behind, but the rounds overlap.", unsure, question)),
    "",
  ];
}

function section(asked: Asked, reasons: readonly Reason[]): string[] {
  const { question, result } = asked;
  return [
    `## ${question.title}`,
    "",
    `![${question.title}](benchmarks/${question.name}.svg)`,
    "",
    ...question.method.split("\n\n").map(wrapped),
    "",
    ...question.panels.flatMap((panel) => [
      ...(question.panels.length > 1 ? [`### ${panel.title}`, ""] : []),
      markdownTable(question, panel, result.answers),
      "",
    ]),
    ...worseSection(asked, reasons),
    wrapped(
      `${result.rounds} rounds, ${result.at.slice(0, 10)}: ${listed(result.machine)}. ` +
        `Versions: ${listed(result.versions)}.`,
    ),
    "",
  ];
}

export function performance(all: readonly Asked[], reasons: readonly Reason[]): string {
  const head = `# Performance

<!-- Written by \`bun run bench --document\` from docs/benchmarks/*.json. Change bench/, and run it. -->

Each figure is the median of the rounds, with the least and the most in brackets. In a round every row
runs once, in a process of its own, so that what slows the machine down for a while slows all of them
down. Rows of xmem are bold. A ratio is that to the yardstick, the limit of the hardware, in the same
round. Compare rows of one table with each other, never with a figure from another machine: \`bun run
bench --peers\` measures all of it on yours. Where xmem is behind a peer, the list below the tables
says so, and why.
`;
  return `${head}\n${all.flatMap((asked) => section(asked, reasons)).join("\n")}`;
}

/** A line of the README's table: figures by question, column and rows. */
const headlines = [
  {
    what: "get a buffer and give it back",
    question: "acquire",
    column: "ns",
    rows: [
      "xmem, TypeScript: bytes",
      "xmem, C: bytes",
      undefined,
      undefined,
      "iceoryx2, Rust: loan + drop",
      "GStreamer, C: the same, mapped",
    ],
  },
  {
    what: "a 1080p frame to another process and back, both waiting",
    question: "handover",
    column: String(1920 * 1080 * 3),
    rows: [
      "xmem: channel, blocking",
      "xmem, C: channel, waiting",
      "Bun's IPC, the bytes",
      "postMessage, cloned",
      undefined,
      "GStreamer, C: shmsink, shmsrc",
    ],
  },
  {
    what: "the same, both spinning",
    question: "handover",
    column: String(1920 * 1080 * 3),
    rows: [
      "xmem: channel, both spin",
      "xmem, C: channel, both spin",
      undefined,
      undefined,
      "iceoryx2, Rust, both spin",
      undefined,
    ],
  },
  {
    what: "1080p frames, filled and summed",
    question: "throughput",
    column: "gbps",
    rows: [
      "xmem: channel, blocking",
      "xmem, C: channel, waiting",
      "Bun's IPC, the bytes",
      "postMessage, cloned",
      "iceoryx2, Rust, both spin",
      "GStreamer, C: shmsink, shmsrc",
    ],
  },
] as const;

const columns = [
  "xmem, TypeScript",
  "xmem, C",
  "Bun's IPC",
  "postMessage",
  "iceoryx2",
  "GStreamer",
];

/** What was not asked has no line; nothing was asked: nothing. */
export function headline(all: readonly Asked[]): string {
  const asked = (name: string): Asked | undefined =>
    all.find(({ question }) => question.name === name);
  const shown = asked("throughput") ?? asked("acquire");
  if (shown === undefined) return "";
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const body = headlines.flatMap(({ what, question: name, column, rows }) => {
    const found = asked(name);
    if (found === undefined) return [];
    const { question, result } = found;
    const panel = question.panels.find((each) => each.columns.some(({ key }) => key === column));
    const cells = rows.map((row) => {
      const rounds = result.answers.find((answer) => answer.name === row)?.figures[column];
      return rounds === undefined ? "–" : `${figure(median(rounds))} ${panel?.unit}`;
    });
    return [line([what, ...cells])];
  });
  const { question, result } = shown;
  const { processor, cores } = result.machine;
  return [
    line(["", ...columns]),
    line(["---", ...columns.map(() => "---:")]),
    ...body,
    "",
    `![${question.title}](docs/benchmarks/${question.name}.svg)`,
    "",
    wrapped(
      `Medians of ${result.rounds} rounds on one machine (${processor}, ${cores} cores), by ` +
        "`bun run bench`. [docs/performance.md](docs/performance.md) has all figures with their " +
        "spread, how they are measured, and where xmem is behind and why.",
    ),
  ].join("\n");
}

/** The columns of docs/comparison.md, and its rows: one that was not measured there has a dash. */
const compared = {
  columns: [
    { what: "1 KiB there and back", question: "handover", column: "1024" },
    { what: "a 1080p frame there and back", question: "handover", column: String(1920 * 1080 * 3) },
    { what: "1080p frames, filled and summed", question: "throughput", column: "gbps" },
  ],
  rows: [
    "xmem: channel, blocking",
    "xmem: channel, async",
    "xmem: channel, both spin",
    "xmem, C: channel, waiting",
    "xmem, C: channel, both spin",
    "xmem, Python: channel, blocking",
    "SharedArrayBuffer, both spin",
    "SharedArrayBuffer, Atomics.wait",
    "Bun's IPC, the bytes",
    "postMessage, cloned",
    "postMessage, transferred",
    "unix socket, C",
    "iceoryx2, Rust, both spin",
    "GStreamer, C: shmsink, shmsrc",
    "Python: shared_memory, Queue",
  ],
} as const;

/** The table of docs/comparison.md. */
export function comparison(all: readonly Asked[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const cell = (
    row: string,
    { question, column }: { question: string; column: string },
  ): string => {
    const found = all.find((each) => each.question.name === question);
    const rounds = found?.result.answers.find(({ name }) => name === row)?.figures[column];
    const panel = found?.question.panels.find((each) =>
      each.columns.some(({ key }) => key === column),
    );
    return rounds === undefined ? "–" : `${figure(median(rounds))} ${panel?.unit}`;
  };
  return [
    line(["", ...compared.columns.map(({ what }) => what)]),
    line(["---", ...compared.columns.map(() => "---:")]),
    ...compared.rows.map((row) => line([row, ...compared.columns.map((each) => cell(row, each))])),
  ].join("\n");
}

const marks = ["<!-- figures: bun run bench --document -->", "<!-- end of figures -->"] as const;

/** The text with what is between the marks replaced. */
export function between(text: string, what: string): string {
  const [start, end] = marks.map((mark) => text.indexOf(mark));
  if (start === undefined || end === undefined || start < 0 || end < start) {
    throw new Error(`the text has no ${marks.join(" ... ")}`);
  }
  return `${text.slice(0, start)}${marks[0]}\n\n${what}\n\n${text.slice(end)}`;
}
