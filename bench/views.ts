// What live views cost the rest of a program.

import { xmemRow } from "./suite/command.ts";
import type { Question, Row } from "./suite/question.ts";

const frame = 6 * 1024 * 1024;

const own = (name: string, kind: Row["kind"], ...argv: (string | number)[]): Row => ({
  ...{ ...xmemRow(name, "views", ...argv.map(String)), kind },
});

export const views: Question = {
  name: "views",
  title: "What do live views cost the rest of a program?",
  method: `A program parses a small JSON text again and again, which makes garbage. The engine collects it
more often, or less well, while it counts much memory behind live views as its own heap. "Released" means
that every buffer of a pool was touched and given back before, "held" that all are still held.`,
  panels: [
    {
      title: "One JSON.parse",
      unit: "ns",
      better: "less",
      scale: "linear",
      columns: [{ key: "ns", label: "one JSON.parse" }],
    },
  ],
  yardstick: "without a pool",
  rows: () => [
    own("without a pool", "yardstick", 0, 0, "released"),
    own("xmem: 64 buffers of 6 MiB, released", "xmem", 64, frame, "released"),
    own("xmem: 64 buffers of 6 MiB, held", "xmem", 64, frame, "held"),
    own("xmem: 4,096 buffers of 4 KiB, released", "xmem", 4096, 4096, "released"),
    own("xmem: 4,096 buffers of 4 KiB, held", "xmem", 4096, 4096, "held"),
    own("Uint8Array: 64 of 6 MiB, alive", "peer", 64, frame, "plain"),
    own("Uint8Array: 4,096 of 4 KiB, alive", "peer", 4096, 4096, "plain"),
  ],
};
