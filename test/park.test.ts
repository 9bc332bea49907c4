// Buffers that wait outside of memory: in a directory, and in a real S3.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Gateway, s3Server } from "../scripts/s3_server.ts";
import { BufferPool, type ChannelOptions, XmemError } from "../src/index.ts";
import {
  directoryStore,
  Parking,
  type ParkingStore,
  park,
  s3Store,
  unpark,
} from "../src/park/index.ts";
import { until } from "./scripts.ts";

let made = 0;

function newPool(options: { capacity?: number; bufferSize?: number } = {}): BufferPool {
  const name = `park.${process.pid}.${++made}`;
  return BufferPool.create(name, {
    capacity: 32,
    bufferSize: 1 << 20,
    ...options,
    ephemeral: true,
  });
}

const program = s3Server();
let gateway: Gateway | undefined;
const folder = mkdtempSync(join(tmpdir(), "xmem-park-"));

function ofGateway(options: object = {}): ParkingStore {
  const { S3_ENDPOINT, S3_BUCKET, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY } = gateway?.env ?? {};
  return s3Store({
    endpoint: S3_ENDPOINT ?? "",
    bucket: S3_BUCKET ?? "",
    accessKeyId: S3_ACCESS_KEY_ID ?? "",
    secretAccessKey: S3_SECRET_ACCESS_KEY ?? "",
    region: "us-east-1",
    ...options,
  });
}

const stores: Record<string, () => ParkingStore> = {
  "a directory": () => directoryStore(join(folder, `${++made}`)),
};
if (program !== null) stores["S3"] = () => ofGateway({ prefix: `${++made}/` });
else {
  console.log(
    "left out, for want of an S3 server: the tests of xmem/park with S3; `bun scripts/s3_server.ts` installs it",
  );
}

beforeAll(async () => {
  if (program !== null) gateway = await Gateway.start(program);
});

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await gateway?.[Symbol.asyncDispose]();
});

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  return error instanceof XmemError ? error.code : String(error);
}

function pattern(bytes: Uint8Array, seed: number): Uint8Array {
  for (let at = 0; at < bytes.length; at++) bytes[at] = ((at * 31) ^ (at >> 7) ^ seed) & 255;
  return bytes;
}

