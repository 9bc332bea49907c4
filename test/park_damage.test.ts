// What a store damaged: each byte of an object counts, and nothing damaged comes back as a message.

import { describe, expect, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { BufferPool, Channel } from "../src/index.ts";
import {
  directoryStore,
  Parking,
  type ParkingEvent,
  type ParkingStore,
  park,
  unpark,
} from "../src/park/index.ts";
import { place, segmentsOf, send } from "./park/places.ts";
import { codeOf, failureOf, newFolder, newPool, stores, withGateway } from "./park/stores.ts";
import { script, until } from "./scripts.ts";

withGateway();

async function put(store: ParkingStore, key: string, bytes: Uint8Array): Promise<void> {
  await store.write(
    key,
    (async function* () {
      yield bytes;
    })(),
  );
}

async function bytesOf(store: ParkingStore, key: string): Promise<Uint8Array> {
  const [object] = await store.list(key);
  const bytes = new Uint8Array(object?.size ?? 0);
  await store.read(key, 0, bytes);
  return bytes;
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = (copy[at] ?? 0) ^ (1 << (at % 8));
  return copy;
}

/** An object under "k", of a buffer that compresses to about half. */
async function parked(pool: BufferPool, store: ParkingStore, compress: boolean) {
  using guard = pool.acquire(300);
  for (let at = 0; at < 300; at++) guard.bytes[at] = Math.imul(at, 2654435761) >>> 28;
  guard.meta.sequence = 7;
  await park(guard, { key: "k", store, compress });
  return bytesOf(store, "k");
}

const refused = ["DAMAGED", "INCOMPLETE"];

for (const [where, open] of Object.entries(stores)) {
  describe(`an object in ${where}`, () => {
    test.each([false, true])(
      "is refused whichever byte was flipped, and stays as it is, compressed %p",
      async (compress) => {
        using pool = newPool();
        const store = open();
        const whole = await parked(pool, store, compress);
        // In S3 some of each part: a try takes a while there.
        const head = whole.indexOf("}]}".charCodeAt(0));
        const places = Array.from(whole.keys()).filter(
          (at) =>
            where !== "S3" || at < 20 || at % 16 === 0 || at > whole.length - 12 || at === head,
        );
        const passed: number[] = [];
        for (const at of places) {
          const bytes = flipped(whole, at);
          await put(store, "k", bytes);
          if (!refused.includes(await codeOf(unpark(pool, "k", { store, remove: true })))) {
            passed.push(at);
          }
          if (at % 50 === 0) expect(await bytesOf(store, "k")).toEqual(bytes);
        }
        expect(passed).toEqual([]);
        expect(pool.stats().used).toBe(0);
        await put(store, "k", whole);
        using back = await unpark(pool, "k", { store });
        expect(back.meta.sequence).toBe(7);
      },
    );

    test.each([false, true])(
      "is refused wherever it ends too early, and where more follows, compressed %p",
      async (compress) => {
        using pool = newPool();
        const store = open();
        const whole = await parked(pool, store, compress);
        const step = where === "S3" ? 23 : 1;
        for (let length = 0; length < whole.length; length += step) {
          await put(store, "k", whole.subarray(0, length));
          expect([length, await codeOf(unpark(pool, "k", { store }))]).toEqual([
            length,
            "INCOMPLETE",
          ]);
        }
        for (const more of [new Uint8Array(1), whole, new Uint8Array(300_000)]) {
          await put(store, "k", Buffer.concat([whole, more]));
          expect(await codeOf(unpark(pool, "k", { store }))).toBe("DAMAGED");
        }
        expect(pool.stats().used).toBe(0);
      },
    );
  });
}

test.each([false, true])(
  "large objects are refused likewise, and where parts changed places, compressed %p",
  async (compress) => {
    using pool = newPool({ bufferSize: 4 << 20 });
    const store = directoryStore(newFolder());
    {
      using guard = pool.acquire(4 << 20);
      const words = guard.view("uint32");
      for (let at = 0; at < words.length; at++) words[at] = Math.imul(at, 2654435761);
      await park(guard, { key: "k", store, compress });
    }
    const whole = await bytesOf(store, "k");
    for (const at of [100, 300_000, 1 << 20, whole.length >> 1, whole.length - 1]) {
      await put(store, "k", flipped(whole, at));
      expect([at, await codeOf(unpark(pool, "k", { store }))]).toEqual([at, "DAMAGED"]);
    }
    const moved = whole.slice();
    moved.copyWithin(1 << 20, 2 << 20, (2 << 20) + 4096);
    await put(store, "k", moved);
    expect(await codeOf(unpark(pool, "k", { store }))).toBe("DAMAGED");
  },
);

test("somebody who writes to a buffer while it is parked makes no damaged object", async () => {
  using pool = newPool({ bufferSize: 8 << 20 });
  const store = directoryStore(newFolder());
  using guard = pool.acquire(8 << 20);
  let isOver = false;
  const slow: ParkingStore = {
    ...{ name: "slow", list: (key) => store.list(key), remove: (key) => store.remove(key) },
    ...{ read: (...all) => store.read(...all), sweep: (before) => store.sweep(before) },
    write: (key, pieces) =>
      store.write(
        key,
        (async function* () {
          for await (const piece of pieces) {
            guard.bytes.fill(Math.random() * 256);
            yield piece;
          }
          isOver = true;
        })(),
      ),
  };
  await park(guard, { key: "k", store: slow });
  expect(isOver).toBe(true);
  (await unpark(pool, "k", { store })).release();
});

/** An object whose checksums are right, made by somebody who means harm. */
function crafted(head: object, frame: Uint8Array): Uint8Array {
  const text = Buffer.from(JSON.stringify(head));
  const words = (...values: number[]): Buffer => Buffer.from(new Uint32Array(values).buffer);
  const start = Buffer.concat([Buffer.from("xmempark"), words(2, text.length)]);
  const prefix = Buffer.concat([start, words(crc32(start))]);
  const sum = crc32(text, crc32(prefix));
  const length = words(frame.length);
  const last = crc32(frame, crc32(length, sum));
  return Buffer.concat([prefix, text, words(sum), length, words(last), frame]);
}

test("what would decompress to more than its head says is refused before it takes memory", async () => {
  const path = newFolder();
  const store = directoryStore(path);
  const bomb = await Bun.zstdCompress(new Uint8Array(500 << 20));
  const lie = bomb.slice();
  // The frame says that it has 1,000 bytes.
  new DataView(lie.buffer).setUint32(5, 1000, true);
  const head = { compress: "zstd", buffers: [{ size: 1000 }] };
  await put(store, "bomb", crafted(head, bomb));
  await put(store, "lie", crafted(head, lie));
  await put(store, "good", crafted(head, await Bun.zstdCompress(new Uint8Array(1000))));
  const moduleOf = (file: string): string => JSON.stringify(join(import.meta.dir, "../src", file));
  const process = script(
    `const { readFileSync } = require("node:fs");
    const { unpark, directoryStore } = await import(${moduleOf("park/index.ts")});
    const { BufferPool } = await import(${moduleOf("index.ts")});
    const most = () => Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
    using pool = BufferPool.create("park.bomb." + process.pid, { capacity: 2, ephemeral: true });
    const store = directoryStore(${JSON.stringify(path)});
    console.log((await unpark(pool, "good", { store })).size);
    const before = most();
    for (const key of ["bomb", "lie"]) {
      await unpark(pool, key, { store }).catch((error) => console.log(error.code));
    }
    console.log(most() - before);`,
  );
  const [good, bombed, lied, taken] = await process.rest();
  expect([good, bombed, lied]).toEqual(["1000", "INVALID_ARGUMENT", "INVALID_ARGUMENT"]);
  expect(Number(taken)).toBeLessThan(100 << 10);
});

test("a head that claims too much is refused", async () => {
  using pool = newPool();
  const store = directoryStore(newFolder());
  const frame = new Uint8Array(0);
  await put(store, "many", crafted({ buffers: Array(5000).fill({ size: 0 }) }, frame));
  await put(store, "large", crafted({ buffers: [{ size: 2 ** 30 }] }, frame));
  await put(store, "none", crafted({ buffers: [] }, frame));
  const later = crafted({ buffers: [] }, frame);
  new DataView(later.buffer, later.byteOffset).setUint32(8, 3, true);
  new DataView(later.buffer, later.byteOffset).setUint32(16, crc32(later.subarray(0, 16)), true);
  await put(store, "later", later);
  expect(await codeOf(unpark(pool, "many", { store }))).toBe("INVALID_ARGUMENT");
  expect(await codeOf(unpark(pool, "large", { store }))).toBe("TOO_LARGE");
  expect(await codeOf(unpark(pool, "none", { store }))).toBe("INVALID_ARGUMENT");
  expect(await failureOf(unpark(pool, "later", { store }))).toMatchObject({
    message: expect.stringContaining("version 3"),
  });
});

describe("a Parking whose next object is damaged", () => {
  test.each([false, true])(
    "ends with an error, delivers no damage, and one of the same process goes on, compressed %p",
    async (compress) => {
      const store = directoryStore(newFolder());
      using all = place();
      const options = { store, keep: 4, compress };
      {
        await using _parking = Parking.start(all.inlet, all.outlet, options);
        await send(all, 0, 30);
        await until(() => all.inlet.stats().queued === 0);
      }
      const [first = ""] = await segmentsOf(store);
      const whole = await bytesOf(store, first);
      await put(store, first, flipped(whole, whole.length - 1));
      const parking = Parking.start(all.inlet, all.outlet, options);
      const standby = Parking.start(all.inlet, all.outlet, options);
      const failure = failureOf(parking.done);
      await until(() => parking.stats().state === "running");
      // In hand when it ends.
      await send(all, 30, 3);
      await until(() => parking.stats().waiting === 3);
      const received: number[] = [];
      const receive = async (): Promise<void> => {
        using guard = await all.outlet.receive();
        received.push(guard.meta.sequence);
      };
      while (all.outlet.stats().queued > 0) await receive();
      expect(await failure).toMatchObject({
        code: "DAMAGED",
        message: expect.stringContaining(first),
      });
      expect(parking.stats()).toMatchObject({ state: "failed", waiting: 0, retries: 2 });
      // The next one finds the same. Then an operator brings the object back.
      expect(await failureOf(standby.done)).toMatchObject({ code: "DAMAGED" });
      expect((await segmentsOf(store))[0]).toBe(first);
      await put(store, first, whole);
      await using _third = Parking.start(all.inlet, all.outlet, options);
      while (received.length < 33) await receive();
      expect(received).toEqual(Array.from({ length: 33 }, (_, at) => at));
    },
  );

  test("reads it again, since the way from the store may have damaged it", async () => {
    const store = directoryStore(newFolder());
    using all = place();
    let damages = 0;
    const shaky: ParkingStore = {
      ...{ name: "shaky", list: (key) => store.list(key), remove: (key) => store.remove(key) },
      ...{ write: (...all) => store.write(...all), sweep: (before) => store.sweep(before) },
      read: async (key, offset, into) => {
        const count = await store.read(key, offset, into);
        if (damages++ % 3 !== 2) into[500] = (into[500] ?? 0) ^ 1;
        return count;
      },
    };
    await using parking = Parking.start(all.inlet, all.outlet, { store: shaky, keep: 8 });
    await send(all, 0, 30);
    for (let sequence = 0; sequence < 30; sequence++) {
      using guard = await all.outlet.receive();
      expect(guard.meta.sequence).toBe(sequence);
    }
    expect(parking.stats()).toMatchObject({ lastError: { code: "DAMAGED" } });
    expect(parking.stats().retries).toBeGreaterThan(0);
  });
});

test("a store that refuses from the start is seen, in the state and by listeners", async () => {
  const path = newFolder();
  const store = directoryStore(path);
  rmSync(path, { recursive: true });
  writeFileSync(path, "no directory");
  using all = place();
  await using parking = Parking.start(all.inlet, all.outlet, { store, keep: 4 });
  const events: ParkingEvent[] = [];
  parking.on((event) => events.push(event));
  await until(() => parking.stats().state === "failing" && events.length > 0);
  expect(parking.stats().lastError).toMatchObject({ code: "SYSTEM", cause: { code: "ENOTDIR" } });
  expect(events[0]).toMatchObject({ type: "failing", error: { code: "SYSTEM" } });
  rmSync(path);
  mkdirSync(path, { mode: 0o700 });
  await until(() => parking.stats().state === "running");
  expect(events.at(-1)).toEqual({ type: "working" });
});

test("errors of arguments name the function that was called", () => {
  using all = place();
  const none = {} as Channel;
  expect(() => Parking.start(none, all.outlet)).toThrow("Parking.start(): the inlet is no channel");
  expect(() => Parking.start(all.inlet, none)).toThrow("Parking.start(): the outlet is no channel");
});
