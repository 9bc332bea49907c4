// Channels that redeliver: what a receiver holds when it dies is received again.

import { describe, expect, test } from "bun:test";
import { BufferPool, type Channel, type ChannelOptions } from "../src/index.ts";
import { codeOf } from "./codes.ts";
import { withPool } from "./processes.ts";
import { type Script, script, until } from "./scripts.ts";

const options = { capacity: 32, bufferSize: 64 };
const jobs: ChannelOptions = { redeliver: true };

/** A process that has the pool open as `pool`, and the channel "jobs" as `channel`. */
function worker(name: string, source: string): Script {
  return script(
    `const pool = BufferPool.open(${JSON.stringify(name)});
    const channel = pool.channel("jobs");
    ${source}`,
  );
}

/** Receives so many and holds them until it is killed. */
function holder(name: string, count: number, way = "receiveBlocking"): Script {
  return worker(
    name,
    `const held = [];
    while (held.length < ${count}) held.push(await channel.${way}({ timeout: 60_000 }));
    say(JSON.stringify(held.map((guard) => [guard.size, guard.deliveries])));
    await new Promise(() => setInterval(() => {}, 1000));`,
  );
}

async function kill(victim: Script): Promise<void> {
  victim.kill("SIGKILL");
  await victim.ended;
}

/** Size and deliveries of all that can be received now; each is released. */
function drain(channel: Channel): [size: number, deliveries: number][] {
  const seen: [number, number][] = [];
  for (let guard = channel.tryReceive(); guard !== null; guard = channel.tryReceive()) {
    seen.push([guard.size, guard.deliveries]);
    guard.release();
  }
  return seen;
}

function send(pool: BufferPool, channel: Channel, ...sizes: number[]): void {
  for (const size of sizes) channel.send(pool.acquire(size));
}

for (const way of ["receiveBlocking", "receive"]) {
  test(`what a killed process held comes first, once more, to who waits in ${way}()`, () =>
    withPool(options, async (pool, name) => {
      using channel = pool.channel("jobs", jobs);
      send(pool, channel, 1, 2, 3, 4);
      const victim = holder(name, 3, way);
      expect(JSON.parse(await victim.line())).toEqual([
        [1, 1],
        [2, 1],
        [3, 1],
      ]);
      const heir = holder(name, 4, way);
      await until(() => channel.stats().queued === 0);
      await kill(victim);
      expect(JSON.parse(await heir.line())).toEqual([
        [4, 1],
        [1, 2],
        [2, 2],
        [3, 2],
      ]);
      send(pool, channel, 5);
      await kill(heir);
      pool.reclaim();
      expect(channel.stats()).toMatchObject({ queued: 5, redelivered: 7, dropped: 0 });
      expect(drain(channel)).toEqual([
        [1, 3],
        [2, 3],
        [3, 3],
        [4, 2],
        [5, 1],
      ]);
      expect(pool.stats().used).toBe(0);
    }));
}

test("a receiver that only tries gets what the dead had, before what is queued", () =>
  withPool(options, async (pool, name) => {
    using channel = pool.channel("jobs", jobs);
    send(pool, channel, 7);
    const victim = holder(name, 1);
    await victim.line();
    expect(channel.tryReceive()).toBeNull();
    send(pool, channel, 8, 9);
    await kill(victim);
    expect(drain(channel)).toEqual([
      [7, 2],
      [8, 1],
      [9, 1],
    ]);
  }));

describe("nothing comes back", () => {
  const ends: Record<string, string> = {
    "after release()": "guard.release(); say('done');",
    "after `using`": "{ using own = guard; } say('done');",
    "after handOff()": "guard.handOff(); say('done');",
    "after forget()": "guard.forget(); say('done');",
    "after it was sent on to a channel that does not redeliver":
      "pool.channel('plain').send(guard); say('done');",
    "after the pool was closed": "pool.close(); say('done');",
  };
  for (const [when, source] of Object.entries(ends)) {
    test(when, () =>
      withPool(options, async (pool, name) => {
        using channel = pool.channel("jobs", jobs);
        using plain = pool.channel("plain");
        send(pool, channel, 1);
        const victim = worker(
          name,
          `const guard = channel.receiveBlocking({ timeout: 60_000 });
          ${source}
          await new Promise(() => setInterval(() => {}, 1000));`,
        );
        expect(await victim.line()).toBe("done");
        await kill(victim);
        pool.reclaim();
        expect(drain(channel)).toEqual([]);
        expect(channel.stats().redelivered).toBe(0);
        plain.tryReceive()?.release();
      }),
    );
  }
});

