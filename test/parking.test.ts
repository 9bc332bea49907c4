// Channels that overflow: what their consumers do not take in time waits in a directory, or in a real S3,
// and comes back once, whole, and in order, whoever is killed and whatever fails meanwhile.

import { describe, expect, test } from "bun:test";
import { existsSync, renameSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BufferPool, type Channel } from "../src/index.ts";
import {
  directoryStore,
  Parking,
  type ParkingEvent,
  type ParkingOptions,
  type ParkingStore,
} from "../src/park/index.ts";
import { expectPrinted, programsOf } from "./pages.ts";
import { overflow } from "./park/overflow.ts";
import { place, receive, redelivering, segmentsOf, send } from "./park/places.ts";
import {
  bucketStore,
  FaultyProxy,
  failureOf,
  newFolder,
  newPool,
  s3,
  stores,
  theGateway,
  withGateway,
} from "./park/stores.ts";
import { script, unshare, until } from "./scripts.ts";

withGateway();

for (const [where, open] of Object.entries(stores)) {
  describe(`a channel that overflows to ${where}`, () => {
    test.each([false, true])(
      "keeps the order, and closes the outlet after the inlet, compressed %p",
      async (compress) => {
        using all = place();
        const { pool, inlet, outlet } = all;
        const store = open();
        const parking = Parking.start(inlet, outlet, { store, keep: 4, compress });
        await send(all, 0, 200);
        inlet.close();
        await until(() => parking.stats().parked > 180);
        const { segments, parkedBytes } = parking.stats();
        expect(segments).toBeGreaterThan(10);
        if (!compress) expect(parkedBytes).toBeGreaterThan(180_000);
        await receive(outlet, 0, 200);
        expect((await outlet[Symbol.asyncIterator]().next()).done).toBe(true);
        await parking.done;
        const stats = parking.stats();
        expect(stats).toMatchObject({ state: "ended", parked: 0, parkedBytes: 0, segments: 0 });
        expect(stats).toMatchObject({ waiting: 0, duplicates: 0, retries: 0, lastError: null });
        expect(stats.forwarded + stats.returned).toBe(200);
        expect(stats.stored).toBe(stats.returned);
        await until(async () => (await segmentsOf(store)).length === 0);
        expect(pool.stats().used).toBe(0);
      },
    );

    test("goes on after a Parking that was closed, with all that this one had", async () => {
      using all = place();
      const { inlet, outlet } = all;
      const store = open();
      const options: ParkingOptions = { store, keep: 4 };
      let sent = 0;
      for (let round = 0; round < 4; round++) {
        await using _parking = Parking.start(inlet, outlet, options);
        await send(all, sent, 30);
        sent += 30;
        await receive(outlet, round * 10, 10);
      }
      const parking = Parking.start(inlet, outlet, options);
      inlet.close();
      await receive(outlet, 40, 80);
      await parking.done;
      expect(all.pool.stats().used).toBe(0);
    });

    test("loses, doubles and reorders nothing when its processes are killed", async () => {
      const report = await overflow({
        ...{ messages: 3000, size: 2000, buffers: 64, seed: Date.now() % 1000, rest: 4 },
        ...{ kill: ["parking", "producer", "consumer"], pause: 150 },
        ...(where === "S3" && { env: theGateway().env }),
      });
      expect(report.received).toBe(3000);
      expect(report.kills["parking"]).toBeGreaterThan(2);
      expect(report.parkedMost).toBeGreaterThan(2000);
    });

    test("takes up under its name what an earlier pool left", async () => {
      const store = open();
      {
        using all = place();
        const parking = Parking.start(all.inlet, all.outlet, { store, keep: 2, name: "cold" });
        await send(all, 0, 50);
        await receive(all.outlet, 0, 10);
        // What is in the inlet goes with the pool, too.
        await until(() => all.inlet.stats().queued === 0);
        await parking.close();
      }
      // What stood in the outlet went with the pool, and an object may have begun before that.
      using all = place();
      const parking = Parking.start(all.inlet, all.outlet, { store, keep: 2, name: "cold" });
      await send(all, 50, 50);
      using first = await all.outlet.receive();
      const next = first.meta.sequence + 1;
      expect(next).toBeGreaterThan(10);
      expect(next).toBeLessThan(20);
      await receive(all.outlet, next, 20);
      await parking.close();
      const another = Parking.start(all.inlet, all.outlet, { store, keep: 2, name: "cold" });
      all.inlet.close();
      await receive(all.outlet, next + 20, 80 - next);
      await another.done;
    });
  });
}

