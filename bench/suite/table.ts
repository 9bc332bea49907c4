// A result as a table: for a terminal, and for a document.

import Table from "cli-table3";
import type { Answer, Panel, Question, Result } from "./question.ts";
import { figure, ratio, spread } from "./statistics.ts";

/** A figure with what it was between, over the rounds. */
export function cell(rounds: readonly number[] | undefined): string {
  if (rounds === undefined || rounds.length === 0) return "–";
  const { median, least, most } = spread(rounds);
  return `${figure(median)} (${figure(least)} – ${figure(most)})`;
}

/** The heading and the rows of a panel; an absent row says why. */
export function cells(
  question: Question,
  panel: Panel,
  answers: readonly Answer[],
): { head: string[]; body: string[][] } {
  const yardstick = answers.find(({ name }) => name === question.yardstick);
  // Beside many columns, ratios would only hide the figures.
  const few = panel.columns.length <= 2;
  const divides = few && panel.columns.some(({ key }) => yardstick?.figures[key] !== undefined);
  const head = [
    `${panel.unit}, ${panel.better} is better`,
    ...panel.columns.flatMap(({ label }) => (divides ? [label, "ratio"] : [label])),
  ];
  const body = answers.flatMap((answer) => {
    if (answer.absent !== undefined) return [[answer.name, `absent: ${answer.absent}`]];
    if (panel.columns.every(({ key }) => answer.figures[key] === undefined)) return [];
    const row = panel.columns.flatMap(({ key }) => {
      const rounds = answer.figures[key];
      const to = yardstick?.figures[key];
      if (!divides) return [cell(rounds)];
      const known = rounds !== undefined && to !== undefined;
      return [cell(rounds), known ? figure(ratio(rounds, to)) : "–"];
    });
    return [[answer.name, ...row]];
  });
  return { head, body };
}

export function terminalTable(question: Question, result: Result): string {
  return question.panels
    .map((panel) => {
      const { head, body } = cells(question, panel, result.answers);
      const table = new Table({ head, style: { head: [], border: [], compact: true } });
      for (const row of body) {
        const [name = "", why = ""] = row;
        const whole = row.length === 2 && head.length > 2;
        table.push(whole ? [name, { colSpan: head.length - 1, content: why }] : row);
      }
      return `${panel.title}\n${table.toString()}`;
    })
    .join("\n");
}

/** Markdown, with the rows of xmem in bold letters. */
export function markdownTable(
  question: Question,
  panel: Panel,
  answers: readonly Answer[],
): string {
  const { head, body } = cells(question, panel, answers);
  const own = new Set(answers.filter(({ kind }) => kind === "xmem").map(({ name }) => name));
  const line = (row: string[]): string => `| ${row.join(" | ")} |`;
  return [
    line(head),
    line(head.map((_, place) => (place === 0 ? "---" : "---:"))),
    ...body.map(([name = "", ...rest]) => line([own.has(name) ? `**${name}**` : name, ...rest])),
  ].join("\n");
}
