// How far an importer is stands in the pool: killed at any step of a send, its successor knows whether
// the buffer was sent.

import { beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { Ledger } from "../src/bridge/ledger.ts";
import type { BufferPool, Channel } from "../src/index.ts";
import { withPool } from "./processes.ts";
import { buildCrashLibrary, crashing, script } from "./scripts.ts";

const ledgerFile = JSON.stringify(join(import.meta.dir, "../src/bridge/ledger.ts"));
const key = "stream\0consumer";
const signal = new AbortController().signal;

beforeAll(buildCrashLibrary, 240_000);

async function taken(pool: BufferPool, channel: Channel, entries = 2): Promise<Ledger> {
  const ledger = await Ledger.take(pool, channel, { key, entries, signal });
  if (ledger === undefined) throw new Error("it was not taken");
  return ledger;
}

/** Sends the buffer with that number in the stream, as an importer does. */
function importOne(ledger: Ledger, pool: BufferPool, channel: Channel, sequence: number): void {
  const guard = pool.acquire(8);
  guard.meta.sequence = sequence;
  const imported = {
    sequence,
    handle: guard.handle,
    origin: { lane: "a.b", ordinal: sequence },
  };
  ledger.note(imported);
  expect(channel.send(guard)).toBe(true);
  ledger.sent(imported);
}

for (const redeliver of [false, true]) {
  const kind = redeliver ? "a channel that redelivers" : "a channel";
  test(
    `killed at any step of a send to ${kind}, an importer leaves it known whether it was sent`,
    () =>
      withPool({ capacity: 8, bufferSize: 4096 }, async (pool, name) => {
        using channel = pool.channel("into", { capacity: 3, redeliver });
        let sequence = 0;
        let wasKilled = true;
        const outcomes = new Set<boolean>();
        for (let step = 1; wasKilled && step < 100; step++) {
          sequence += 1;
          const killed = script(
            `const { Ledger } = await import(${ledgerFile});
          const pool = BufferPool.open("${name}");
          const channel = pool.channel("into");
          const ledger = await Ledger.take(pool, channel,
            { key: ${JSON.stringify(key)}, entries: 2, signal: new AbortController().signal });
          const guard = pool.acquire(8);
          guard.meta.sequence = ${sequence};
          const imported = { sequence: ${sequence}, handle: guard.handle,
            origin: { lane: "a.b", ordinal: ${sequence} } };
          ledger.note(imported);
          killAtStep(${step});
          channel.send(guard);
          killAtStep(0);
          say("past all steps");
          process.kill(process.pid, "SIGKILL");`,
            crashing,
          );
          const said = await killed.rest();
          expect(await killed.ended).toBe("SIGKILL");
          const received: number[] = [];
          const ledger = await taken(pool, channel);
          for (let guard = channel.tryReceive(); guard !== null; guard = channel.tryReceive()) {
            received.push(guard.meta.sequence);
            guard.release();
          }
          const wasSent = received.length > 0;
          outcomes.add(wasSent);
          expect(received).toEqual(wasSent ? [sequence] : []);
          expect({ step, position: ledger.position }).toEqual({
            step,
            position: wasSent ? sequence : sequence - 1,
          });
          expect(ledger.isKnown({ lane: "a.b", ordinal: sequence })).toBe(wasSent);
          // It goes on where it has to.
          if (!wasSent) importOne(ledger, pool, channel, sequence);
          channel.tryReceive()?.release();
          ledger.handOn();
          wasKilled = said.length === 0;
        }
        expect([...outcomes].sort()).toEqual([false, true]);
        expect(sequence).toBeGreaterThan(5);
        const ledger = await taken(pool, channel);
        expect(ledger.position).toBe(sequence);
        ledger.end();
        expect(pool.stats().used).toBe(0);
      }),
    120_000,
  );
}

test("what was sent and is not released is known to the next importer", () =>
  withPool({ capacity: 8, bufferSize: 4096 }, async (pool) => {
    using channel = pool.channel("into", { capacity: 8 });
    const first = await taken(pool, channel, 100);
    for (let sequence = 1; sequence <= 5; sequence++) importOne(first, pool, channel, sequence);
    const guards = Array.from({ length: 5 }, () => channel.receiveBlocking({ timeout: 0 }));
    guards[1]?.release();
    guards[3]?.release();
    first.handOn();
    const second = await taken(pool, channel, 100);
    expect(second.position).toBe(5);
    expect(second.outstanding().map(({ sequence }) => sequence)).toEqual([1, 3, 5]);
    for (const guard of guards) guard.release();
    expect(second.outstanding()).toEqual([]);
    second.end();
    // The next one begins anew: the server knows all.
    const third = await taken(pool, channel, 100);
    expect(third.position).toBe(0);
    third.end();
    expect(pool.stats().used).toBe(0);
  }));

test("an importer of a pool with small buffers remembers less, and one of tiny ones is refused", async () => {
  for (const [bufferSize, knows] of [
    [128, false],
    [1024, true],
  ] as const) {
    await withPool({ capacity: 8, bufferSize }, async (pool) => {
      using channel = pool.channel("into", { capacity: 4 });
      const ledger = await taken(pool, channel, 100);
      importOne(ledger, pool, channel, 7);
      expect(ledger.position).toBe(7);
      expect(ledger.isKnown({ lane: "a.b", ordinal: 7 })).toBe(knows);
      ledger.end();
    });
  }
  await withPool({ capacity: 8, bufferSize: 120 }, async (pool) => {
    using channel = pool.channel("into", { capacity: 4 });
    await expect(taken(pool, channel)).rejects.toThrow("no room for an importer's state");
  });
});