for (const [where, open] of Object.entries(stores)) {
  describe(`one buffer in ${where}`, () => {
    test.each([false, true])(
      "comes back with all that its description says, compressed %p",
      async (compress) => {
        using pool = newPool();
        const store = open();
        const described = [
          {},
          { dtype: "float32", shape: [2, 3], strides: [12, 4] },
          { dtype: "float32", shape: [2, 3], strides: [4, 8] },
          { shape: [], strides: [] },
          { strides: [7] },
          { dtype: "float64", shape: [3], timestamp: 2 ** 53 - 1, sequence: 7 },
          { contentType: "größe: 10 %\r\n", producer: " é " },
        ];
        for (const [at, fields] of described.entries()) {
          using guard = pool.acquire(24);
          pattern(guard.bytes, at);
          Object.assign(guard.meta, fields);
          const result = await park(guard, { key: `a/${at}`, store, compress });
          expect(result).toMatchObject({ key: `a/${at}`, size: 24 });
          using back = await unpark(pool, `a/${at}`, { store });
          expect(back.bytes).toEqual(guard.bytes);
          expect(back.meta.toJSON()).toEqual(guard.meta.toJSON());
        }
      },
    );

    test.each([false, true])("has any size, compressed %p", async (compress) => {
      using pool = newPool({ bufferSize: 20 << 20 });
      const store = open();
      for (const size of [0, 1, 65_535, 65_536, 262_100, 1 << 20, (1 << 20) + 1, 20 << 20]) {
        using guard = pool.acquire(size);
        pattern(guard.bytes, size);
        const { stored } = await park(guard, { key: "k", store, compress });
        const [object] = await store.list("k");
        expect(object?.size).toBe(stored);
        using back = await unpark(pool, "k", { store });
        expect(back.size).toBe(size);
        expect(Buffer.compare(back.bytes, guard.bytes)).toBe(0);
      }
    });

    test("is replaced, listed, removed, and not found then", async () => {
      using pool = newPool();
      const store = open();
      for (const sequence of [1, 2]) {
        using guard = pool.acquire(10);
        guard.meta.sequence = sequence;
        await park(guard, { key: "x/y z ü", store });
      }
      expect((await store.list("x/")).map(({ key }) => key)).toEqual(["x/y z ü"]);
      expect(await store.list("other/")).toEqual([]);
      {
        using back = await unpark(pool, "x/y z ü", { store, remove: true });
        expect(back.meta.sequence).toBe(2);
      }
      expect(await codeOf(unpark(pool, "x/y z ü", { store }))).toBe("BUFFER_NOT_FOUND");
      await store.remove("x/y z ü");
      expect(pool.stats().used).toBe(0);
    });

    test("that is none, or is cut off, or is too large, is refused", async () => {
      using pool = newPool();
      using small = newPool({ bufferSize: 1000 });
      const store = open();
      async function* pieces(...all: Uint8Array[]): AsyncGenerator<Uint8Array> {
        yield* all;
      }
      using guard = pool.acquire(200_000);
      await park(guard, { key: "good", store });
      const whole = new Uint8Array(200_200);
      const length = await store.read("good", 0, whole);
      await store.write("cut", pieces(whole.subarray(0, length - 1)));
      await store.write("foreign", pieces(new TextEncoder().encode("a text of somebody else's")));
      await store.write("empty", pieces());
      expect(await codeOf(unpark(pool, "cut", { store }))).toBe("INCOMPLETE");
      expect(await codeOf(unpark(pool, "foreign", { store }))).toBe("INVALID_ARGUMENT");
      expect(await codeOf(unpark(pool, "empty", { store }))).toBe("INCOMPLETE");
      expect(await codeOf(unpark(small, "good", { store }))).toBe("TOO_LARGE");
      expect(pool.stats().used + small.stats().used).toBe(1);
    });
  });

  describe(`a channel that overflows to ${where}`, () => {
    const redelivering: ChannelOptions = { capacity: 4, redeliver: true, maxDeliveries: 1000 };

    test("keeps the order, and closes the outlet after the inlet", async () => {
      using pool = newPool();
      const store = open();
      using inlet = pool.channel("in", redelivering);
      using outlet = pool.channel("out", redelivering);
      const parking = Parking.start(inlet, outlet, { store, keep: 4 });
      for (let sequence = 0; sequence < 200; sequence++) {
        const guard = await pool.acquireAsync(1000 + sequence);
        guard.meta.sequence = sequence;
        guard.bytes.fill(sequence);
        await inlet.sendAsync(guard);
      }
      inlet.close();
      await until(() => parking.stats().parked > 180);
      const { segments, parkedBytes } = parking.stats();
      expect(segments).toBeGreaterThan(10);
      expect(parkedBytes).toBeGreaterThan(180_000);
      let next = 0;
      for await (using guard of outlet) {
        expect(guard.meta.sequence).toBe(next);
        expect(guard.size).toBe(1000 + next);
        expect(guard.bytes.at(-1)).toBe(next & 255);
        next++;
      }
      expect(next).toBe(200);
      await parking.done;
      const stats = parking.stats();
      expect(stats).toMatchObject({ state: "ended", parked: 0, parkedBytes: 0, segments: 0 });
      expect(stats).toMatchObject({ waiting: 0, duplicates: 0, retries: 0, lastError: null });
      expect(stats.forwarded + stats.returned).toBe(200);
      await until(async () =>
        (await store.list(".parking/")).every(({ key }) => key.endsWith("alive")),
      );
      expect(pool.stats().used).toBe(0);
    });
  });
}
