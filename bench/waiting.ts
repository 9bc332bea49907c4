// How soon a waiter has what it waits for, and what waiting costs.

import { python, typescript, xmemRow } from "./suite/command.ts";
import { program } from "./suite/compile.ts";
import type { Context, Panel, Question, Row } from "./suite/question.ts";

const late = (title: string, key: string): Panel => ({
  title,
  unit: "µs",
  better: "less",
  scale: "log",
  columns: [
    { key: `${key} p50`, label: "median" },
    { key: `${key} most`, label: "most" },
  ],
});

function rows({ milliseconds, peer }: Context): Row[] {
  const count = String(Math.ceil(milliseconds * 15));
  const c = (name: string, kind: Row["kind"], way: string): Row => ({
    ...{ name, kind, command: [...program("wake"), way, count] },
  });
  const ts = (name: string, kind: Row["kind"], way: string): Row => ({
    ...{ name, kind, command: typescript("carry", "wake", way, count) },
  });
  return [
    c("futex, C", "yardstick", "futex"),
    c("spin, then futex, C", "yardstick", "spin-futex"),
    c("spin for ever, C", "yardstick", "ring"),
    c("xmem, C: channel, waiting", "xmem", "xmem-wait"),
    ts("xmem: channel, blocking", "xmem", "channel blocking"),
    ts("xmem: channel, async", "xmem", "channel async"),
    {
      name: "xmem, Python: channel, blocking",
      kind: "xmem",
      ...python("xmem_pool", "wake", count),
    },
    c("pipe, C", "peer", "pipe"),
    c("unix socket, C", "peer", "socket"),
    ts("Bun's IPC", "peer", "bytes"),
    ts("postMessage", "peer", "worker: bytes"),
    ts("SharedArrayBuffer, Atomics.wait", "peer", "worker: ring wait"),
    { name: "Python: Queue", kind: "peer", ...python("shared_memory", "wake", count) },
    { name: "GStreamer, C: shmsrc", kind: "peer", ...peer("gstreamer/shm.c", "wake", count) },
    xmemRow("xmem: acquireBlocking that times out", "timeouts", "blocking"),
    xmemRow("xmem: acquireAsync that times out", "timeouts", "async"),
    xmemRow("xmem: while waiters give up", "wait_race", "calm"),
    xmemRow("xmem: while waiters are killed", "wait_race", "kills"),
  ];
}

export const waiting: Question = {
  name: "waiting",
  title: "How soon does a waiter have its buffer, and what does waiting cost?",
  method: `One process sends a buffer with the time in it about every millisecond, so that the other one
sleeps by then, and the waiter says how old that time is when it has the buffer: one way, one wake-up. The
use of a core is that of the waiter's whole process, with its helpers, from the first buffer to the last.
The last three tables say how late a wait ends that nobody serves, how soon a released buffer is taken
while other waiters time out, abort or are killed at that very moment, and how soon a waiter has a buffer
whose holder was killed. Nothing else here is comparable to them: no peer has such waits.`,
  panels: [
    {
      title: "From the sending to the waiter",
      unit: "µs",
      better: "less",
      scale: "log",
      columns: [
        { key: "p50", label: "p50" },
        { key: "p99", label: "p99" },
        { key: "p99.9", label: "p99.9" },
      ],
    },
    {
      title: "Use of a core while waiting, one buffer a millisecond",
      unit: "%",
      better: "less",
      scale: "linear",
      columns: [{ key: "cpu", label: "core used" }],
    },
    late("How late a wait ends that nobody serves", "late"),
    late("From a release to the next holder, while others give up or are killed", "race"),
    late("From a holder's death to the next holder", "death"),
  ],
  rows,
};