const store = (): ParkingStore => directoryStore(newFolder());

test("survives deaths in and after each call of the store", async () => {
  const calls = ["write", "read", "remove"];
  const report = await overflow({
    ...{ messages: 45, size: 3000, buffers: 64, seed: Date.now() % 1000 },
    ...{ options: { keep: 3 }, fatal: calls.flatMap((call) => [`in ${call}`, `after ${call}`]) },
  });
  expect(report.received).toBe(45);
  expect(report.deaths).toBeGreaterThan(10);
});

test("a buffer that waits for too long is parked, and its memory is free", async () => {
  using all = place();
  const { pool, inlet, outlet } = all;
  await using parking = Parking.start(inlet, outlet, { store: store(), keep: 20, after: 50 });
  await send(all, 0, 10);
  await until(() => parking.stats().parked === 6);
  // Those of the outlet, the next one, which is read before it is asked for, and what tells that this
  // Parking works.
  await until(() => pool.stats().used === 6);
  await receive(outlet, 0, 10);
});

test("what waits is parked as soon as somebody waits for a buffer", async () => {
  using all = place(newPool({ capacity: 12 }));
  const { inlet, outlet } = all;
  const options = { store: store(), keep: 12, after: 1e9 };
  await using parking = Parking.start(inlet, outlet, options);
  await send(all, 0, 100);
  expect(parking.stats().stored).toBeGreaterThan(80);
  await receive(outlet, 0, 100);
});

test("a consumer that keeps up gets everything from memory", async () => {
  using all = place();
  await using parking = Parking.start(all.inlet, all.outlet, { store: store() });
  await Promise.all([send(all, 0, 500), receive(all.outlet, 0, 500)]);
  expect(parking.stats()).toMatchObject({ forwarded: 500, stored: 0, returned: 0 });
});

test("a second Parking waits, and goes on where the first one ended", async () => {
  using all = place();
  const options = { store: store(), keep: 2 };
  const first = Parking.start(all.inlet, all.outlet, options);
  await until(() => first.stats().state === "running");
  await using second = Parking.start(all.inlet, all.outlet, options);
  await send(all, 0, 30);
  expect(second.stats()).toMatchObject({ state: "standby", forwarded: 0, stored: 0 });
  await first.close();
  await receive(all.outlet, 0, 30);
  expect(second.stats()).toMatchObject({ state: "running", waiting: 0, parked: 0 });
});

test("a message that somebody else sends to the outlet ends it with an error", async () => {
  using all = place();
  const parking = Parking.start(all.inlet, all.outlet, { store: store(), keep: 2 });
  await until(() => parking.stats().state === "running");
  all.outlet.send(all.pool.acquire(1));
  await send(all, 0, 5);
  expect(await failureOf(parking.done)).toMatchObject({
    code: "INVALID_ARGUMENT",
    message: expect.stringContaining("somebody else sends"),
  });
  expect(parking.stats().state).toBe("failed");
});

test("what somebody removes from the store is missed, and the next one goes on behind it", async () => {
  const parked = store();
  const name = `park.removed.${process.pid}`;
  using pool = BufferPool.create(name, { capacity: 32, ephemeral: true });
  using all = place(pool);
  const options = { store: parked, keep: 2 };
  const events: string[] = [];
  {
    await using _parking = Parking.start(all.inlet, all.outlet, options);
    await send(all, 0, 40);
  }
  const [first = "", second = ""] = (await segmentsOf(parked)).sort();
  await parked.remove(first);
  const parking = Parking.start(all.inlet, all.outlet, options);
  parking.on(({ type }) => events.push(type));
  await receive(all.outlet, 0, 4);
  using after = await all.outlet.receive();
  expect(after.meta.sequence).toBe(Number(second.match(/(\d{16})-/)?.[1]));
  expect(events).toEqual(["missing"]);
  await receive(all.outlet, after.meta.sequence + 1, 39 - after.meta.sequence);
  await parking.close();
});

