// What several processes do to each other that use one pool at the same time.

import { xmemRow } from "./suite/command.ts";
import { program } from "./suite/compile.ts";
import type { Question, Row } from "./suite/question.ts";

const counts = [1, 2, 4, 8];
const columns = (key: string) =>
  counts.map((count) => ({ key: `${key} ${count}`, label: String(count), x: count }));
const axis = { label: "processes at the same time", scale: "log", tick: String } as const;

export const contention: Question = {
  name: "contention",
  title: "What do processes do to each other that use one pool?",
  method: `Each process gets a buffer and gives it back, as often as it can, for the same time as all
others. More processes than cores take turns at them. The share is what the process that did least did,
in percent of what the one that did most did. The threads of GStreamer and DPDK share a pool that lies in
one process, and a publisher of iceoryx2 shares its buffers with nobody.`,
  panels: [
    {
      title: "Buffers got and given back, by all processes",
      unit: "million/s",
      better: "more",
      scale: "log",
      axis,
      columns: columns("ops"),
    },
    {
      title: "Fairness: the least share of the largest one",
      unit: "%",
      better: "more",
      scale: "linear",
      axis,
      columns: columns("share"),
    },
  ],
  rows: ({ milliseconds, peer }) => {
    // Long enough for turns at a core.
    const env = { XMEM_BENCH_MS: String(Math.max(50, milliseconds * 4)) };
    const c = (way: string): Pick<Row, "command" | "env"> => ({
      ...{ command: [...program("contend"), way], env },
    });
    return [
      { name: "bare pop + push, C", kind: "yardstick", ...c("bare") },
      { name: "xmem, C", kind: "xmem", ...c("xmem") },
      { name: "xmem, C, local_cache", kind: "xmem", ...c("xmem-cache") },
      { ...xmemRow("xmem, TypeScript", "contend"), env },
      {
        ...xmemRow("xmem, TypeScript, localCache", "contend"),
        env: { ...env, XMEM_BENCH_CACHE: "8" },
      },
      { name: "iceoryx2, Rust: loan + drop", kind: "peer", env, ...peer("iceoryx2", "contend") },
      { name: "Boost.Interprocess, C++", kind: "peer", env, ...peer("boost/pool.cpp", "contend") },
      {
        name: "GstBufferPool, threads, C",
        kind: "peer",
        env,
        ...peer("gstreamer/pool.c", "contend"),
      },
      { name: "rte_mempool, threads, C", kind: "peer", env, ...peer("dpdk/pool.c", "contend") },
    ];
  },
};
