// The ways to hand a buffer over that more than one question asks for: each program takes what is to
// be done, then the way, then what is measured.

import { python, typescript } from "./command.ts";
import { program } from "./compile.ts";
import type { Context, Row } from "./question.ts";

type Task = "hand-over" | "throughput";

const inC = (task: Task): string[] => program(task === "hand-over" ? "hand_over" : "throughput");

/** What is measured, where the way copies and where it does not. */
export interface Measured {
  plain: readonly string[];
  copying: readonly string[];
}

export function ways(task: Task, { peer }: Context, { plain, copying }: Measured): Row[] {
  const copies = (way: string): boolean => /^(worker: )?(bytes|pipe|socket)$/.test(way);
  const argv = (way: string): readonly string[] => (copies(way) ? copying : plain);
  const c = (name: string, kind: Row["kind"], way: string): Row => ({
    ...{ name, kind, command: [...inC(task), way, ...argv(way)] },
  });
  const ts = (name: string, kind: Row["kind"], way: string): Row => ({
    ...{ name, kind, command: typescript("carry", task, way, ...argv(way)) },
  });
  return [
    c("ring in C, both spin", "yardstick", "ring"),
    c("ring in C, futex", "yardstick", "futex"),
    c("xmem, C: channel, both spin", "xmem", "xmem"),
    c("xmem, C: channel, waiting", "xmem", "xmem-wait"),
    ts("xmem: channel, both spin", "xmem", "channel spin"),
    ts("xmem: channel, blocking", "xmem", "channel blocking"),
    ts("xmem: channel, async", "xmem", "channel async"),
    ts("xmem: handle by Bun's IPC", "xmem", "handle"),
    ts("xmem: handle by postMessage", "xmem", "worker: handle"),
    {
      name: "xmem, Python: channel, blocking",
      kind: "xmem",
      ...python("xmem_pool", task, ...plain),
    },
    ts("Bun's IPC, the bytes", "peer", "bytes"),
    ts("postMessage, cloned", "peer", "worker: bytes"),
    ts("postMessage, transferred", "peer", "worker: transfer"),
    ts("SharedArrayBuffer, both spin", "peer", "worker: ring spin"),
    ts("SharedArrayBuffer, Atomics.wait", "peer", "worker: ring wait"),
    c("pipe, C", "peer", "pipe"),
    c("unix socket, C", "peer", "socket"),
    { name: "iceoryx2, Rust, both spin", kind: "peer", ...peer("iceoryx2", task, ...plain) },
    {
      name: "GStreamer, C: shmsink, shmsrc",
      kind: "peer",
      ...peer("gstreamer/shm.c", task, ...plain),
    },
    {
      name: "Python: shared_memory, Queue",
      kind: "peer",
      ...python("shared_memory", task, ...plain),
    },
  ];
}

export const bytes = (size: number): string => {
  const units = ["B", "KiB", "MiB", "GiB"];
  const power = Math.min(3, Math.floor(Math.log2(size) / 10));
  return `${Number((size / 1024 ** power).toPrecision(3))} ${units[power]}`;
};
