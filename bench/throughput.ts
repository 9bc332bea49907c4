// How many frames go from one process to another in a second.

import { program } from "./suite/compile.ts";
import type { Question } from "./suite/question.ts";
import { ways } from "./suite/ways.ts";

export const throughput: Question = {
  name: "throughput",
  title: "How much video goes from one process to another?",
  method: `One process fills frames of 1920 x 1080 x 3 bytes, another one sums every word of them, and the
sum is checked; at most four frames are on their way. Filling and summing is the same machine code in every
row. The limits are memcpy, which copies frames in one process and does nothing else, and a ring in C that
copies nothing and checks nothing. Only the last three quarters of the frames count.`,
  panels: [
    {
      title: "Frames of 1080p, filled by one process and summed by another",
      unit: "GB/s",
      better: "more",
      scale: "linear",
      columns: [{ key: "gbps", label: "throughput" }],
    },
  ],
  yardstick: "ring in C, both spin",
  // A smoke test needs no more than a few, a figure some tenths of a second.
  rows: (context) => {
    const smoke = context.milliseconds < 10;
    const plain = [smoke ? "8" : "600"];
    return [
      {
        name: "memcpy, C",
        kind: "yardstick",
        command: [...program("throughput"), "memcpy", ...plain],
      },
      ...ways("throughput", context, { plain, copying: [smoke ? "8" : "120"] }),
    ];
  },
};
