// The part of the benchmark suite that makes tables and plots of what programs answered.

import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { between, headline, performance } from "../bench/suite/document.ts";
import { apart, svg } from "../bench/suite/plot.ts";
import type { Answer, Question, Result, Row } from "../bench/suite/question.ts";
import { ask, parse } from "../bench/suite/rounds.ts";
import { figure, median, quantile, ratio, spread } from "../bench/suite/statistics.ts";
import { cells, markdownTable, terminalTable } from "../bench/suite/table.ts";
import { worse } from "../bench/suite/worse.ts";
import { documents, paths } from "../scripts/performance.ts";

const question: Question = {
  name: "example",
  title: 'What is "less" < "more"?',
  method: "",
  yardstick: "limit",
  panels: [
    {
      title: "One figure",
      unit: "ns",
      better: "less",
      scale: "log",
      columns: [{ key: "ns", label: "time" }],
    },
    {
      title: "Along an axis",
      unit: "µs",
      better: "less",
      scale: "log",
      axis: { label: "size", scale: "log", tick: (x) => `${x} B` },
      columns: [8, 64, 512].map((x) => ({ key: String(x), label: `${x} B`, x })),
    },
  ],
  rows: () => [],
};

const answers: Answer[] = [
  { name: "limit", kind: "yardstick", figures: { ns: [10, 20, 10] } },
  { name: "own", kind: "xmem", figures: { ns: [30, 40, 50], "8": [1], "64": [2], "512": [3] } },
  { name: "hidden", kind: "xmem", tableOnly: true, figures: { ns: [7] } },
  { name: "gone", kind: "peer", absent: "not installed", figures: {} },
];

const result: Result = {
  ...{ question: "example", at: "2026-01-02T03:04:05.000Z", rounds: 3, milliseconds: 1, answers },
  ...{ machine: { processor: "a processor", cores: "2" }, versions: {} },
};

/** A row whose program answers with what this script prints. */
function row(name: string, script: string, more: Partial<Row> = {}): Row {
  return { name, kind: "peer", command: [process.execPath, "-e", script], ...more };
}

test("a median is the middle figure, or the mean of the two in the middle", () => {
  expect(median([5, 1, 3])).toBe(3);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([])).toBeNaN();
  expect(spread([5, 1, 3])).toEqual({ median: 3, least: 1, most: 5 });
});

test("a quantile is one of the figures", () => {
  const figures = Array.from({ length: 100 }, (_, place) => 100 - place);
  expect(quantile(figures, 0.5)).toBe(50);
  expect(quantile(figures, 0.99)).toBe(99);
  expect(quantile(figures, 0.999)).toBe(100);
  expect(quantile(figures, 0)).toBe(1);
});

test("a ratio compares the figures of one round with each other", () => {
  // Everything was ten times slower in the second round: the ratio does not show it.
  expect(ratio([2, 20, 2], [1, 10, 1])).toBe(2);
  expect(ratio([2, 20], [1])).toBe(2);
});

test("figures have three significant digits and no powers of ten", () => {
  expect(figure(0.012_345)).toBe("0.0123");
  expect(figure(1.5)).toBe("1.50");
  expect(figure(99.96)).toBe("100");
  expect(figure(1_234_567)).toBe("1,230,000");
  expect(figure(0)).toBe("0");
  expect(figure(Number.NaN)).toBe("–");
});

test("a table has the spread beside each median, the ratio to the yardstick, and why a row is absent", () => {
  const [first, second] = question.panels;
  const { head, body } = cells(question, first!, answers);
  expect(head).toEqual(["ns, less is better", "time", "ratio"]);
  expect(body).toEqual([
    ["limit", "10.0 (10.0 – 20.0)", "1.00"],
    ["own", "40.0 (30.0 – 50.0)", "3.00"],
    ["hidden", "7.00 (7.00 – 7.00)", "0.700"],
    ["gone", "absent: not installed"],
  ]);
  // A row without any of a panel's figures is no row of it.
  expect(cells(question, second!, answers).body.map(([name]) => name)).toEqual(["own", "gone"]);
  expect(markdownTable(question, first!, answers)).toContain("| **own** | 40.0 (30.0 – 50.0) |");
  expect(terminalTable(question, result)).toContain("absent: not installed");
});

test("a plot is one XML document, with a style for light and dark, and leaves out what is only in the table", () => {
  const picture = svg(question, result);
  const tags: string[] = [];
  let unclosed = 0;
  new HTMLRewriter()
    .on("*", {
      element: (element) => {
        tags.push(element.tagName);
        if (element.selfClosing) return;
        unclosed++;
        element.onEndTag(() => {
          unclosed--;
        });
      },
    })
    .transform(picture);
  expect(unclosed).toBe(0);
  expect(tags[0]).toBe("svg");
  expect(tags.filter((tag) => tag === "svg")).toHaveLength(3);
  expect(picture).toContain("prefers-color-scheme: dark");
  expect(picture).toContain("What is &quot;less&quot; &lt; &quot;more&quot;?");
  expect(picture).toContain(">own<");
  expect(picture).toContain(">64 B<");
  expect(picture).not.toContain(">hidden<");
  expect(picture).not.toContain("NaN");
});

test("labels that would lie on each other are moved apart, and keep their order", () => {
  const moved = apart([100, 101, 20, 102], 10, 1000);
  expect(moved[2]).toBe(20);
  const [first = 0, second = 0, , third = 0] = moved;
  expect(second - first).toBeGreaterThan(9.9);
  expect(third - second).toBeGreaterThan(9.9);
  expect(apart([995, 1000], 10, 1000)[1]).toBeLessThanOrEqual(1000);
});

