// Whatever ends a wait at a channel ends it at once, and not when the waiter looks for itself.

import { expect, test } from "bun:test";
import { join } from "node:path";
import type { BufferPool, Channel, ChannelOptions } from "../src/index.ts";
import { expectShort, isShort, now, rounds, seriesMax } from "./latency.ts";
import { withPool } from "./processes.ts";
import { script, until } from "./scripts.ts";

const native = JSON.stringify(join(import.meta.dir, "../src/native/native.ts"));

interface Way {
  /** What the other process waits for. */
  wait: string;
  given?: ChannelOptions;
  /** Before the wait. */
  prepare?(pool: BufferPool, channel: Channel): void;
  /** Whether the wait is counted at one of the channel's ends. */
  counted?: boolean;
  /** Ends the wait. */
  wake(pool: BufferPool, channel: Channel): void;
  /** How it ends. */
  code?: string;
}

const fill = (pool: BufferPool, channel: Channel): void => void channel.send(pool.acquire(1));
const empty = (_: BufferPool, channel: Channel): void => channel.tryReceive()?.release();
const close = (_: BufferPool, channel: Channel): void => channel.close();

const one: ChannelOptions = { capacity: 1 };
const broadcast: ChannelOptions = { mode: "broadcast", subscribe: false };
const received = "guard = await channel.receive()";
const receivedBlocking = "guard = channel.receiveBlocking({ timeout: 60_000 })";
const sent = "await channel.sendAsync(pool.acquire(2))";
const sentBlocking = "channel.sendBlocking(pool.acquire(2), { timeout: 60_000 })";

const ways: Record<string, Way> = {
  "a receive, by a send": { wait: received, wake: fill },
  "a blocking receive, by a send": { wait: receivedBlocking, wake: fill },
  "a subscriber's receive, by a send": { wait: received, given: broadcast, wake: fill },
  "a send, by a receive": { wait: sent, given: one, prepare: fill, wake: empty },
  "a blocking send, by a receive": {
    wait: sentBlocking,
    given: one,
    prepare: fill,
    wake: empty,
  },
  "a receive, by the close": { wait: received, wake: close, code: "CHANNEL_CLOSED" },
  "a blocking receive, by the close": {
    wait: receivedBlocking,
    wake: close,
    code: "CHANNEL_CLOSED",
  },
  "a subscriber's blocking receive, by the close": {
    wait: receivedBlocking,
    given: broadcast,
    wake: close,
    code: "CHANNEL_CLOSED",
  },
  "a send, by the close": {
    wait: sent,
    given: one,
    prepare: fill,
    wake: close,
    code: "CHANNEL_CLOSED",
  },
  "an iteration, by the close": { wait: "for await (using _ of channel);", wake: close },
  "a wait for the close": { wait: "await channel.closed", counted: false, wake: close },
  "a wait at two channels, by a send": {
    wait: "BufferPool.waitAny([pool.channel('never'), channel], { timeout: 60_000 })",
    wake: fill,
  },
};

test.each(Object.keys(ways))(
  "%s, ends at once",
  (what) =>
    withPool({ capacity: 64, bufferSize: 64, leaseTimeout: 0 }, async (pool, name) => {
      const way = ways[what] as Way;
      const child = script(
        `const { native } = await import(${native});
      const pool = BufferPool.open(${JSON.stringify(name)});
      for (let order = await heard(); order !== ""; order = await heard()) {
        using channel = pool.channel(order);
        let guard;
        say("waits");
        const code = await codeOfLater(async () => { ${way.wait}; });
        say({ code, at: native.xmem_bun_now() });
        guard?.release();
        await heard();
      }`,
      );
      let took: number[] = [];
      for (let round = 0; round < rounds * seriesMax; round++) {
        if (round % rounds === 0) {
          if (round > 0 && isShort(took)) break;
          took = [];
        }
        using channel = pool.channel(`round ${round}`, way.given);
        way.prepare?.(pool, channel);
        child.tell(`round ${round}`);
        expect(await child.line()).toBe("waits");
        if (way.counted !== false) await until(() => channel.stats().waiters === 1);
        // A waiter that is counted is about to fall asleep; one for the close is not counted.
        await Bun.sleep(way.counted === false ? 20 : 2);
        const from = now();
        way.wake(pool, channel);
        const { code, at } = JSON.parse(await child.line());
        expect(code).toBe(way.code ?? "none");
        took.push(at - from);
        channel.close();
        child.tell("on");
      }
      await child.rest();
      expect(await child.ended).toBe(0);
      expectShort(what, took);
    }),
  60_000,
);
