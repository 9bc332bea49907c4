// The name of a message of a channel that redelivers, and what the bridge makes of it.

import { expect, test } from "bun:test";
import { Lanes, laneHead } from "../src/bridge/lanes.ts";
import { Namer, originOf } from "../src/bridge/names.ts";
import { BufferPool } from "../src/index.ts";
import { codeOf } from "./codes.ts";
import { withPool } from "./processes.ts";
import { script } from "./scripts.ts";

const redelivering = { capacity: 3, redeliver: true } as const;

test("a message has the same name at each delivery, and no other message has it", () =>
  withPool({ capacity: 4 }, async (pool, name) => {
    using jobs = pool.channel("jobs", redelivering);
    using others = pool.channel("others", redelivering);
    const seen = new Set<string>();
    for (let round = 0; round < 10; round++) {
      for (const channel of [jobs, others]) {
        channel.send(pool.acquire(1));
        using job = channel.receiveBlocking({ timeout: 0 });
        expect(job.messageId).toMatch(/^[0-9a-z]+\.[0-9a-z]+\.[0-9a-z]+$/);
        expect(job.messageId.length).toBeLessThan(64);
        seen.add(job.messageId);
        // The same buffer, sent once more, is another message.
        channel.send(job);
        using again = channel.receiveBlocking({ timeout: 0 });
        seen.add(again.messageId);
        using clone = again.clone();
        expect(clone.messageId).toBe("");
        again.release();
        expect(again.messageId).toBe("");
      }
    }
    expect(seen.size).toBe(40);
    jobs.send(pool.acquire(1));
    const victim = script(`
      const pool = BufferPool.open("${name}");
      const jobs = pool.channel("jobs");
      const job = jobs.receiveBlocking({ timeout: 1000 });
      say(job.messageId);
      await heard();
    `);
    const first = await victim.line();
    victim.kill("SIGKILL");
    await victim.ended;
    using job = jobs.receiveBlocking({ timeout: 1000 });
    expect(job.deliveries).toBe(2);
    expect(job.messageId).toBe(first);
  }));

test("a channel has the pool through which it was opened", () =>
  withPool({ capacity: 1 }, (pool, name) => {
    using other = BufferPool.open(name);
    expect(BufferPool.of(pool.channel("frames"))).toBe(pool);
    expect(BufferPool.of(other.channel("frames"))).toBe(other);
    for (const wrong of [null, {}, pool]) {
      expect(codeOf(() => BufferPool.of(wrong as never))).toBe("INVALID_ARGUMENT");
    }
  }));

test("buffers of a channel are counted through by their names, round after round", () =>
  withPool({ capacity: 4 }, (pool) => {
    using jobs = pool.channel("jobs", redelivering);
    const namer = new Namer(jobs);
    const lanes = new Set<string>();
    for (let ordinal = 0; ordinal < 20; ordinal++) {
      jobs.send(pool.acquire(1));
      using job = jobs.receiveBlocking({ timeout: 0 });
      const origin = originOf(namer.name(job));
      expect(origin?.ordinal).toBe(ordinal);
      lanes.add(origin?.lane ?? "");
      expect(originOf(`${namer.name(job)}+2`)).toEqual(origin);
    }
    expect(lanes.size).toBe(1);
    // A channel that does not redeliver names nothing: the exporter does.
    using plain = pool.channel("plain");
    const own = new Namer(plain);
    using guard = pool.acquire(1);
    expect([own.name(guard), own.name(guard)].map((each) => originOf(each)?.ordinal)).toEqual([
      1, 2,
    ]);
    for (const name of ["", "a", "a.b.c", "a.b.C.d", "a.b.c.d.e", "a.b..d"]) {
      expect(originOf(name)).toBeNull();
    }
  }));

test("doubles are told within a window, of the lanes that were used last", () => {
  const [count, words] = [3, 4];
  const state = new Float64Array(count * (laneHead + words));
  const lanes = new Lanes(state, count, words);
  const imported = new Set<number>();
  const one = (ordinal: number) => ({ lane: "one", ordinal });
  // Some are left out, and come later or never.
  for (let at = 0, used = 1; at < 1000; at++, used++) {
    if (at % 7 === 3) continue;
    lanes.add(one(at), used);
    imported.add(at);
    if (at % 7 === 6 && at % 2 === 0) {
      lanes.add(one(at - 3), used);
      imported.add(at - 3);
    }
    // What a kill interrupted is done once more.
    lanes.add(one(at), used);
    for (let back = 0; back < words * 32 && at - back >= 0; back++) {
      expect(lanes.has(one(at - back))).toBe(imported.has(at - back));
    }
    expect(lanes.has(one(at + 1))).toBe(false);
  }
  // A successor reads what was written.
  const next = new Lanes(state, count, words);
  expect(next.has(one(999))).toBe(true);
  for (const [used, lane] of ["two", "three", "four"].entries()) {
    next.add({ lane, ordinal: 5 }, 2000 + used);
    expect(next.has({ lane, ordinal: 5 })).toBe(true);
  }
  expect(next.has(one(999))).toBe(false);
  // A count that begins anew, as after its last round.
  next.add({ lane: "two", ordinal: 100_000 }, 3000);
  expect(next.has({ lane: "two", ordinal: 100_000 - 128 + 5 })).toBe(false);
  next.add({ lane: "two", ordinal: 1 }, 3001);
  expect(next.has({ lane: "two", ordinal: 1 })).toBe(true);
  expect(next.has({ lane: "two", ordinal: 2 })).toBe(false);
  // Where there is no room for a lane, nothing is known.
  const none = new Lanes(new Float64Array(0), 0, 0);
  none.add(one(1), 1);
  expect(none.has(one(1))).toBe(false);
});
