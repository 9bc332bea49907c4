// What whole applications gain: a pipeline and a server, with their processor and memory.

import { typescript } from "./suite/command.ts";
import type { Panel, Question, Row } from "./suite/question.ts";

const panel = (title: string, unit: string, key: string): Panel => ({
  ...{ title, unit, better: "less", scale: "linear" },
  columns: [
    { key: `pipeline ${key}`, label: "pipeline" },
    { key: `server ${key}`, label: "server" },
  ],
});

export const applications: Question = {
  name: "applications",
  title: "What do whole applications gain?",
  method: `The pipeline has three stages: the first fills frames of 1920 x 1080 x 3 bytes, the second
changes every word, the third sums them; they are processes, or Workers where the buffers are transferred.
Bun's IPC joins only a parent and a child, so that there the frames go through the first stage again. The
server gets pictures of 1 MiB by HTTP, eight at a time, from a process that does not count; one of two
worker processes changes every word eight times, and the response has the result. "Alone" is a server that
does the work by itself. The time is that of the frames or requests, without the start of the processes;
processor and memory are those of all the application's processes from their start, and a page that several
processes map counts for each of them.`,
  panels: [
    panel("Time", "s", "seconds"),
    panel("Processor time", "s", "cpu seconds"),
    panel("Peak memory, added up over the processes", "MiB", "peak MiB"),
  ],
  rows: ({ milliseconds }) => {
    const small = milliseconds < 10;
    const both = (name: string, kind: Row["kind"], ...ways: [string, string][]): Row => ({
      name,
      kind,
      command: typescript(
        "applications",
        ...ways.flatMap(([what, by]) => {
          const count = what === "pipeline" ? (small ? 8 : 120) : small ? 16 : 400;
          return [what, by, String(count)];
        }),
      ),
    });
    return [
      both("xmem", "xmem", ["pipeline", "xmem"], ["server", "xmem"]),
      both("Bun's IPC, the bytes", "peer", ["pipeline", "ipc"], ["server", "ipc"]),
      both("Workers, transferred", "peer", ["pipeline", "transfer"]),
      both("alone, one process", "peer", ["server", "alone"]),
    ];
  },
};
