// Channels between real processes and Workers: who gets what, in which order, and what is left when
// one of them is killed.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { BufferPool, type Channel, type PoolOptions } from "../src/index.ts";
import { withPool } from "./processes.ts";
import { type Script, script, until } from "./scripts.ts";

const options: PoolOptions = { capacity: 32, bufferSize: 128 };

/** A process that has the pool open as `pool`, and the channel "test" as `channel`. */
function member(name: string, source: string, given = "{}"): Script {
  return script(
    `const pool = BufferPool.open(${JSON.stringify(name)});
    const channel = pool.channel("test", ${given});
    ${source}`,
  );
}

async function ends(...scripts: Script[]): Promise<void> {
  for (const each of scripts) expect(await each.ended).toBe(0);
}

function drain(channel: Channel): number[] {
  const sizes: number[] = [];
  for (let guard = channel.tryReceive(); guard !== null; guard = channel.tryReceive()) {
    sizes.push(guard.size);
    guard.release();
  }
  return sizes;
}

/** How a process receives all there is until the close. */
const receivers: Record<string, string> = {
  blocking: `(async function* () {
    while (true) {
      let guard;
      try { guard = channel.receiveBlocking({ timeout: 60_000 }); }
      catch (error) { if (error.code === "CHANNEL_CLOSED") return; throw error; }
      yield guard;
    }
  })()`,
  async: "channel",
};
const senders: Record<string, string> = {
  blocking: "channel.sendBlocking(guard, { timeout: 60_000 })",
  async: "await channel.sendAsync(guard, { timeout: 60_000 })",
};
const ways = ["blocking", "async"] as const;

describe.each(ways)("%s", (way) => {
  test("buffers go to another process and back, in order and in place", () =>
    withPool(options, async (pool, name) => {
      const echo = member(
        name,
        `const back = pool.channel("back");
        for await (const guard of ${receivers[way]}) {
          guard.bytes[0] += 1;
          back.send(guard);
        }
        say("over");`,
      );
      using channel = pool.channel("test");
      using back = pool.channel("back");
      for (let i = 0; i < 100; i++) {
        const guard = pool.acquire(i + 1);
        const { handle } = guard;
        guard.bytes[0] = i;
        channel.send(guard);
        using returned = await back.receive({ timeout: 60_000 });
        expect([returned.handle, returned.size, returned.bytes[0]]).toEqual([handle, i + 1, i + 1]);
      }
      channel.close();
      expect(await echo.line()).toBe("over");
      await ends(echo);
      expect(pool.stats().used).toBe(0);
    }));

  test(
    "4 producers and 4 consumers lose nothing, double nothing and keep each order",
    () =>
      withPool(options, async (pool, name) => {
        const [producers, consumers, count] = [4, 4, 5000];
        using channel = pool.channel("test", { capacity: 8 });
        const consuming = Array.from({ length: consumers }, () =>
          member(
            name,
            `say("ready");
          const seen = [];
          for await (using guard of ${receivers[way]}) seen.push(guard.view("uint32")[0]);
          say(seen);`,
          ),
        );
        for (const each of consuming) expect(await each.line()).toBe("ready");
        const producing = Array.from({ length: producers }, (_, producer) =>
          member(
            name,
            `for (let i = 0; i < ${count}; i++) {
            const guard = pool.acquireBlocking(4, { timeout: 60_000 });
            guard.view("uint32")[0] = ${producer * count} + i;
            ${senders[way]};
          }`,
            "{ subscribe: false }",
          ),
        );
        await ends(...producing);
        channel.close();
        const seen: number[][] = [];
        for (const each of consuming) seen.push(JSON.parse(await each.line()));
        await ends(...consuming);
        for (const own of seen) {
          for (let producer = 0; producer < producers; producer++) {
            const theirs = own.filter((each) => Math.floor(each / count) === producer);
            expect(theirs).toEqual(theirs.toSorted((a, b) => a - b));
          }
        }
        const all = seen.flat().sort((a, b) => a - b);
        expect(all).toEqual(Array.from({ length: producers * count }, (_, each) => each));
        expect(pool.stats().used).toBe(0);
        expect(channel.stats()).toMatchObject({ sent: 20_000, received: 20_000, queued: 0 });
      }),
    120_000,
  );

  test(
    "each of several processes sees all of a broadcast, in one order",
    () =>
      withPool(options, async (pool, name) => {
        using channel = pool.channel("test", {
          mode: "broadcast",
          capacity: 4,
          subscribe: false,
        });
        const readers = Array.from({ length: 3 }, () =>
          member(
            name,
            `say("ready");
          const seen = [];
          for await (using guard of ${receivers[way]}) seen.push(guard.view("uint32")[0]);
          say(seen);`,
          ),
        );
        for (const each of readers) expect(await each.line()).toBe("ready");
        const producing = [0, 1].map((producer) =>
          member(
            name,
            `for (let i = 0; i < 1000; i++) {
            const guard = pool.acquireBlocking(4, { timeout: 60_000 });
            guard.view("uint32")[0] = ${producer * 1000} + i;
            ${senders[way]};
          }`,
            "{ subscribe: false }",
          ),
        );
        await ends(...producing);
        channel.close();
        const seen: number[][] = [];
        for (const each of readers) seen.push(JSON.parse(await each.line()));
        expect(seen[0]?.toSorted((a, b) => a - b)).toEqual(
          Array.from({ length: 2000 }, (_, each) => each),
        );
        expect(seen[1]).toEqual(seen[0] as number[]);
        expect(seen[2]).toEqual(seen[0] as number[]);
        expect(pool.stats().used).toBe(0);
      }),
    120_000,
  );
});

