// How long a buffer takes to another process or Worker and back.

import { program } from "./suite/compile.ts";
import type { Question } from "./suite/question.ts";
import { bytes, ways } from "./suite/ways.ts";

const sizes = [8, 1024, 65_536, 1024 ** 2, 1920 * 1080 * 3, 64 * 1024 ** 2];

export const handover: Question = {
  name: "handover",
  title: "How long does a buffer take to another process and back?",
  method: `One side gets a buffer, writes its first byte and hands it over; the other side reads that byte
and sends the buffer, or one like it, back. Nobody looks at the other bytes: a way that copies has copied
them all the same. The yardstick is a word in shared memory that two C programs pass each other by doing
nothing but looking. "Both spin" takes both cores for it; two processes that wait sleep in between, and a
round trip is then two wake-ups.`,
  panels: [
    {
      title: "Round trip by size of the buffer",
      unit: "µs",
      better: "less",
      scale: "log",
      axis: { label: "size of the buffer", scale: "log", tick: bytes },
      columns: sizes.map((size) => ({ key: String(size), label: bytes(size), x: size })),
    },
  ],
  yardstick: "a word in C, both spin",
  rows: (context) => [
    {
      name: "a word in C, both spin",
      kind: "yardstick",
      command: [...program("hand_over"), "spin", ...sizes.map(String)],
    },
    ...ways("hand-over", context, { plain: sizes.map(String), copying: sizes.map(String) }),
  ],
};