test("a clone is no message: its release ends nothing, and its holder's death brings nothing", () =>
  withPool(options, async (pool, name) => {
    using channel = pool.channel("jobs", jobs);
    using other = pool.channel("other");
    send(pool, channel, 1);
    const victim = worker(
      name,
      `const guard = channel.receiveBlocking({ timeout: 60_000 });
      const clone = guard.clone();
      say(clone.deliveries);
      clone.release();
      pool.channel("other").send(guard.clone());
      say("sent");
      await new Promise(() => setInterval(() => {}, 1000));`,
    );
    expect(await victim.line()).toBe("0");
    expect(await victim.line()).toBe("sent");
    const holdsClone = script(
      `const pool = BufferPool.open(${JSON.stringify(name)});
      const clone = pool.channel("other").receiveBlocking({ timeout: 60_000 });
      say("held");
      await new Promise(() => setInterval(() => {}, 1000));`,
    );
    expect(await holdsClone.line()).toBe("held");
    await kill(holdsClone);
    pool.reclaim();
    expect(channel.tryReceive()).toBeNull();
    await kill(victim);
    expect(drain(channel)).toEqual([[1, 2]]);
    expect(other.stats().queued).toBe(0);
  }));

test("what was received too often goes to the dead letters", () =>
  withPool(options, async (pool, name) => {
    for (const redeliver of [false, true]) {
      const letters = `letters ${redeliver}`;
      using dead = pool.channel(letters, { redeliver });
      using channel = pool.channel("jobs", { ...jobs, maxDeliveries: 2, deadLetter: letters });
      send(pool, channel, 1);
      for (const deliveries of [1, 2]) {
        const victim = holder(name, 1);
        expect(JSON.parse(await victim.line())).toEqual([[1, deliveries]]);
        await kill(victim);
      }
      pool.reclaim();
      expect(drain(channel)).toEqual([]);
      expect(channel.stats()).toMatchObject({ redelivered: 1, dropped: 0 });
      expect(dead.stats().queued).toBe(1);
      expect(drain(dead)).toEqual([[1, redeliver ? 1 : 0]]);
      channel.close();
    }
    expect(pool.stats().used).toBe(0);
  }));

test("without a channel for them, dead letters are recycled and counted", () =>
  withPool(options, async (pool, name) => {
    for (const more of [{}, { deadLetter: "nowhere" }]) {
      using channel = pool.channel("jobs", { ...jobs, maxDeliveries: 1, ...more });
      send(pool, channel, 1);
      const victim = holder(name, 1);
      await victim.line();
      await kill(victim);
      pool.reclaim();
      expect(channel.stats()).toMatchObject({ queued: 0, redelivered: 0, dropped: 1 });
      expect(pool.stats().used).toBe(0);
      channel.close();
      channel[Symbol.dispose]();
      pool.reclaim();
    }
  }));

test("sent on to another channel that redelivers, it begins anew there", () =>
  withPool(options, async (pool, name) => {
    using channel = pool.channel("jobs", jobs);
    using second = pool.channel("second", jobs);
    send(pool, channel, 1);
    const first = holder(name, 1);
    await first.line();
    await kill(first);
    const victim = worker(
      name,
      `const guard = channel.receiveBlocking({ timeout: 60_000 });
      say(guard.deliveries);
      const second = pool.channel("second");
      second.send(guard);
      const again = second.tryReceive();
      say(again.deliveries);
      await new Promise(() => setInterval(() => {}, 1000));`,
    );
    expect(await victim.line()).toBe("2");
    expect(await victim.line()).toBe("1");
    await kill(victim);
    pool.reclaim();
    expect(drain(channel)).toEqual([]);
    expect(drain(second)).toEqual([[1, 2]]);
  }));

test("a worker that is terminated gives its job back", () =>
  withPool(options, async (pool, name) => {
    using channel = pool.channel("jobs", jobs);
    send(pool, channel, 1);
    const source = `
      import { BufferPool } from ${JSON.stringify(Bun.resolveSync("../src/index.ts", import.meta.dir))};
      const pool = BufferPool.open(${JSON.stringify(name)});
      globalThis.guard = pool.channel("jobs").receiveBlocking({ timeout: 60_000 });
      postMessage("held");`;
    const thread = new Worker(URL.createObjectURL(new Blob([source])));
    await new Promise((resolve) => thread.addEventListener("message", resolve, { once: true }));
    expect(channel.tryReceive()).toBeNull();
    thread.terminate();
    using back = await channel.receive({ timeout: 60_000 });
    expect([back.size, back.deliveries]).toEqual([1, 2]);
  }));