test("a Worker sends and receives, and one that is terminated in a wait leaves nothing", () =>
  withPool(options, async (pool, name) => {
    using channel = pool.channel("test");
    using back = pool.channel("back");
    const index = JSON.stringify(join(import.meta.dir, "../src/index.ts"));
    for (const wait of [
      "await channel.receive()",
      "channel.receiveBlocking({ timeout: 60_000 })",
    ]) {
      const code = `
        const { BufferPool } = await import(${index});
        globalThis.pool = BufferPool.open(${JSON.stringify(name)});
        const [channel, back] = globalThis.kept = [pool.channel("test"), pool.channel("back")];
        back.closed.then(() => {});
        while (true) back.send(${wait});`;
      const worker = new Worker(URL.createObjectURL(new Blob([code])));
      for (let size = 0; size < 20; size++) {
        channel.send(pool.acquire(size));
        using returned = await back.receive({ timeout: 60_000 });
        expect(returned.size).toBe(size);
      }
      await until(() => channel.stats().waitingReceivers === 1);
      const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
      worker.terminate();
      await closed;
      await until(() => {
        pool.reclaim();
        return pool.stats().participants.length === 1;
      });
      expect(pool.stats()).toMatchObject({ used: 0 });
      expect(channel.stats()).toMatchObject({ waiters: 0, openBy: 1 });
    }
  }));

test("a process lives while it waits at a channel, and not for the sake of its close", () =>
  withPool(options, async (pool, name) => {
    using channel = pool.channel("test", { capacity: 1 });
    const idle = member(name, `channel.closed.then(() => say("closed")); say("idle");`);
    expect(await idle.line()).toBe("idle");
    await ends(idle);
    const receiving = member(
      name,
      `channel.closed.then(() => say("closed"));
      channel.receive().then(async (guard) => {
        say(guard.size);
        guard.release();
        await Bun.sleep(0);
        say("received");
      });
      say("waits");`,
    );
    expect(await receiving.line()).toBe("waits");
    await until(() => channel.stats().waitingReceivers === 1);
    await Bun.sleep(60);
    channel.send(pool.acquire(3));
    expect(await receiving.line()).toBe("3");
    await ends(receiving);
    channel.send(pool.acquire(1));
    const sending = member(
      name,
      `channel.sendAsync(pool.acquire(2)).then(() => say("sent")); say("waits");`,
    );
    expect(await sending.line()).toBe("waits");
    await until(() => channel.stats().waitingSenders === 1);
    await Bun.sleep(60);
    // What waits may be sent as soon as there is room.
    channel.tryReceive()?.release();
    expect(await sending.line()).toBe("sent");
    await ends(sending);
    expect(drain(channel)).toEqual([2]);
  }));