const behind: Result = {
  ...result,
  answers: [
    { name: "own", kind: "xmem", figures: { ns: [30, 40, 50], "8": [1], "64": [2] } },
    { name: "near", kind: "peer", figures: { ns: [35, 36, 37] } },
    { name: "ahead", kind: "peer", figures: { ns: [10, 10, 11], "8": [1], "64": [3] } },
    { name: "limit", kind: "yardstick", figures: { ns: [1, 1, 1] } },
  ],
};

test("every figure that is worse than a peer's is found, and whether the rounds overlap", () => {
  const found = worse(question, behind);
  const said = found.map(({ theirs, column, factor, sure }) => [theirs, column, factor, sure]);
  expect(said).toEqual([
    ["near", "time", 40 / 36, false],
    ["ahead", "time", 4, true],
  ]);
  const most = question.panels.map((panel) => ({ ...panel, better: "more" as const }));
  const other = worse({ ...question, panels: most }, behind);
  expect(other.map(({ theirs, column }) => [theirs, column])).toEqual([["ahead", "64 B"]]);
});

test("the page names the reason for each figure that is worse, and is not written without one", () => {
  const asked = [{ question, result: behind }];
  expect(() => performance(asked, [])).toThrow("does not say why **own**: ahead 4.00 x");
  const reason = {
    question: "example",
    ours: /own/,
    theirs: /ahead/,
    because: "It checks nothing.",
  };
  const page = performance(asked, [reason]);
  expect(page).toContain("- It checks nothing.\n  - **own**: ahead 4.00 x (One figure: time)");
  expect(page).toContain("the rounds overlap.\n  - **own**: near 1.11 x (One figure: time)");
  expect(page).toContain("| **own** | 40.0 (30.0 – 50.0) |");
  expect(page).toContain("](benchmarks/example.svg)");
  expect(() => performance(asked, [{ ...reason, question: "another" }])).toThrow(
    "does not say why",
  );
});

test("the README's figures replace only what is between the marks", () => {
  const text = "a\n<!-- figures: bun run bench --document -->\nold\n<!-- end of figures -->\nb";
  const replaced = between(text, "new");
  expect(replaced).toStartWith("a\n<!-- figures");
  expect(replaced).toContain("\n\nnew\n\n");
  expect(replaced).toEndWith("-->\nb");
  expect(replaced).not.toContain("old");
  expect(between(replaced, "new")).toBe(replaced);
  expect(() => between("no marks", "new")).toThrow();
});

test("the README's table has a line per question that was asked, and leaves open what was not measured", () => {
  expect(headline([])).toBe("");
  const own: Answer = { name: "xmem, C: bytes", kind: "xmem", figures: { ns: [3, 1, 2] } };
  const acquire = { ...question, name: "acquire" };
  const table = headline([{ question: acquire, result: { ...result, answers: [own] } }]).split(
    "\n",
  );
  expect(table[0]).toContain("| xmem, TypeScript | xmem, C |");
  expect(table[2]).toBe("| get a buffer and give it back | – | 2.00 ns | – | – | – | – |");
  expect(table[3]).toBe("");
  expect(table[4]).toContain("](docs/benchmarks/acquire.svg)");
});

test("docs/performance.md, and the figures of README and comparison, are those of the results in docs/benchmarks", () => {
  const wanted = documents();
  expect(readFileSync(paths.performance, "utf8")).toBe(wanted.performance);
  expect(readFileSync(paths.readme, "utf8")).toBe(wanted.readme);
  expect(readFileSync(paths.comparison, "utf8")).toBe(wanted.comparison);
});

test("only an object of finite numbers is an answer", () => {
  expect(parse('noise\n{"ns": 1.5}\n')).toEqual({ ns: 1.5 });
  for (const wrong of ["", "{}", "[]", "1", "null", '{"ns": "1"}', '{"ns": null}', "{"])
    expect(parse(wrong)).toBeUndefined();
});

test("every row answers once per round, each round begins with another one, and no row keeps half its figures", async () => {
  const folder = mkdtempSync(join(tmpdir(), "xmem-suite-"));
  const log = join(folder, "log");
  const note = (name: string, rest: string): string =>
    `require("fs").appendFileSync(${JSON.stringify(log)}, "${name}"); ${rest}`;
  const say = "console.log(JSON.stringify({ ns: Number(process.env.XMEM_BENCH_MS) }))";
  const failing = note(
    "c",
    `if (require("fs").statSync(${JSON.stringify(log)}).size > 3) throw 1; ${say}`,
  );
  const steps: string[] = [];
  try {
    const rows = [
      row("a", note("a", say)),
      row("b", note("b", say), { env: { XMEM_BENCH_MS: "5" } }),
      row("c", failing),
      row("d", note("d", say), { absent: "not here" }),
    ];
    const step = ({ name }: Row, round: number): void => void steps.push(`${name}${round}`);
    const found = await ask(rows, { rounds: 3, milliseconds: 2, step });
    expect(readFileSync(log, "utf8")).toBe("abcbcaab");
    expect(steps).toHaveLength(12);
    const [a, b, c, d] = found;
    expect(a?.figures).toEqual({ ns: [2, 2, 2] });
    expect(b?.figures).toEqual({ ns: [5, 5, 5] });
    expect(c?.figures).toEqual({});
    expect(c?.absent).toStartWith("failed with 1");
    expect(d).toEqual({ name: "d", kind: "peer", absent: "not here", figures: {} });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