describe("within one thread", () => {
  test("a message is sent on, also through another open, and refused where it is one already", () =>
    withPool(options, (pool, name) => {
      using channel = pool.channel("jobs", { ...jobs, capacity: 1 });
      using again = BufferPool.open(name);
      using second = again.channel("second", { ...jobs, capacity: 1 });
      const guard = pool.acquire(1);
      using clone = guard.clone();
      expect(channel.send(guard)).toBe(true);
      // The message is in the channel: the clone is none.
      expect(codeOf(() => second.send(clone))).toBe("BUFFER_IN_USE");
      const received = channel.receiveBlocking({ timeout: 0 });
      expect([received.deliveries, clone.deliveries]).toEqual([1, 0]);
      for (const refused of [clone, received.clone()]) {
        expect(codeOf(() => second.trySend(refused))).toBe("BUFFER_IN_USE");
        refused.release();
      }
      send(pool, channel, 2);
      send(pool, second, 3);
      // A refused one stays what it is.
      for (const full of [channel, second]) {
        expect(codeOf(() => full.send(received))).toBe("CHANNEL_FULL");
        expect(full.trySend(received)).toBe(false);
        expect(codeOf(() => full.sendBlocking(received, { timeout: 1 }))).toBe("TIMEOUT");
      }
      expect(drain(channel)).toEqual([[2, 1]]);
      expect(drain(second)).toEqual([[3, 1]]);
      second.sendBlocking(received, { timeout: 0 });
      expect(codeOf(() => received.bytes)).toBe("RELEASED");
      expect(drain(second)).toEqual([[1, 1]]);
      expect(pool.stats().used).toBe(0);
    }));

  test("with views that are detached a message is sent and released like any other", () =>
    withPool(options, async (_, name) => {
      using pool = BufferPool.open(name, { views: "detach" });
      using channel = pool.channel("jobs", jobs);
      using second = pool.channel("second", jobs);
      using plain = pool.channel("plain");
      for (const way of ["send", "plain", "handOff", "release"]) {
        send(pool, channel, 8);
        const guard = await channel.receive();
        const { bytes } = guard;
        bytes.fill(7);
        if (way === "send") second.send(guard);
        else if (way === "plain") plain.send(guard);
        else if (way === "handOff") pool.take(guard.handOff()).release();
        else guard.release();
        expect(bytes.length).toBe(0);
        expect(drain(second)).toEqual(way === "send" ? [[8, 1]] : []);
        expect(drain(plain)).toEqual(way === "plain" ? [[8, 0]] : []);
        // The buffer can be a message again.
        send(pool, channel, 8);
        expect(drain(channel)).toEqual([[8, 1]]);
        expect(pool.stats().used).toBe(0);
      }
    }));

  test("a send and a receive that wait are served", () =>
    withPool(options, async (pool) => {
      using channel = pool.channel("jobs", { ...jobs, capacity: 1 });
      using second = pool.channel("second", jobs);
      send(pool, second, 5);
      const message = second.receiveBlocking({ timeout: 0 });
      send(pool, channel, 1);
      const sending = channel.sendAsync(message);
      expect(drain(channel)).toEqual([[1, 1]]);
      await sending;
      expect(drain(channel)).toEqual([[5, 1]]);
      const receiving = channel.receive();
      send(pool, channel, 6);
      using received = await receiving;
      expect([received.size, received.deliveries]).toEqual([6, 1]);
    }));

  test("a request comes back when who had it died, and another one replies", () =>
    withPool(options, async (pool, name) => {
      using channel = pool.channel("jobs", jobs);
      const replied = channel.request(pool.acquire(8), { timeout: 60_000 });
      const victim = holder(name, 1);
      await victim.line();
      await kill(victim);
      const heir = worker(
        name,
        `for await (using request of channel.requests()) {
          request.guard.bytes[0] = request.guard.deliveries;
          request.reply(request.guard);
        }`,
      );
      using reply = await replied;
      expect(reply.bytes[0]).toBe(2);
      channel.close();
      expect(await heir.ended).toBe(0);
    }));

  test("options are checked, and an existing channel has its own", () =>
    withPool(options, (pool) => {
      const refused: ChannelOptions[] = [
        { redeliver: true, mode: "broadcast" },
        { redeliver: 1 as never },
        { redeliver: true, maxDeliveries: 0 },
        { redeliver: true, maxDeliveries: 2 ** 32 },
        { redeliver: true, maxDeliveries: 1.5 },
        { redeliver: true, deadLetter: "" },
        { redeliver: true, deadLetter: 7 as never },
        { redeliver: true, deadLetter: "x".repeat(64) },
        { redeliver: true, deadLetter: "a" },
        { maxDeliveries: 3 },
        { deadLetter: "b" },
      ];
      for (const given of refused)
        expect(codeOf(() => pool.channel("a", given))).toBe("INVALID_ARGUMENT");
      using made = pool.channel("a", { ...jobs, maxDeliveries: 3, deadLetter: "b" });
      expect([made.redeliver, made.maxDeliveries]).toEqual([true, 3]);
      using plain = pool.channel("b");
      expect([plain.redeliver, plain.maxDeliveries]).toEqual([false, 0]);
      const others: [string, ChannelOptions][] = [
        ["a", { redeliver: false }],
        ["a", { maxDeliveries: 5 }],
        ["a", { deadLetter: "c" }],
        ["b", { redeliver: true }],
        ["b", { maxDeliveries: 5 }],
        ["b", { deadLetter: "a" }],
      ];
      for (const [channel, given] of others)
        expect(codeOf(() => pool.channel(channel, given))).toBe("OPTIONS_MISMATCH");
      for (const given of [{}, jobs, { maxDeliveries: 3 }, { deadLetter: "b" }])
        pool.channel("a", given)[Symbol.dispose]();
      using often = pool.channel("often", { ...jobs, maxDeliveries: 2 ** 32 - 1 });
      expect(often.maxDeliveries).toBe(2 ** 32 - 1);
      using standard = pool.channel("standard", jobs);
      expect(standard.maxDeliveries).toBe(5);
    }));
});