describe("when a process is killed,", () => {
  const killed = async (child: Script): Promise<void> => {
    child.kill("SIGKILL");
    await child.ended;
  };

  test(
    "a producer's last buffers come, its held ones come back, and others send on",
    () =>
      withPool(options, async (pool, name) => {
        using channel = pool.channel("test", { capacity: 4 });
        for (let round = 0; round < 5; round++) {
          const producer = member(
            name,
            `globalThis.held = pool.acquire(1);
          while (true) channel.sendBlocking(pool.acquireBlocking(1, { timeout: 60_000 }), { timeout: 60_000 });`,
          );
          for (let i = 0; i < 500; i++) (await channel.receive({ timeout: 60_000 })).release();
          await killed(producer);
          pool.reclaim();
          drain(channel);
          expect(pool.stats().used).toBe(0);
          channel.send(pool.acquire(9));
          expect(drain(channel)).toEqual([9]);
        }
      }),
    60_000,
  );

  test(
    "a consumer loses at most what it held, and others receive on",
    () =>
      withPool(options, async (pool, name) => {
        using channel = pool.channel("test", { capacity: 4 });
        for (let round = 0; round < 5; round++) {
          const consumer = member(
            name,
            `globalThis.held = channel.receiveBlocking({ timeout: 60_000 });
          say("holds");
          while (true) channel.receiveBlocking({ timeout: 60_000 }).release();`,
          );
          for (let i = 0; i < 500; i++) await channel.sendAsync(await pool.acquireAsync(1));
          expect(await consumer.line()).toBe("holds");
          await killed(consumer);
          pool.reclaim();
          const { used } = pool.stats();
          expect(used).toBe(channel.stats().queued);
          expect(drain(channel).length).toBe(used);
          channel.send(pool.acquire(9));
          expect(drain(channel)).toEqual([9]);
        }
      }),
    60_000,
  );

  test("a subscriber that holds the ring up no longer does", () =>
    withPool(options, async (pool, name) => {
      using channel = pool.channel("test", {
        mode: "broadcast",
        capacity: 2,
        subscribe: false,
      });
      const subscriber = member(
        name,
        `globalThis.held = channel.receiveBlocking({ timeout: 60_000 });
        say("holds");
        setInterval(() => {}, 1000);`,
      );
      await until(() => channel.stats().subscribers === 1);
      for (let size = 0; size < 3; size++) {
        await channel.sendAsync(pool.acquire(size), { timeout: 60_000 });
      }
      expect(await subscriber.line()).toBe("holds");
      const waiting = channel.sendAsync(pool.acquire(3), { timeout: 60_000 });
      await until(() => channel.stats().waitingSenders === 1);
      await killed(subscriber);
      await waiting;
      expect(channel.stats().subscribers).toBe(0);
      pool.reclaim();
      expect(pool.stats().used).toBe(0);
    }));

  test("and everybody with it, what was sent stays for those who come later", async () => {
    const name = `test.outlives.${process.pid}`;
    const producer = script(
      `const pool = BufferPool.create(${JSON.stringify(name)}, { capacity: 8, bufferSize: 64 });
      const channel = pool.channel("test");
      for (let i = 1; i <= 5; i++) {
        const guard = pool.acquire(i);
        guard.bytes.fill(i);
        channel.send(guard);
      }
      say("sent");
      setInterval(() => {}, 1000);`,
    );
    try {
      expect(await producer.line()).toBe("sent");
      await killed(producer);
      const reader = member(
        name,
        `say(pool.reclaim().participants);
        for (let i = 1; i <= 5; i++) { using guard = channel.tryReceive(); say([...guard.bytes].join("")); }
        say(pool.stats().used);`,
      );
      expect((await reader.rest()).slice(1)).toEqual(["1", "22", "333", "4444", "55555", "0"]);
      await ends(reader);
    } finally {
      BufferPool.unlink(name);
    }
  });
});

test("a channel that was left for as long as a lease lasts is removed, with what is in it", () =>
  withPool({ ...options, leaseTimeout: 50 }, async (pool, name) => {
    const producer = member(name, `channel.send(pool.acquire(1)); say("sent");`);
    expect(await producer.line()).toBe("sent");
    await ends(producer);
    expect(pool.stats().channels.length).toBe(1);
    await until(() => {
      pool.reclaim();
      return pool.stats().channels.length === 0;
    });
    expect(pool.stats().used).toBe(0);
  }));

test("10,000 opens, waits and disposals leave nothing", async () => {
  const child = script(
    `const { readdirSync, readFileSync } = require("node:fs");
    const pool = BufferPool.create("test.opens." + process.pid, { capacity: 4, bufferSize: 64, ephemeral: true });
    const had = () => ({
      descriptors: readdirSync("/proc/self/fd").length,
      channels: pool.stats().channels.length,
    });
    const memory = () => { Bun.gc(true); return Number(readFileSync("/proc/self/statm", "utf8").split(" ")[1]) * 4096; };
    const kept = pool.channel("kept", { mode: "broadcast" });
    const round = async (count, waits) => {
      for (let i = 0; i < count; i++) {
        using channel = pool.channel("kept");
        using other = pool.channel("other");
        other.send(pool.acquire(1));
        other.tryReceive().release();
        if (i % waits === 0) {
          channel.closed.catch(() => {});
          const wait = channel.receive();
          kept.send(pool.acquire(1));
          (await wait).release();
          kept.tryReceive().release();
        }
        if (i % 100 === 0) await Bun.sleep(0);
      }
      await Bun.sleep(100);
    };
    const threads = () => readdirSync("/proc/self/task").length;
    await round(500, 25);
    const [before, bytes, started] = [had(), memory(), threads()];
    await round(10_000, 25);
    say(before);
    say(had());
    say(memory() - bytes);
    say(threads() - started);`,
  );
  const [before = "", after = "", grown = "", started = ""] = await child.rest();
  await ends(child);
  expect(JSON.parse(before).descriptors).toBeGreaterThan(2);
  // A channel that is open keeps nothing for itself: its threads and sockets go with it.
  expect(JSON.parse(after)).toEqual(JSON.parse(before));
  // The engine starts some of its own when it likes; 400 waits had two each.
  expect(Number(started)).toBeLessThan(20);
  expect(Number(grown)).toBeLessThan(32 * 1024 * 1024);
}, 120_000);