test("of two gaps in the store the second one costs nothing but its own messages", async () => {
  const parked = store();
  using all = place();
  // Four are in the outlet. The second gap is shorter than the segment behind it.
  let total = 0;
  for (const count of [10, 10, 3, 10, 10]) {
    await using _parking = Parking.start(all.inlet, all.outlet, { store: parked, keep: 16 });
    await send(all, total, count);
    await until(() => all.inlet.stats().queued === 0);
    total += count;
  }
  const keys = (await segmentsOf(parked)).sort();
  expect(keys.map((key) => key.split("-").at(-1))).toEqual(["6", "10", "3", "10", "10"]);
  const rangeOf = (key: string): number[] => {
    const [, first = "", count = ""] = /(\d{16})-(\d+)$/.exec(key) ?? [];
    return Array.from({ length: Number(count) }, (_, at) => Number(first) + at);
  };
  const gaps = [keys[0] as string, keys[2] as string];
  for (const key of gaps) await parked.remove(key);
  const missing = gaps.flatMap(rangeOf);
  const events: string[] = [];
  const parking = Parking.start(all.inlet, all.outlet, { store: parked, keep: 2 });
  parking.on(({ type }) => events.push(type));
  const wanted = Array.from({ length: total }, (_, at) => at).filter((at) => !missing.includes(at));
  const received: number[] = [];
  all.inlet.close();
  for await (using guard of all.outlet) received.push(guard.meta.sequence);
  expect(received).toEqual(wanted);
  expect(events).toEqual(["missing", "missing"]);
  await parking.done;
});

test("a channel that its program lets go of ends it with an error, and stays open for others", async () => {
  using all = place();
  const parked = store();
  const parking = Parking.start(all.inlet, all.outlet, { store: parked });
  await until(() => parking.stats().state === "running");
  all.inlet[Symbol.dispose]();
  expect(await failureOf(parking.done)).toMatchObject({
    code: "CHANNEL_CLOSED",
    message: expect.stringContaining("let go"),
  });
  all.outlet.send(all.pool.acquire(1));
});

test("a sweep removes what nobody will use, and nothing else", async () => {
  using all = place();
  const path = newFolder();
  const parked = directoryStore(path);
  async function* piece(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(1);
  }
  await using parking = Parking.start(all.inlet, all.outlet, { store: parked, keep: 2 });
  await send(all, 0, 30);
  await until(() => parking.stats().parked > 20);
  const own = (await segmentsOf(parked))[0] as string;
  const folder = own.slice(0, own.lastIndexOf("/") + 1);
  const old = [
    ".parking/pools/gone-abc/out/0000000000000000-5",
    ".parking/pools/gone-abc/out/alive",
    "half.1-2-abc.part",
  ];
  const young = [".parking/pools/other-abc/out/0000000000000000-5", "young.1-2-abc.part"];
  const others = ["frames/1", ".parking/names/cold/out/0000000000000000-5"];
  const delivered = `${folder}0000000000000000-1`;
  const partOf = (key: string): boolean => key.endsWith(".part");
  for (const key of [...old, ...young, ...others, delivered]) {
    if (partOf(key)) writeFileSync(join(path, key), "x");
    else await parked.write(key, piece());
  }
  for (const key of [...old, ...others]) {
    utimesSync(join(path, partOf(key) ? key : `${key}.parked`), 1000, 1000);
  }
  expect((await parking.sweep()).sort()).toEqual([...old, delivered].sort());
  expect(await parking.sweep({ olderThan: 3_600_000 })).toEqual([]);
  for (const key of [...others, young[0] as string]) {
    expect(await parked.read(key, 0, new Uint8Array(2))).toBe(1);
  }
  await receive(all.outlet, 0, 30);
});

test.each([".", "..", "a.parked", "b.part", "c/d %ü", "e\\f"])(
  "an outlet may have the name %p",
  async (name) => {
    using pool = newPool();
    const parked = store();
    const inlet = pool.channel("in", redelivering);
    const outlet = pool.channel(name, redelivering);
    {
      await using _parking = Parking.start(inlet, outlet, { store: parked, keep: 4 });
      await send({ pool, inlet }, 0, 20);
    }
    expect((await segmentsOf(parked)).length).toBeGreaterThan(0);
    await using _parking = Parking.start(inlet, outlet, { store: parked, keep: 4 });
    await receive(outlet, 0, 20);
  },
);

