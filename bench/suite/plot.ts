// A result as a picture: an SVG that is readable on a light ground and on a dark one. A panel whose
// columns have a place on an axis becomes lines, another one a row of dots per answer, each with what
// it was between over the rounds.

import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import type { Answer, Kind, Panel, Question, Result } from "./question.ts";
import { figure, spread } from "./statistics.ts";

const width = 860;
const margins = { left: 262, right: 262 };
const rowHeight = 21;
const linesHeight = 380;

/** The text's colour is the page's; these are readable on both grounds, and apart for the colour-blind. */
const style = `
svg.benchmark { color: #1f2328; background: none; font: 12px system-ui, sans-serif; }
.benchmark .xmem { fill: #0969da; stroke: #0969da; }
.benchmark .peer { fill: #bc4c00; stroke: #bc4c00; }
.benchmark .yardstick { fill: #6e7781; stroke: #6e7781; }
.benchmark .line path { fill: none; }
.benchmark .label text, .benchmark text.label { stroke: none; }
.benchmark .title { font-weight: 600; font-size: 14px; fill: currentColor; }
.benchmark .legend { fill: currentColor; }
@media (prefers-color-scheme: dark) {
  svg.benchmark { color: #e6edf3; }
  .benchmark .xmem { fill: #58a6ff; stroke: #58a6ff; }
  .benchmark .peer { fill: #f0883e; stroke: #f0883e; }
  .benchmark .yardstick { fill: #9198a1; stroke: #9198a1; }
}`;

const kinds: Record<Kind, string> = {
  xmem: "xmem",
  peer: "others",
  yardstick: "limits of the hardware",
};

interface Point {
  name: string;
  kind: Kind;
  x: number;
  column: string;
  median: number;
  least: number;
  most: number;
}

function pointsOf(panel: Panel, answers: readonly Answer[]): Point[] {
  return answers
    .filter(({ tableOnly }) => tableOnly !== true)
    .flatMap(({ name, kind, figures }) =>
      panel.columns.flatMap(({ key, label, x = 0 }) => {
        const rounds = figures[key];
        return rounds === undefined ? [] : [{ name, kind, x, column: label, ...spread(rounds) }];
      }),
    );
}

/** Moves labels apart that would lie on each other, as little as that takes, keeping their order. */
export function apart(places: readonly number[], distance: number, most: number): number[] {
  const order = places
    .map((place, index) => ({ place, index }))
    .toSorted((a, b) => a.place - b.place);
  for (let turn = 0; turn < 200; turn++) {
    for (let at = 1; at < order.length; at++) {
      const [upper, lower] = [order[at - 1], order[at]];
      if (upper === undefined || lower === undefined) continue;
      const missing = distance - (lower.place - upper.place);
      if (missing <= 0.01) continue;
      upper.place -= missing / 2;
      lower.place += missing / 2;
    }
    const last = order.at(-1);
    if (last !== undefined && last.place > most) last.place = most;
  }
  const moved = [...places];
  for (const { place, index } of order) moved[index] = place;
  return moved;
}

type Drawn = { markup: string; height: number };

function inner(svg: { outerHTML: string; getAttribute: (name: string) => string | null }): Drawn {
  return { markup: svg.outerHTML, height: Number(svg.getAttribute("height")) };
}

const byKind = (kind: Kind, points: readonly Point[]): Point[] =>
  points.filter((point) => point.kind === kind);

const allKinds = Object.keys(kinds) as Kind[];

/** A figure without the zeros that only say how exact it is. */
const number = (value: number): string =>
  figure(value)
    .replace(/(\.\d*?)0+$/, "$1")
    .replace(/\.$/, "");

function dots(panel: Panel, points: readonly Point[], document: unknown): Drawn {
  const only = panel.columns.length === 1;
  const names = [...new Set(points.map(({ name }) => name))];
  const best = new Map<string, number>();
  for (const { name, median } of points) best.set(name, Math.min(best.get(name) ?? median, median));
  const sign = panel.better === "less" ? 1 : -1;
  names.sort((a, b) => sign * ((best.get(a) ?? 0) - (best.get(b) ?? 0)));
  const shared = { y: "name", ...(only ? {} : { fy: "column" }) };
  const largest = Math.max(...points.map(({ most }) => most));
  const fields = only ? 1 : panel.columns.length;
  const svg = Plot.plot({
    document,
    width,
    height: fields * (names.length * rowHeight + 26) + 46,
    marginLeft: margins.left,
    marginRight: only ? 150 : 230,
    marginTop: 30,
    x: {
      type: panel.scale,
      grid: true,
      label: `${panel.unit} (${panel.better} is better)`,
      labelAnchor: "right",
      labelArrow: "none",
      nice: panel.scale === "linear",
      ...(panel.scale === "linear" ? { domain: [0, largest] } : {}),
      ticks: 6,
      tickFormat: number,
    },
    y: { domain: names, label: null, tickSize: 0 },
    ...(only ? {} : { fy: { axis: null, domain: panel.columns.map(({ label }) => label) } }),
    marks: [
      // Beyond the figures beside the dots.
      ...(only ? [] : [Plot.axisFy({ anchor: "right", label: null, dx: 110 })]),
      ...allKinds.flatMap((kind) => {
        const own = byKind(kind, points);
        const one = { ...shared, className: kind };
        return [
          Plot.ruleY(own, { ...one, x1: "least", x2: "most", strokeWidth: 4, strokeOpacity: 0.35 }),
          Plot.dot(own, { ...one, x: "median", r: 4 }),
          Plot.text(own, {
            ...shared,
            x: "most",
            text: (point: Point) => number(point.median),
            dx: 8,
            textAnchor: "start",
            fill: "currentColor",
          }),
        ];
      }),
    ],
  } as Plot.PlotOptions);
  return inner(svg);
}

