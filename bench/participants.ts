// What more participants cost the others.

import { program } from "./suite/compile.ts";
import type { Question, Row } from "./suite/question.ts";

const counts = [1, 4, 16, 64, 256, 1024];

export const participants: Question = {
  name: "participants",
  title: "What do more participants cost the others?",
  method: `So many threads have a pool of 64 buffers open and sleep, while one of them, or for opening and
closing one more process, does an operation. A recovery is that of one expired lease, with nobody dead.`,
  panels: [
    {
      title: "One operation",
      unit: "µs",
      better: "less",
      scale: "log",
      axis: { label: "threads that have the pool open", scale: "log", tick: String },
      columns: counts.map((x) => ({ key: String(x), label: String(x), x })),
    },
  ],
  rows: () => {
    const along = [...program("scale"), "participants"];
    const scale = (name: string, operation: string): Row => ({
      ...{ name, kind: "xmem", command: [...along, operation, ...counts.map(String)] },
    });
    return [
      scale("acquire + release", "acquire"),
      scale("open", "open"),
      scale("close", "close"),
      scale("recovery", "recovery"),
    ];
  },
};