test("a directory that is gone is a failure, and not a store without anything in it", async () => {
  using all = place();
  const path = newFolder();
  const options = { store: directoryStore(path), keep: 4 };
  {
    await using _parking = Parking.start(all.inlet, all.outlet, options);
    await send(all, 0, 20);
  }
  renameSync(path, `${path}.away`);
  await using parking = Parking.start(all.inlet, all.outlet, options);
  await until(() => parking.stats().state === "failing");
  expect(existsSync(path)).toBe(false);
  renameSync(`${path}.away`, path);
  await receive(all.outlet, 0, 20);
});

test("a pool that is closed under it ends it with an error", async () => {
  using all = place();
  const parking = Parking.start(all.inlet, all.outlet, { store: store() });
  await until(() => parking.stats().state === "running");
  all.pool.close();
  expect(await failureOf(parking.done)).toMatchObject({ code: "POOL_CLOSED" });
});

test("arguments that are wrong are refused", () => {
  using all = place();
  using other = place();
  const { inlet, outlet, pool } = all;
  const broadcast = pool.channel("broadcast", { mode: "broadcast" });
  const dropping = pool.channel("dropping", { overflow: "drop-oldest" });
  const bad: [Channel, Channel, object][] = [
    [inlet, inlet, {}],
    [inlet, other.outlet, {}],
    [inlet, broadcast, {}],
    [dropping, outlet, {}],
    [{} as Channel, outlet, {}],
    [inlet, outlet, { keep: -1 }],
    [inlet, outlet, { keep: 33 }],
    [inlet, outlet, { after: 0.5 }],
    [inlet, outlet, { compress: "zstd" }],
    [inlet, outlet, { name: "../x" }],
    [inlet, outlet, { store: {} }],
    [inlet, outlet, { kept: 1 }],
    [inlet, outlet, { signal: 1 }],
  ];
  for (const [from, to, options] of bad) {
    expect(() => Parking.start(from, to, options)).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT" }),
    );
  }
});

test("a wrong option is named, with the one that was meant", () => {
  using all = place();
  const start = (options: object): unknown => Parking.start(all.inlet, all.outlet, options);
  expect(() => start({ kep: 1 })).toThrow('there is no option "kep"; did you mean "keep"?');
  expect(() => start({ name: "../x" })).toThrow('name is "../x"');
});

test("a listener that is no function is refused", async () => {
  using all = place();
  await using parking = Parking.start(all.inlet, all.outlet, { store: store() });
  expect(() => parking.on("failing" as never)).toThrow("listener is no function");
});

/** Waits until a sender has no room left. */
async function untilFull({ pool, inlet }: { pool: BufferPool; inlet: Channel }): Promise<number> {
  for (let sequence = 0, misses = 0; ; ) {
    using guard = pool.tryAcquire(1000 + sequence);
    if (guard === null) throw new Error("the pool was full before the inlet");
    guard.meta.sequence = sequence;
    guard.bytes.fill(sequence);
    if (inlet.trySend(guard)) {
      sequence += 1;
      misses = 0;
    } else if (misses++ > 60) return sequence;
    await Bun.sleep(5);
  }
}

