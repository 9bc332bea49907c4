// An error begins with the name of the function that the user called, also where that function has
// called others for it. test/programs/callers.ts holds the same for the pool, its buffers and the simpler
// calls of channels, and where their stacks begin.

import { afterAll, expect, test } from "bun:test";
import { closeSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  exportChannel,
  exportRequests,
  importChannel,
  importRequests,
} from "../src/bridge/index.ts";
import { BufferPool, FrameSink, FrameSource } from "../src/index.ts";
import { defaultStore, directoryStore, Parking, park, s3Store, unpark } from "../src/park/index.ts";
import { testPool } from "../src/testing/index.ts";
import { errorOfLater } from "./codes.ts";
import { withPool } from "./processes.ts";

const folder = mkdtempSync(join(tmpdir(), "xmem-error-names-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Arguments that the types would refuse. */
// biome-ignore lint/suspicious/noExplicitAny: each call here has a wrong argument.
type Wrong = any;

/** What is called, the code, and a call that fails so. */
type Call = [name: string, code: string, call: () => unknown];

/** Each fails with that code, and names that function first. */
async function expectNames(calls: Call[]): Promise<void> {
  const found: string[][] = [];
  for (const [name, , call] of calls) {
    const { code, message } = await errorOfLater(call);
    const names = message.startsWith(`${name} `) || message.startsWith(`${name}:`);
    found.push([names ? name : message, code]);
  }
  expect(found).toEqual(calls.map(([name, code]) => [name, code]));
}

const invalid = "INVALID_ARGUMENT";

test("of parking one buffer, and of bringing it back", () =>
  withPool({ capacity: 2, bufferSize: 64 }, async (pool) => {
    const store = directoryStore(folder);
    using guard = pool.acquire(64);
    await park(guard, { store, key: "whole" });
    const small = testPool({ capacity: 1, bufferSize: 8 });
    using other = pool.acquire(8);
    const gone = pool.acquireAsync.bind(pool);
    await expectNames([
      ["park()", invalid, () => park(null as Wrong, { store, key: "k" })],
      ["park()", invalid, () => park(guard, null as Wrong)],
      ["park()", invalid, () => park(guard, { store, key: "../k" })],
      ["park()", invalid, () => park(guard, { store, key: "k", tries: 0 })],
      ["park()", invalid, () => park(guard, { store, key: "k", compress: 1 as Wrong })],
      ["park()", invalid, () => park(guard, { store, key: "k", signal: 1 as Wrong })],
      ["park()", invalid, () => park(guard, { store: {} as Wrong, key: "k" })],
      ["park()", invalid, () => park(guard, { bucket: "", key: "k" })],
      ["unpark()", invalid, () => unpark(null as Wrong, "whole", { store })],
      ["unpark()", invalid, () => unpark(pool, "", { store })],
      ["unpark()", invalid, () => unpark(pool, "whole", { store, timeout: -1 })],
      ["unpark()", invalid, () => unpark(pool, "whole", { store, timeout: "1" as Wrong })],
      ["unpark()", invalid, () => unpark(pool, "whole", { store, signal: 1 as Wrong })],
      ["unpark()", invalid, () => unpark(pool, "whole", { store, remove: 1 as Wrong })],
      ["unpark()", "TIMEOUT", () => unpark(pool, "whole", { store, timeout: 0 })],
      ["unpark()", "TIMEOUT", () => unpark(pool, "whole", { store, timeout: 1 })],
      ["unpark()", "TOO_LARGE", () => unpark(small, "whole", { store })],
      ["acquireAsync()", "TIMEOUT", () => gone(1, { timeout: 0 })],
    ]);
    other.release();
    small.close();
    await expectNames([["unpark()", "POOL_CLOSED", () => unpark(small, "whole", { store })]]);
    const released = pool.acquire(8);
    released.release();
    await expectNames([["park()", "RELEASED", () => park(released, { store, key: "k" })]]);
  }));

test("of a Parking, and of its stores", () =>
  withPool({ capacity: 16, bufferSize: 64 }, async (pool) => {
    const store = directoryStore(folder);
    const [inlet, outlet] = [pool.channel("in"), pool.channel("out")];
    await using parking = Parking.start(inlet, outlet, { store });
    const start = (options: Wrong, from: Wrong = inlet) => Parking.start(from, outlet, options);
    await expectNames([
      ["Parking.start()", invalid, () => start({ store }, null)],
      ["Parking.start()", invalid, () => start({ store }, outlet)],
      ["Parking.start()", invalid, () => start(null)],
      ["Parking.start()", invalid, () => start({ store, keep: -1 })],
      ["Parking.start()", invalid, () => start({ store, after: " " })],
      ["Parking.start()", invalid, () => start({ store, name: ".." })],
      ["Parking.start()", invalid, () => start({ store, signal: 1 })],
      ["Parking.start()", invalid, () => start({ store, bucket: "b" })],
      ["Parking.on()", invalid, () => parking.on(null as Wrong)],
      ["Parking.sweep()", invalid, () => parking.sweep({ olderThan: 1 })],
      ["Parking.sweep()", invalid, () => parking.sweep(null as Wrong)],
      ["s3Store()", invalid, () => s3Store({ bucket: "b", prefix: "no slash" })],
      ["s3Store()", invalid, () => s3Store({ bucket: "b", timeout: 0 })],
      ["directoryStore()", invalid, () => directoryStore("")],
      ["directoryStore()", invalid, () => directoryStore(folder, { sync: 1 as Wrong })],
      ["directoryStore()", "SYSTEM", () => directoryStore("/proc/nothing")],
    ]);
  }));

test("of a store that the environment names", async () => {
  const { S3_BUCKET, AWS_BUCKET, XMEM_PARKING } = process.env;
  delete process.env["S3_BUCKET"];
  delete process.env["AWS_BUCKET"];
  process.env["XMEM_PARKING"] = "/proc/nothing";
  try {
    await expectNames([["defaultStore()", "SYSTEM", () => defaultStore()]]);
  } finally {
    delete process.env["XMEM_PARKING"];
    Object.assign(process.env, {
      ...(S3_BUCKET !== undefined && { S3_BUCKET }),
      ...(AWS_BUCKET !== undefined && { AWS_BUCKET }),
      ...(XMEM_PARKING !== undefined && { XMEM_PARKING }),
    });
  }
});

test("of a bridge", () =>
  withPool({ capacity: 16, bufferSize: 64 }, async (pool) => {
    const queue = pool.channel("queue");
    const broadcast = pool.channel("broadcast", { mode: "broadcast" });
    const nats = { subscribe() {}, publish() {} } as Wrong;
    const exported = { stream: "S", subject: "s" };
    const imported = { stream: "S", consumer: "c" };
    const asked = { subject: "s" };
    const calls = (
      name: string,
      good: object,
      call: (options: Wrong, channel?: Wrong, connection?: Wrong) => unknown,
    ): Call[] => [
      [name, invalid, () => call(good, null)],
      [name, invalid, () => call(good, queue, null)],
      [name, invalid, () => call(null)],
      [name, invalid, () => call({ ...good, window: 0 })],
      [name, invalid, () => call({ ...good, signal: 1 })],
      [name, invalid, () => call({ ...good, subject: "", stream: "" })],
      [name, invalid, () => call({ ...good, nothing: 1 })],
    ];
    await expectNames([
      ...calls("exportChannel()", exported, (options, channel = queue, connection = nats) =>
        exportChannel(channel, connection, options),
      ),
      ["exportChannel()", invalid, () => exportChannel(queue, nats, { ...exported, subject: "*" })],
      ...calls("importChannel()", imported, (options, channel = queue, connection = nats) =>
        importChannel(connection, options, channel),
      ),
      ...calls("exportRequests()", asked, (options, channel = queue, connection = nats) =>
        exportRequests(channel, connection, options),
      ),
      ["exportRequests()", invalid, () => exportRequests(broadcast, nats, asked)],
      ...calls("importRequests()", asked, (options, channel = queue, connection = nats) =>
        importRequests(connection, options, channel),
      ),
      ["importRequests()", invalid, () => importRequests(nats, asked, broadcast)],
    ]);
    const signal = AbortSignal.abort();
    const running = [
      ["Exporter", exportChannel(queue, nats, { ...exported, signal })],
      ["Importer", importChannel(nats, { ...imported, signal }, queue)],
      ["RequestExporter", exportRequests(queue, nats, { ...asked, signal })],
      ["RequestImporter", importRequests(nats, { ...asked, signal }, queue)],
    ] as const;
    await expectNames(
      running.map(([name, each]) => [`${name}.on()`, invalid, () => each.on(null as Wrong)]),
    );
    for (const [, { done }] of running) await done.catch(() => {});
  }));

test("of frames from a stream, and into one", () =>
  withPool({ capacity: 1, bufferSize: 64 }, async (pool) => {
    const { source, writable } = FrameSource.pipe();
    const { sink, readable } = FrameSink.pipe();
    const frame = pool.acquire(8);
    const next = (source: FrameSource, ...argv: Wrong[]) =>
      (source.frames as Wrong).call(source, ...argv).next();
    await expectNames([
      ["new FrameSource()", invalid, () => new FrameSource(null as Wrong)],
      ["new FrameSink()", invalid, () => new FrameSink(null as Wrong)],
      ["readInto()", invalid, () => source.readInto(null as Wrong)],
      ["readInto()", invalid, () => source.readInto(frame, { timeout: -1 })],
      ["readInto()", "TIMEOUT", () => source.readInto(frame, { timeout: 1 })],
      ["frames()", invalid, () => next(source, null, 8)],
      ["frames()", invalid, () => next(source, pool, 0)],
      ["frames()", invalid, () => next(source, pool, 8, { timeout: -1 })],
      ["frames()", "TOO_LARGE", () => next(source, pool, 65)],
      ["frames()", "TIMEOUT", () => next(source, pool, 8, { timeout: 0 })],
      ["writeFrom()", invalid, () => sink.writeFrom(null as Wrong)],
      ["writeFrom()", invalid, () => sink.writeFrom(frame, { signal: 1 as Wrong })],
      ["end()", invalid, () => sink.end({ timeout: -1 })],
    ]);
    frame.release();
    await expectNames([
      ["frames()", "TIMEOUT", () => next(source, pool, 8, { timeout: 1 })],
      ["readInto()", "RELEASED", () => source.readInto(frame)],
      ["writeFrom()", "RELEASED", () => sink.writeFrom(frame)],
    ]);
    source.close();
    await expectNames([["frames()", "RELEASED", () => next(source, pool, 8)]]);
    for (const fd of [writable, readable]) closeSync(fd);
    sink.close();
  }));

test("of requests and replies", () =>
  withPool({ capacity: 8, bufferSize: 64 }, async (pool) => {
    const jobs = pool.channel("jobs", { capacity: 1 });
    const broadcast = pool.channel("broadcast", { mode: "broadcast" });
    using guard = pool.acquire(8);
    using reader = pool.get(guard.handle);
    await expectNames([
      ["request()", invalid, () => jobs.request(null as Wrong)],
      ["request()", invalid, () => jobs.request(guard, { timeout: -1 })],
      ["request()", invalid, () => broadcast.request(guard)],
      ["request()", "READ_ONLY", () => jobs.request(reader as Wrong)],
      ["request()", "TIMEOUT", () => jobs.request(pool.acquire(8), { timeout: 1 })],
      ["requests()", invalid, () => broadcast.requests()],
      ["requests()", invalid, () => jobs.requests({ timeout: -1 })],
    ]);
    // It is full of the request before, which nobody has received.
    await expectNames([["request()", "TIMEOUT", () => jobs.request(guard, { timeout: 1 })]]);
    const iterator = jobs.requests({ timeout: 1 })[Symbol.asyncIterator]();
    const { value: request } = await iterator.next();
    await expectNames([
      ["requests()", "TIMEOUT", () => iterator.next()],
      ["reply()", invalid, () => request.reply(null)],
      ["reply()", invalid, () => request.reply("no guard")],
    ]);
    request.reply(request.guard);
    await expectNames([["reply()", invalid, () => request.reply(guard)]]);
    const unasked = pool.acquire(8);
    jobs.send(unasked);
    const { value: nobodys } = await jobs.requests()[Symbol.asyncIterator]().next();
    await expectNames([["reply()", invalid, () => nobodys.reply(nobodys.guard)]]);
    nobodys[Symbol.dispose]();
    jobs.close();
    await expectNames([["request()", "CHANNEL_CLOSED", () => jobs.request(guard)]]);
  }));

test("of a pool for a test", () =>
  expectNames([
    ["testPool()", invalid, () => testPool({ capacity: 0 })],
    ["testPool()", invalid, () => testPool({ capasity: 1 } as Wrong)],
  ]));

test("of what looks at pools, and of what listens", () =>
  withPool({ capacity: 1, bufferSize: 64 }, async (pool, name) => {
    const statics = BufferPool as Wrong;
    await expectNames([
      ["BufferPool.of()", invalid, () => statics.of(null)],
      ["BufferPool.buffers()", invalid, () => statics.buffers("no/name")],
      ["BufferPool.buffers()", "POOL_NOT_FOUND", () => statics.buffers(`${name}.none`)],
      ["BufferPool.metricsText()", invalid, () => statics.metricsText("no/name")],
      ["BufferPool.metricsText()", invalid, () => statics.metricsText(name, { format: "xml" })],
      ["BufferPool.prune()", invalid, () => statics.prune({ name: "no/name" })],
      ["BufferPool.waitAny()", invalid, () => statics.waitAny([], { timeout: 1 })],
      ["BufferPool.waitAny()", invalid, () => statics.waitAny([pool], {})],
      ["metricsText()", invalid, () => pool.metricsText({ format: "xml" as Wrong })],
      ["on()", invalid, () => pool.on("nothing" as Wrong, () => {})],
      ["once()", invalid, () => pool.once("full", null as Wrong)],
      ["off()", invalid, () => pool.off("full", null as Wrong)],
    ]);
    pool.close();
    await expectNames([
      ["on()", "POOL_CLOSED", () => pool.on("full", () => {})],
      ["outstanding()", "POOL_CLOSED", () => pool.outstanding()],
      ["metricsText()", "POOL_CLOSED", () => pool.metricsText()],
    ]);
  }));
