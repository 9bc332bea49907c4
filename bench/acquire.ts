// What it costs one thread to get a buffer and to give it back, while nobody else wants one.

import { python, xmemRow } from "./suite/command.ts";
import { program } from "./suite/compile.ts";
import type { Question } from "./suite/question.ts";

const ts = (name: string, way: string, tableOnly = false) => ({
  ...xmemRow(`xmem, TypeScript: ${name}`, "acquire", way),
  tableOnly,
});

export const acquire: Question = {
  name: "acquire",
  title: "What does it cost to get a buffer and to give it back?",
  method: `One thread gets a buffer of 4,096 bytes and gives it back, again and again, and nobody else
uses the pool. "Bytes" means that it also writes the first byte. The yardstick is a tagged pop and push of
a free list in C: one compare-and-swap each, and no check of anything. A peer does less or more than xmem
where its row says so: only xmem, iceoryx2 and Boost.Interprocess make buffers that other processes see.`,
  panels: [
    {
      title: "Getting a buffer and giving it back",
      unit: "ns",
      better: "less",
      scale: "log",
      columns: [{ key: "ns", label: "one buffer" }],
    },
  ],
  yardstick: "bare pop + push, C",
  rows: ({ peer }) => [
    { name: "bare pop + push, C", kind: "yardstick", command: [...program("acquire"), "pop-push"] },
    { name: "malloc + free, C", kind: "yardstick", command: [...program("acquire"), "heap"] },
    { name: "xmem, C", kind: "xmem", command: [...program("acquire"), "xmem"] },
    { name: "xmem, C: local_cache", kind: "xmem", command: [...program("acquire"), "xmem-cache"] },
    { name: "xmem, C: bytes", kind: "xmem", command: [...program("acquire"), "xmem-bytes"] },
    ts("bare", "bare"),
    ts("bare, localCache", "cache"),
    ts("bytes", "bytes"),
    ts("bytes, 64 sizes in turn", "64 sizes"),
    ts("bytes, sizes that hardly repeat", "any size"),
    ts('bytes, 1 KiB, views: "detach"', "detach 1024"),
    ts('bytes, 64 KiB, views: "detach"', "detach 65536"),
    ts("get + release", "get and release", true),
    ts("share + take + release", "share, take and release", true),
    { name: "xmem, Python: bare", kind: "xmem", ...python("xmem_pool", "acquire", "bare") },
    { name: "xmem, Python: bytes", kind: "xmem", ...python("xmem_pool", "acquire", "bytes") },
    { name: "iceoryx2, Rust: loan + drop", kind: "peer", ...peer("iceoryx2", "acquire") },
    { name: "GStreamer, C: GstBufferPool", kind: "peer", ...peer("gstreamer/pool.c", "acquire") },
    {
      name: "GStreamer, C: the same, mapped",
      kind: "peer",
      ...peer("gstreamer/pool.c", "acquire", "map"),
    },
    {
      name: "Boost.Interprocess, C++: allocate",
      kind: "peer",
      ...peer("boost/pool.cpp", "acquire"),
    },
    {
      name: "DPDK, C: rte_mempool, no cache",
      kind: "peer",
      ...peer("dpdk/pool.c", "acquire", "0"),
    },
    { name: "DPDK, C: rte_mempool, cache", kind: "peer", ...peer("dpdk/pool.c", "acquire", "32") },
    {
      name: "shm_open + mmap + unlink, C",
      kind: "peer",
      command: [...program("acquire"), "object"],
    },
  ],
};
