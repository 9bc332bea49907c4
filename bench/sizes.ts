// What a larger buffer costs.

import { program } from "./suite/compile.ts";
import type { Panel, Question } from "./suite/question.ts";
import { bytes } from "./suite/ways.ts";

const sizes = [1, 4096, 65_536, 2 ** 20, 2 ** 24, 2 ** 28, 2 ** 32 - 1];
/** More than a smoke test should take from a machine. */
const large = 2 ** 25;

const panel = (title: string, prefix: string): Panel => ({
  ...{ title, unit: "µs", better: "less", scale: "log" },
  axis: { label: "bytes of the buffer", scale: "log", tick: bytes },
  columns: sizes.map((x) => ({ key: `${prefix} ${x}`, label: bytes(x), x })),
});

export const sizesQuestion: Question = {
  name: "sizes",
  title: "What does a larger buffer cost?",
  method: `A pool of one buffer, in C. The first acquire of a buffer commits its memory, which the system
has to zero; every later one finds it there. The largest size is 4 GiB less one byte.`,
  panels: [panel("The first acquire", "first"), panel("Acquire + release after that", "again")],
  rows: ({ milliseconds }) => {
    const wanted = sizes.filter((size) => milliseconds >= 10 || size < large).map(String);
    return [
      { name: "xmem, C", kind: "xmem", command: [...program("scale"), "sizes", "both", ...wanted] },
    ];
  },
};