if (s3 !== null) {
  test.each(["hangs", "says 503", "cuts off"] as const)(
    "while S3 %s the buffers stay in memory, producers wait, and consumers get what is there",
    async (fault) => {
      await using proxy = await FaultyProxy.start();
      using all = place(newPool({ capacity: 64 }));
      const { inlet, outlet } = all;
      const store = bucketStore({ endpoint: proxy.url, timeout: 200 });
      await using parking = Parking.start(inlet, outlet, { store, keep: 4 });
      await until(() => parking.stats().state === "running");
      const events: ParkingEvent[] = [];
      parking.on((event) => events.push(event));
      proxy.become(fault);
      const sent = await untilFull(all);
      // In both channels, and what waits between them.
      expect(sent).toBeLessThanOrEqual(4 + 4 + 2 * 5);
      await until(() => parking.stats().state === "failing" && parking.stats().retries > 1);
      expect(parking.stats()).toMatchObject({ stored: 0, parked: 0 });
      expect(parking.stats().lastError).toMatchObject({ code: "SYSTEM" });
      await receive(outlet, 0, sent);
      await send(all, sent, 8);
      proxy.become("none");
      await send(all, sent + 8, 100);
      await until(() => parking.stats().parked > 80);
      expect(parking.stats().state).toBe("running");
      await receive(outlet, sent, 108);
      expect(events[0]).toMatchObject({ type: "failing", error: { code: "SYSTEM" } });
      expect(events.at(-1)).toEqual({ type: "working" });
    },
  );

  test("what is parked comes back once S3 is there again", async () => {
    await using proxy = await FaultyProxy.start();
    using all = place();
    const store = bucketStore({ endpoint: proxy.url, timeout: 200 });
    await using parking = Parking.start(all.inlet, all.outlet, { store, keep: 4 });
    await send(all, 0, 100);
    await until(() => parking.stats().parked > 80);
    proxy.become("says 503");
    await receive(all.outlet, 0, 4);
    await until(() => parking.stats().state === "failing");
    proxy.become("none");
    await receive(all.outlet, 4, 96);
  });

  test("an S3 server that is killed and started again loses nothing", async () => {
    using all = place();
    const store = bucketStore({ timeout: 500 });
    await using parking = Parking.start(all.inlet, all.outlet, { store, keep: 4 });
    const sending = send(all, 0, 400);
    for (let round = 0; round < 3; round++) {
      await until(() => parking.stats().stored > round * 100 + 30);
      await theGateway().kill();
      await until(() => parking.stats().state === "failing");
      await theGateway().start();
    }
    await Promise.all([sending, receive(all.outlet, 0, 400)]);
  });
}

const mounts = unshare("--mount");
if (mounts !== null) {
  test("while the disk is full the buffers stay in memory, and go on when there is room", async () => {
    const path = newFolder();
    const moduleOf = (file: string): string =>
      JSON.stringify(join(import.meta.dir, "../src", file));
    const process = script(
      `const { mkdirSync } = require("node:fs");
      const { Parking, directoryStore } = await import(${moduleOf("park/index.ts")});
      const { BufferPool } = await import(${moduleOf("index.ts")});
      const path = ${JSON.stringify(path)};
      mkdirSync(path, { recursive: true });
      const mount = (...words) => Bun.spawnSync(["mount", ...words, path]).exitCode;
      console.log(mount("-t", "tmpfs", "-o", "size=200k,mode=700", "tmpfs"));
      using pool = BufferPool.create("park.full." + process.pid, { capacity: 64, ephemeral: true });
      const inlet = pool.channel("in", { capacity: 4, redeliver: true });
      const outlet = pool.channel("out", { capacity: 4, redeliver: true });
      const parking = Parking.start(inlet, outlet, { store: directoryStore(path), keep: 4 });
      let sent = 0;
      const sending = (async () => {
        for (; sent < 100; sent++) {
          const guard = await pool.acquireAsync(20_000);
          guard.meta.sequence = sent;
          await inlet.sendAsync(guard);
        }
      })();
      while (parking.stats().retries < 3) await Bun.sleep(5);
      console.log(parking.stats().lastError.cause.code, sent < 60);
      console.log(mount("-o", "remount,size=20m"));
      await sending;
      inlet.close();
      let wrong = 0;
      for (let sequence = 0; sequence < 100; sequence++) {
        using guard = await outlet.receive();
        if (guard.meta.sequence !== sequence || guard.size !== 20_000) wrong++;
      }
      await parking.done;
      console.log(wrong);`,
      { under: mounts },
    );
    const lines = await process.rest();
    expect(lines).toEqual(["0", "ENOSPC true", "0", "0"]);
  });
}

test("the programs of the page about parking print what it shows", async () => {
  const all = programsOf("docs/parking.md");
  expect(all.length).toBeGreaterThanOrEqual(2);
  for (const { example, output } of all) {
    const env = { XMEM_PARKING: newFolder(), S3_BUCKET: "", AWS_BUCKET: "" };
    await expectPrinted(example, output, { env });
    if (s3 !== null) await expectPrinted(example, output, { env: { ...theGateway().env } });
  }
});
