// Getting a buffer from a pool and giving it back, by one thread, in each of the ways that a program
// in TypeScript does it. The argument says which: each way runs in a process of its own, because a
// program that views buffers in several ways makes the engine keep slower code.

import { BufferPool } from "../../src/index.ts";
import { answer, nanoseconds } from "../suite/loop.ts";

const [way = ""] = process.argv.slice(2);
const pool = BufferPool.create(`bench.acquire.${process.pid}`, {
  capacity: 64,
  bufferSize: 65_536,
  ephemeral: true,
  ...(way.startsWith("detach") ? { views: "detach" } : {}),
  ...(way === "cache" ? { localCache: 32 } : {}),
});

function bare(count: number): void {
  for (let i = 0; i < count; i++) {
    using frame = pool.acquire(4096);
    if (frame.size !== 4096) throw new Error("wrong size");
  }
}

function touch(size: number): (count: number) => void {
  return (count) => {
    for (let i = 0; i < count; i++) {
      using frame = pool.acquire(size);
      frame.bytes[0] = i;
    }
  };
}

const ways: Record<string, () => (count: number) => void> = {
  bare: () => bare,
  cache: () => bare,
  bytes: () => touch(4096),
  "64 sizes": () => (count) => {
    for (let i = 0; i < count; i++) {
      using frame = pool.acquire(64 + (i & 63));
      frame.bytes[0] = i;
    }
  },
  "any size": () => (count) => {
    let size = 1;
    for (let i = 0; i < count; i++) {
      size = (size * 75) % 65_537;
      using frame = pool.acquire(size & 65_535);
      frame.bytes[0] = i;
    }
  },
  "detach 1024": () => touch(1024),
  "detach 65536": () => touch(65_536),
  "get and release": () => {
    const { handle } = pool.acquire(4096);
    return (count) => {
      for (let i = 0; i < count; i++) {
        using again = pool.get(handle);
        if (again.size !== 4096) throw new Error("wrong size");
      }
    };
  },
  "share, take and release": () => {
    const held = pool.acquire(4096);
    const { handle } = held;
    return (count) => {
      for (let i = 0; i < count; i++) {
        held.share();
        using taken = pool.take(handle);
        if (taken.size !== 4096) throw new Error("wrong size");
      }
    };
  },
};

const body = ways[way]?.();
if (body === undefined) throw new Error(`no way ${way}; there are ${Object.keys(ways).join(", ")}`);
// A view that is detached costs microseconds, all else some tens of nanoseconds.
answer({ ns: await nanoseconds(way.startsWith("detach") ? 1000 : 20_000, body) });