test(
  "each job is done at least once while 100 workers are killed",
  () =>
    withPool({ capacity: 64, bufferSize: 64 }, async (pool, name) => {
      let isKilling = true;
      let count = 0;
      using channel = pool.channel("jobs", { ...jobs, capacity: 8, maxDeliveries: 1000 });
      using results = pool.channel("results", { capacity: 8 });
      // It says what it has done, then that the job is done: dead in between, another does it again.
      const source = `const results = pool.channel("results");
      let isFirst = true;
      for await (const job of channel) {
        if (isFirst) say("working");
        isFirst = false;
        const result = pool.acquire(16);
        const said = new Int32Array(result.bytes.buffer, result.bytes.byteOffset, 2);
        said[0] = new Int32Array(job.bytes.buffer, job.bytes.byteOffset, 1)[0];
        said[1] = job.deliveries;
        await Bun.sleep(Math.random() * 2);
        await results.sendAsync(result);
        job.release();
      }`;
      const start = (): Script => worker(name, source);
      const workers = Array.from({ length: 4 }, start);
      const done = new Map<number, number>();
      const collect = (async () => {
        for await (const result of results) {
          const [job = -1, deliveries = 0] = new Int32Array(
            result.bytes.buffer,
            result.bytes.byteOffset,
            2,
          );
          result.release();
          done.set(job, (done.get(job) ?? 0) + 1);
          expect(deliveries).toBeGreaterThan(0);
        }
      })();
      const feed = (async () => {
        for (; isKilling; count++) {
          const guard = await pool.acquireAsync(16);
          new Int32Array(guard.bytes.buffer, guard.bytes.byteOffset, 1)[0] = count;
          await channel.sendAsync(guard);
        }
      })();
      for (let kills = 0; kills < 100; kills++) {
        const place = kills % workers.length;
        const victim = workers[place] as Script;
        // It says when it has its first job, and dies within the next few.
        await victim.line();
        await Bun.sleep(Math.random() * 5);
        victim.kill("SIGKILL");
        await victim.ended;
        workers[place] = start();
      }
      isKilling = false;
      await feed;
      await until(() => done.size === count);
      expect(channel.stats().redelivered).toBeGreaterThan(50);
      channel.close();
      for (const each of workers) expect(await each.ended).toBe(0);
      results.close();
      await collect;
      pool.reclaim();
      expect(pool.stats().used).toBe(0);
      expect(channel.stats()).toMatchObject({ queued: 0, dropped: 0, sent: count });
    }),
  60_000,
);
