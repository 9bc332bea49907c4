// Who has which buffer: seen from outside, by its own program, and at a close.

import { expect, test } from "bun:test";
import { BufferPool } from "../src/index.ts";
import { start, withPool } from "./processes.ts";
import { programFile } from "./program_files.ts";

test("each buffer in use is described from outside, wherever it is", () =>
  withPool({ capacity: 8, bufferSize: 64, participantName: "here" }, async (pool, name) => {
    using held = pool.acquire(10);
    held.meta.contentType = "text/plain";
    held.meta.producer = "a test";
    held.meta.sequence = 7;
    using _clone = held.clone();
    const flying = pool.acquire(11).handOff();
    pool.release(pool.acquire(12).handOff());
    pool.channel("queue").send(pool.acquire(13));
    const sent = pool.channel("redelivering", { redeliver: true });
    sent.send(pool.acquire(14));
    using received = sent.tryReceive();
    expect(received?.deliveries).toBe(1);
    const found = BufferPool.buffers(name);
    expect(found.map(({ state, size }) => [state, size])).toEqual([
      ["held", 10],
      ["in-flight", 11],
      ["parked", 12],
      ["queued", 13],
      ["held", 14],
    ]);
    const here = { pid: process.pid, name: "here", alive: true };
    expect(found[0]).toMatchObject({
      handle: held.handle,
      references: 2,
      inFlight: 0,
      contentType: "text/plain",
      producer: "a test",
      sequence: 7,
      handedOverBy: null,
      leaseEndsAt: null,
      holders: [{ ...here, holds: 2, traces: [] }],
    });
    expect(found[1]).toMatchObject({
      handle: flying,
      inFlight: 1,
      holders: [],
      handedOverBy: here,
    });
    const { handedOverAt, leaseEndsAt } = found[1] ?? {};
    // The clocks that say so are read to a tick, and the lease to 8 microseconds.
    expect(Number(leaseEndsAt) - Number(handedOverAt)).toBeWithin(29_990, 30_011);
    expect(found[2]?.handedOverBy).toMatchObject(here);
    expect(found[3]?.channels).toEqual(["queue"]);
    expect(found[4]).toMatchObject({ deliveries: 1, channels: [] });
  }));

test("the last of several who handed a buffer over is named, and nobody who has left", () =>
  withPool({ capacity: 2, bufferSize: 64, participantName: "first" }, async (pool, name) => {
    const handle = pool.acquire(1).handOff();
    const by = () => BufferPool.buffers(name)[0]?.handedOverBy;
    expect(by()?.name).toBe("first");
    const second = programFile(
      `const pool = BufferPool.open("${name}", { participantName: "second" });
      pool.take(${handle}).handOff();
      say("done");
      setInterval(() => pool.stats(), 1000);`,
    );
    await second.lineOf("done");
    expect(by()).toMatchObject({ name: "second", pid: second.pid });
    await second.end();
    pool.reclaim();
    expect(BufferPool.buffers(name)[0]?.state).toBe("in-flight");
    expect(by()).toBe(null);
  }));

test("a hold of a killed process is seen until a recovery", () =>
  withPool({ capacity: 2, bufferSize: 64 }, async (pool, name) => {
    const child = start(name, "hoard");
    expect(await child.line()).toBe("held 2");
    child.kill("SIGKILL");
    await child.exited;
    const found = BufferPool.buffers(name);
    expect(found.map(({ holders }) => holders[0]?.alive)).toEqual([false, false]);
    pool.reclaim();
    expect(BufferPool.buffers(name)).toEqual([]);
  }));

test("a large pool is described whole", () =>
  withPool({ capacity: 5000, bufferSize: 64 }, (pool, name) => {
    const guards = Array.from({ length: 3000 }, () => pool.acquire(1));
    const found = BufferPool.buffers(name);
    expect(found.map(({ index }) => index)).toEqual(Array.from({ length: 3000 }, (_, at) => at));
    expect(found.every(({ holders }) => holders[0]?.holds === 1)).toBe(true);
    expect(pool.outstanding().length).toBe(3000);
    for (const guard of guards) guard.release();
  }));

test("outstanding lists this object's guards, and those that are done no more", () =>
  withPool({ capacity: 8, bufferSize: 64 }, (pool, name) => {
    using other = BufferPool.open(name);
    using _others = other.acquire(1);
    const guard = pool.acquire(5);
    const clone = guard.clone();
    const entry = { index: guard.index, handle: guard.handle, size: 5, stack: [] };
    expect(pool.outstanding()).toMatchObject([entry, entry]);
    expect(pool.outstanding()[0]?.since).toBeInstanceOf(Date);
    clone.release();
    guard.handOff();
    expect(pool.outstanding()).toEqual([]);
    expect(other.outstanding().length).toBe(1);
    other.close();
    expect(() => other.outstanding()).toThrow(expect.objectContaining({ code: "POOL_CLOSED" }));
  }));

test("with XMEM_TRACE=1 each guard knows its line, and close reports those that are left", () =>
  withPool({ capacity: 8, bufferSize: 64 }, async (_pool, name) => {
    const child = programFile(
      `const pool = BufferPool.open("${name}");
      const kept = [pool.acquire(1), pool.acquire(2)];
      kept.push(kept[0].clone());
      pool.acquire(3).release();
      say(JSON.stringify(pool.outstanding().map(({ size, stack }) => [size, stack[0]])));
      pool.close();
      say(kept.length);
      setInterval(() => {}, 1000);`,
      { env: { XMEM_TRACE: "1" } },
    );
    const lines = JSON.parse(await child.line()) as [number, string][];
    expect(lines.map(([size, at]) => [size, /program\.ts:\d+/.exec(at)?.[0]])).toEqual([
      [1, "program.ts:3"],
      [2, "program.ts:3"],
      [1, "program.ts:4"],
    ]);
    expect(await child.line()).toBe("3");
    while (!child.complaints().includes("program.ts:4")) await Bun.sleep(5);
    expect(child.complaints()).toContain(`close() on pool "${name}" gave 3 buffers back`);
    await child.end();
  }));

test("a process of many traced holds is seen whole, and drops what it releases", () =>
  withPool({ capacity: 512, bufferSize: 64 }, async (_pool, name) => {
    const child = programFile(
      `const pool = BufferPool.open("${name}");
      let guards = [];
      const deep = (depth) => depth === 0 ? guards.push(pool.acquire(1)) : 1 + deep(depth - 1);
      for (let at = 0; at < 300; at++) deep(60);
      say("held");
      for (const guard of guards.splice(0, 200)) guard.release();
      say("released");
      setInterval(() => pool.stats(), 1000);
      Bun.sleepSync(60_000);
      guards.length;`,
      { env: { XMEM_TRACE: "1" } },
    );
    await child.lineOf("released");
    const found = BufferPool.buffers(name);
    expect(found.length).toBe(100);
    for (const { holders } of found) expect(holders[0]?.traces.length).toBe(1);
    expect(found[0]?.holders[0]?.traces[0]?.stack[0]).toContain("program.ts:4");
    await child.end();
  }));
