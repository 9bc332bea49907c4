// What a larger pool costs.

import { xmemRow } from "./suite/command.ts";
import { program } from "./suite/compile.ts";
import type { Panel, Question, Row } from "./suite/question.ts";

const capacities = [2 ** 4, 2 ** 8, 2 ** 12, 2 ** 16, 2 ** 20];
const label = (capacity: number): string => `2^${Math.log2(capacity)}`;
const axis = { label: "buffers in the pool", scale: "log", tick: label } as const;

const panel = (title: string, unit: string, prefix: string): Panel => ({
  ...{ title, unit, better: "less", scale: "log", axis },
  columns: capacities.map((x) => ({ key: `${prefix}${x}`, label: label(x), x })),
});

export const capacity: Question = {
  name: "capacity",
  title: "What does a larger pool cost?",
  method: `The programs are in C, and a thread of its own process opens and closes. A recovery is that of
one expired lease, with nobody dead. "Others wait" is the longest time that another process, which gets
buffers and gives them back without a pause, took for one of them meanwhile. The memory is what the
pool takes beside the data once every slot was used, for one participant.`,
  panels: [
    panel("One operation", "µs", ""),
    panel("Memory beside the data, per buffer", "bytes", "bytes "),
  ],
  rows: () => {
    const places = capacities.map(String);
    const scale = (name: string, operation: string): Row => ({
      ...{ name, kind: "xmem", command: [...program("scale"), "capacity", operation, ...places] },
    });
    return [
      scale("acquire + release", "acquire"),
      scale("create", "create"),
      scale("open", "open"),
      scale("close", "close"),
      scale("recovery", "recovery"),
      xmemRow("recovery: others wait", "recovery", ...places),
      scale("overhead", "overhead"),
    ];
  },
};