function lines(panel: Panel, points: readonly Point[], document: unknown): Drawn {
  const { axis } = panel;
  if (axis === undefined) throw new Error(`${panel.title}: columns on an axis, and no axis`);
  const places = [...new Set(points.map(({ x }) => x))].toSorted((a, b) => a - b);
  const options = {
    document,
    width,
    height: linesHeight,
    marginLeft: 64,
    marginRight: margins.right,
    marginTop: 30,
    marginBottom: 46,
    x: { type: axis.scale, axis: null },
    y: {
      type: panel.scale,
      grid: true,
      label: `${panel.unit} (${panel.better} is better)`,
      labelArrow: "none",
      tickFormat: number,
      ticks: 6,
      nice: true,
      ...(panel.scale === "linear" ? { zero: true } : {}),
    },
  };
  // As a format, a scale would leave labels of a logarithmic axis out.
  const text = (x: number): string => axis.tick(x);
  const { label } = axis;
  const below = { label, labelAnchor: "center", labelArrow: "none", text } as const;
  const marks: Plot.Markish[] = allKinds.flatMap((kind) => {
    const own = byKind(kind, points);
    return [
      Plot.line(own, {
        ...{ x: "x", y: "median", z: "name", strokeWidth: kind === "xmem" ? 2.2 : 1.4 },
        ...{ className: `line ${kind}`, strokeDasharray: kind === "yardstick" ? "5 3" : "none" },
      }),
      Plot.dot(own, { x: "x", y: "median", r: 2.5, className: kind }),
    ];
  });
  marks.push(Plot.axisX(places, below));
  const ends = [...new Set(points.map(({ name }) => name))].flatMap((name) => {
    const own = points.filter((point) => point.name === name).toSorted((a, b) => b.x - a.x);
    return own.slice(0, 1);
  });
  // The places of the labels are known only once the scale is: draw once to learn it.
  const scale = Plot.plot({ ...options, marks } as Plot.PlotOptions).scale("y");
  const bare = ends.map(({ median }) => scale?.apply(median) ?? 0);
  const moved = apart(bare, 14, linesHeight - 50);
  const last = places.at(-1);
  const labels = ends.map((end, place) =>
    Plot.text([{ ...end, x: last }], {
      ...{ x: "x", y: "median", text: () => end.name, textAnchor: "start", dx: 9 },
      ...{ dy: (moved[place] ?? 0) - (bare[place] ?? 0), className: `label ${end.kind}` },
    }),
  );
  return inner(Plot.plot({ ...options, marks: [...marks, ...labels] } as Plot.PlotOptions));
}

/** The whole picture, or nothing where no row of it has figures. */
export function svg(question: Question, result: Result): string {
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const parts: string[] = [];
  let top = 62;
  for (const panel of question.panels) {
    const points = pointsOf(panel, result.answers);
    if (points.length === 0) continue;
    const onAxis = panel.columns.length > 1 && panel.columns.every(({ x }) => x !== undefined);
    const { markup, height } = (onAxis ? lines : dots)(panel, points, document);
    const placed = markup.replace("<svg ", `<svg y="${top + 18}" `);
    parts.push(
      `<text class="title" x="8" y="${top + 12}">${Bun.escapeHTML(panel.title)}</text>`,
      placed,
    );
    top += height + 28;
  }
  const present = allKinds.filter((kind) => result.answers.some((answer) => answer.kind === kind));
  const legend = present.map(
    (kind, place) =>
      `<circle class="${kind}" cx="${14 + place * 150}" cy="40" r="4"/>` +
      `<text class="legend" x="${24 + place * 150}" y="44">${kinds[kind]}</text>`,
  );
  const { processor = "", cores = "" } = result.machine;
  const where = `${processor}, ${cores} cores; ${result.at.slice(0, 10)}; median of ${result.rounds}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="benchmark" width="${width}" height="${top + 20}"`,
    ` viewBox="0 0 ${width} ${top + 20}" role="img" aria-label="${Bun.escapeHTML(question.title)}">`,
    `<title>${Bun.escapeHTML(question.title)}</title>`,
    `<style>${style}</style>`,
    `<text class="title" x="8" y="20">${Bun.escapeHTML(question.title)}</text>`,
    ...legend,
    ...parts,
    `<text class="legend" x="${width - 8}" y="${top + 10}" text-anchor="end" font-size="11" opacity="0.75">`,
    `${Bun.escapeHTML(where)} rounds, bars from the least to the most</text>`,
    "</svg>\n",
  ].join("\n");
}
