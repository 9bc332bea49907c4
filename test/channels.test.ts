// Channels within one thread: what is sent, received, dropped, refused and counted.

import { describe, expect, jest, test } from "bun:test";
import { getEventListeners } from "node:events";
import { deflate } from "node:zlib";
import { BufferPool, type Channel, type ChannelOptions, type XmemErrorCode } from "../src/index.ts";
import { codeOf, codeOfLater, errorOf } from "./codes.ts";
import { withPool } from "./processes.ts";

const options = { capacity: 16, bufferSize: 64 };

function withChannel(
  given: ChannelOptions,
  body: (channel: Channel, pool: BufferPool, name: string) => unknown,
): Promise<void> {
  return withPool(options, async (pool, name) => {
    using channel = pool.channel("test", given);
    await body(channel, pool, name);
  });
}

/** Sends a buffer of each of these sizes, which tells them apart. */
function sendSizes(pool: BufferPool, channel: Channel, ...sizes: number[]): boolean[] {
  return sizes.map((size) => channel.send(pool.acquire(size)));
}

/** The sizes of all that can be received now. */
function drain(channel: Channel): number[] {
  const sizes: number[] = [];
  for (let guard = channel.tryReceive(); guard !== null; guard = channel.tryReceive()) {
    sizes.push(guard.size);
    guard.release();
  }
  return sizes;
}

test("what was sent is received in order, with its bytes and its description", () =>
  withChannel({}, (channel, pool) => {
    for (const size of [3, 2, 1]) {
      const guard = pool.acquire(size);
      guard.bytes.fill(size);
      guard.meta.sequence = size;
      expect(channel.send(guard)).toBe(true);
      expect(codeOf(() => guard.bytes)).toBe("RELEASED");
    }
    for (const size of [3, 2, 1]) {
      using guard = channel.receiveBlocking({ timeout: 0 });
      expect([...guard.bytes]).toEqual(new Array(size).fill(size));
      expect([guard.meta.sequence, guard.writable]).toEqual([size, true]);
    }
    expect(channel.tryReceive()).toBeNull();
    expect(pool.stats().free).toBe(16);
  }));

test("a queued buffer is used, neither in flight nor anybody's hold, and out of reach by hand", () =>
  withChannel({}, (channel, pool) => {
    const guard = pool.acquire(1);
    const { handle } = guard;
    channel.send(guard);
    const { used, inFlight, participants } = pool.stats();
    expect([used, inFlight, participants[0]?.holds]).toEqual([1, 0, 0]);
    for (const body of [
      () => pool.take(handle),
      () => pool.unref(handle),
      () => pool.release(handle),
    ]) {
      expect(codeOf(body)).toBe("NO_REFERENCE");
    }
    expect(pool.refCount(handle)).toBe(1);
    using received = channel.tryReceive();
    expect(received?.handle).toBe(handle);
    expect(pool.stats().participants[0]?.holds).toBe(1);
  }));

describe("a full channel", () => {
  test('refuses with overflow "block", and the guard stays', () =>
    withChannel({ capacity: 2 }, async (channel, pool) => {
      sendSizes(pool, channel, 1, 2);
      using guard = pool.acquire(3);
      const error = errorOf(() => channel.send(guard));
      expect(error.code).toBe("CHANNEL_FULL");
      expect(error.message).toContain('channel "test" of pool');
      expect(error.message).toContain("2 of its 2 places are taken, and 1 participant has it open");
      expect(channel.trySend(guard)).toBe(false);
      expect(codeOf(() => channel.sendBlocking(guard, { timeout: 0 }))).toBe("TIMEOUT");
      expect(codeOf(() => channel.sendBlocking(guard, { timeout: 3 }))).toBe("TIMEOUT");
      expect(await codeOfLater(() => channel.sendAsync(guard, { timeout: 0 }))).toBe("TIMEOUT");
      expect(await codeOfLater(() => channel.sendAsync(guard, { timeout: 3 }))).toBe("TIMEOUT");
      expect(guard.bytes.length).toBe(3);
      expect(drain(channel)).toEqual([1, 2]);
      expect(channel.stats()).toMatchObject({ sent: 2, received: 2, dropped: 0, waiters: 0 });
    }));

  test('drops what is sent with "drop-newest"', () =>
    withChannel({ capacity: 2, overflow: "drop-newest" }, (channel, pool) => {
      expect(sendSizes(pool, channel, 1, 2, 3, 4)).toEqual([true, true, false, false]);
      expect(pool.stats().used).toBe(2);
      expect(channel.stats()).toMatchObject({ queued: 2, sent: 2, dropped: 2 });
      expect(drain(channel)).toEqual([1, 2]);
    }));

  test('drops what is queued with "drop-oldest"', () =>
    withChannel({ capacity: 2, overflow: "drop-oldest" }, (channel, pool) => {
      expect(sendSizes(pool, channel, 1, 2, 3, 4)).toEqual([true, true, true, true]);
      expect(pool.stats().used).toBe(2);
      using refused = pool.acquire(5);
      expect(channel.trySend(refused)).toBe(false);
      expect(channel.stats()).toMatchObject({ queued: 2, sent: 4, dropped: 2 });
      expect(drain(channel)).toEqual([3, 4]);
    }));
});

describe("a broadcast", () => {
  test("is received by every object that subscribed before, in order, and only read", () =>
    withChannel({ mode: "broadcast" }, (channel, pool) => {
      using other = pool.channel("test");
      using mute = pool.channel("test", { subscribe: false });
      sendSizes(pool, mute, 1, 2);
      using late = pool.channel("test");
      sendSizes(pool, channel, 3);
      expect(channel.stats()).toMatchObject({ subscribers: 3, queued: 3 });
      using guard = channel.receiveBlocking({ timeout: 0 });
      expect(guard.writable).toBe(false);
      expect(codeOf(() => guard.mutableBytes())).toBe("READ_ONLY");
      expect([guard.size, ...drain(channel)]).toEqual([1, 2, 3]);
      expect(drain(other)).toEqual([1, 2, 3]);
      expect(drain(late)).toEqual([3]);
      expect(channel.stats()).toMatchObject({ queued: 0, sent: 3, received: 7 });
      expect(codeOf(() => mute.tryReceive())).toBe("INVALID_ARGUMENT");
    }));

  test("with a history gives late subscribers the newest first", () =>
    withChannel({ mode: "broadcast", capacity: 4, history: 2 }, (channel, pool) => {
      sendSizes(pool, channel, 1, 2, 3);
      expect(drain(channel)).toEqual([1, 2, 3]);
      expect(channel.stats().queued).toBe(2);
      using late = pool.channel("test");
      expect(drain(late)).toEqual([2, 3]);
    }));

  test("without subscribers keeps nothing", () =>
    withChannel({ mode: "broadcast", subscribe: false }, (channel, pool) => {
      expect(sendSizes(pool, channel, 1, 2)).toEqual([true, true]);
      expect(pool.stats().used).toBe(0);
    }));

  test("is held up by its slowest subscriber until that goes", () =>
    withChannel({ mode: "broadcast", capacity: 2 }, (channel, pool) => {
      const slow = pool.channel("test");
      sendSizes(pool, channel, 1, 2);
      expect(drain(channel)).toEqual([1, 2]);
      using guard = pool.acquire(3);
      const { message } = errorOf(() => channel.send(guard));
      expect(message).toContain(`it has 2 subscribers, the slowest (pid ${process.pid}) 2 behind`);
      slow[Symbol.dispose]();
      expect(pool.stats().used).toBe(1);
      expect(channel.send(guard)).toBe(true);
      expect(drain(channel)).toEqual([3]);
    }));

  test("that drops the oldest counts what a slow subscriber missed", () =>
    withChannel({ mode: "broadcast", capacity: 2, overflow: "drop-oldest" }, (channel, pool) => {
      using slow = pool.channel("test");
      sendSizes(pool, channel, 1, 2);
      expect(drain(channel)).toEqual([1, 2]);
      sendSizes(pool, channel, 3, 4, 5);
      expect(channel.stats().subscriptions).toMatchObject([
        { pid: process.pid, alive: true, lag: 2, received: 2, missed: 1 },
        { pid: process.pid, alive: true, lag: 2, received: 0, missed: 3 },
      ]);
      expect(drain(slow)).toEqual([4, 5]);
      expect(channel.stats().subscriptions[1]).toMatchObject({ lag: 0, received: 2, missed: 3 });
    }));
});

describe("waits", () => {
  test("several receives of one object are served in the order asked", () =>
    withChannel({}, async (channel, pool) => {
      const sizes: number[] = [];
      const waits = [0, 1, 2].map(async () => {
        using guard = await channel.receive();
        sizes.push(guard.size);
      });
      await Bun.sleep(1);
      expect(channel.stats()).toMatchObject({ waiters: 1, waitingReceivers: 1 });
      sendSizes(pool, channel, 1, 2, 3);
      await Promise.all(waits);
      expect(sizes).toEqual([1, 2, 3]);
      expect(channel.stats().waiters).toBe(0);
    }));

  test("several sends of one object are served in the order asked", () =>
    withChannel({ capacity: 1 }, async (channel, pool) => {
      sendSizes(pool, channel, 1);
      const sends = [2, 3, 4].map((size) => channel.sendAsync(pool.acquire(size)));
      const sizes: number[] = [];
      for (let i = 0; i < 4; i++) {
        using guard = await channel.receive({ timeout: 30_000 });
        sizes.push(guard.size);
      }
      await Promise.all(sends);
      expect(sizes).toEqual([1, 2, 3, 4]);
    }));

  test("time out, also at once and under fake timers", () =>
    withChannel({}, async (channel, pool) => {
      expect(codeOf(() => channel.receiveBlocking({ timeout: 0 }))).toBe("TIMEOUT");
      expect(codeOf(() => channel.receiveBlocking({ timeout: 3 }))).toBe("TIMEOUT");
      expect(await codeOfLater(() => channel.receive({ timeout: 0 }))).toBe("TIMEOUT");
      const { message } = errorOf(() => channel.receiveBlocking({ timeout: 0 }));
      expect(message).toContain("nothing was sent, and it was tried once");
      jest.useFakeTimers();
      try {
        expect(await codeOfLater(() => channel.receive({ timeout: 20 }))).toBe("TIMEOUT");
        const waiting = channel.receive();
        sendSizes(pool, channel, 7);
        (await waiting).release();
      } finally {
        jest.useRealTimers();
      }
      expect(channel.stats().waiters).toBe(0);
    }));

  test("reject with the signal's reason, take nothing and leave no listener", () =>
    withChannel({ capacity: 1 }, async (channel, pool) => {
      const controller = new AbortController();
      const { signal } = controller;
      const reason = new Error("no longer");
      const receiving = channel.receive({ signal });
      controller.abort(reason);
      expect(await receiving.catch((error) => error)).toBe(reason);
      expect(getEventListeners(signal, "abort").length).toBe(0);
      sendSizes(pool, channel, 1);
      using guard = pool.acquire(2);
      const other = new AbortController();
      const sending = channel.sendAsync(guard, { signal: other.signal });
      other.abort(reason);
      expect(await sending.catch((error) => error)).toBe(reason);
      expect(guard.size).toBe(2);
      expect(drain(channel)).toEqual([1]);
      expect(await channel.receive({ signal }).catch((error) => error)).toBe(reason);
      const served = channel.receive({ signal: new AbortController().signal });
      sendSizes(pool, channel, 3);
      (await served).release();
    }));

  test("of a send whose guard is released meanwhile send nothing", () =>
    withChannel({ capacity: 1 }, async (channel, pool) => {
      sendSizes(pool, channel, 1);
      const guard = pool.acquire(2);
      // Another hold of the same buffer is not sent in its place.
      using kept = guard.clone();
      const sending = codeOfLater(() => channel.sendAsync(guard));
      guard.release();
      expect(drain(channel)).toEqual([1]);
      expect(await sending).toBe("RELEASED");
      expect(drain(channel)).toEqual([]);
      expect(pool.refCount(kept.handle)).toBe(1);
    }));

  test("of a send whose guard's open of the pool is closed meanwhile send nothing", () =>
    withChannel({ capacity: 1 }, async (channel, pool, name) => {
      sendSizes(pool, channel, 1);
      const other = BufferPool.open(name);
      const sending = codeOfLater(() => channel.sendAsync(other.acquire(2)));
      other.close();
      expect(drain(channel)).toEqual([1]);
      expect(await sending).toBe("RELEASED");
      expect(pool.stats().used).toBe(0);
    }));

  test("end with the pool, the channel's close and the object", () =>
    withPool({ ...options }, async (pool, name) => {
      const ends: [XmemErrorCode, (other: BufferPool, channel: Channel) => void][] = [
        ["POOL_CLOSED", (other) => other.close()],
        ["CHANNEL_CLOSED", (_, channel) => channel[Symbol.dispose]()],
        ["CHANNEL_CLOSED", (_, channel) => channel.close()],
      ];
      for (const [place, [code, end]] of ends.entries()) {
        using other = BufferPool.open(name);
        const channel = other.channel(`end ${place}`, { capacity: 1 });
        const receiving = codeOfLater(() => channel.receive());
        await Bun.sleep(1);
        end(other, channel);
        expect(await receiving).toBe(code);
        expect(pool.stats().waiters).toBe(0);
      }
    }));
});

describe("a closed channel", () => {
  test("refuses sends, is received from until it is empty, and iteration ends", () =>
    withChannel({}, async (channel, pool) => {
      using other = pool.channel("test");
      const closed = Promise.all([channel.closed, other.closed]);
      sendSizes(pool, channel, 1, 2, 3);
      other.close();
      other.close();
      await closed;
      await channel.closed;
      using guard = pool.acquire(4);
      for (const body of [
        () => channel.send(guard),
        () => channel.trySend(guard),
        () => channel.sendBlocking(guard, { timeout: 0 }),
      ]) {
        expect(codeOf(body)).toBe("CHANNEL_CLOSED");
      }
      expect(await codeOfLater(() => channel.sendAsync(guard))).toBe("CHANNEL_CLOSED");
      expect(errorOf(() => channel.send(guard)).message).toContain("3 buffers in it can still be");
      expect(channel.stats()).toMatchObject({ closed: true, queued: 3 });
      const sizes: number[] = [];
      for await (using frame of channel) sizes.push(frame.size);
      expect(sizes).toEqual([1, 2, 3]);
      expect(codeOf(() => channel.tryReceive())).toBe("CHANNEL_CLOSED");
      expect(codeOf(() => channel.receiveBlocking({ timeout: 0 }))).toBe("CHANNEL_CLOSED");
      expect(await codeOfLater(() => channel.receive())).toBe("CHANNEL_CLOSED");
      expect(guard.size).toBe(4);
    }));

  test("is received from by each subscriber of a broadcast", () =>
    withChannel({ mode: "broadcast" }, async (channel, pool) => {
      using other = pool.channel("test");
      sendSizes(pool, channel, 1, 2);
      channel.close();
      for (const each of [channel, other]) {
        const sizes: number[] = [];
        for await (using frame of each) sizes.push(frame.size);
        expect(sizes).toEqual([1, 2]);
      }
      expect(BufferPool.waitAny([channel], { timeout: 30_000 })).toBe(0);
    }));

  test("that nobody has open is removed by reclaim, with what is in it", () =>
    withPool({ ...options, channels: 1 }, (pool) => {
      const channel = pool.channel("test");
      sendSizes(pool, channel, 1, 2);
      channel.close();
      pool.reclaim();
      expect(pool.stats().channels.length).toBe(1);
      channel[Symbol.dispose]();
      pool.reclaim();
      expect(pool.stats()).toMatchObject({ channels: [], used: 0 });
      using next = pool.channel("other");
      expect(next.tryReceive()).toBeNull();
    }));
});

test("an iteration that is left ends its wait, and takes nothing more", () =>
  withChannel({}, async (channel, pool) => {
    sendSizes(pool, channel, 1, 2);
    for await (using frame of channel) {
      expect(frame.size).toBe(1);
      break;
    }
    expect(drain(channel)).toEqual([2]);
    const iterator = channel[Symbol.asyncIterator]();
    const next = iterator.next();
    expect(await iterator.return?.()).toEqual({ value: undefined, done: true });
    expect(await next).toEqual({ value: undefined, done: true });
    expect(await iterator.next()).toEqual({ value: undefined, done: true });
    sendSizes(pool, channel, 3);
    expect(drain(channel)).toEqual([3]);
  }));

test("an object that let go of its channel refuses everything, and the channel goes on", () =>
  withChannel({}, async (channel, pool) => {
    using other = pool.channel("test");
    const gone = pool.channel("test");
    gone[Symbol.dispose]();
    gone[Symbol.dispose]();
    using guard = pool.acquire(1);
    for (const body of [
      () => gone.send(guard),
      () => gone.trySend(guard),
      () => gone.sendBlocking(guard, { timeout: 1 }),
      () => gone.tryReceive(),
      () => gone.receiveBlocking({ timeout: 1 }),
      () => gone.stats(),
      () => gone.close(),
      () => BufferPool.waitAny([gone], { timeout: 1 }),
    ]) {
      expect(errorOf(body).message).toContain("this object let go of the channel");
    }
    expect(await codeOfLater(() => gone.receive())).toBe("CHANNEL_CLOSED");
    expect(await codeOfLater(() => gone[Symbol.asyncIterator]().next())).toBe("CHANNEL_CLOSED");
    expect(gone.capacity).toBe(16);
    sendSizes(pool, channel, 5);
    expect(drain(other)).toEqual([5]);
  }));

test("an object that let go never says that its channel is closed", () =>
  withChannel({}, async (channel, pool) => {
    const gone = pool.channel("test");
    let settled = false;
    gone.closed.finally(() => {
      settled = true;
    });
    gone[Symbol.dispose]();
    channel.close();
    await channel.closed;
    await Bun.sleep(20);
    expect(settled).toBe(false);
  }));

test("an existing channel is what it was made as, and more is refused", () =>
  withPool(options, (pool) => {
    using made = pool.channel("a", { capacity: 4, overflow: "drop-oldest" });
    using same = pool.channel("a", { capacity: 3 });
    expect(JSON.parse(JSON.stringify(same))).toEqual({
      name: "a",
      capacity: 4,
      mode: "queue",
      overflow: "drop-oldest",
      history: 0,
    });
    using cast = pool.channel("b", { mode: "broadcast", capacity: 8, history: 3 });
    using again = pool.channel("b", { history: 3 });
    expect([again.mode, again.history, cast.capacity, made.name]).toEqual(["broadcast", 3, 8, "a"]);
    const wrong: [string, ChannelOptions][] = [
      ["a", { capacity: 5 }],
      ["a", { mode: "broadcast" }],
      ["a", { overflow: "block" }],
      ["b", { history: 2 }],
      ["b", { mode: "queue" }],
    ];
    for (const [name, given] of wrong) {
      expect(codeOf(() => pool.channel(name, given))).toBe("OPTIONS_MISMATCH");
    }
    const { message } = errorOf(() => pool.channel("a", { overflow: "drop-newest" }));
    expect(message).toContain("its overflow is drop-oldest, and drop-newest was asked for");
  }));

test("arguments are checked", () =>
  withPool({ ...options, channels: 2 }, async (pool) => {
    const loose = pool as unknown as { channel(...argv: unknown[]): unknown };
    for (const name of ["", "x".repeat(64), "é".repeat(32), "a\0b", "\ud800", 3, undefined, null]) {
      expect(codeOf(() => loose.channel(name))).toBe("INVALID_ARGUMENT");
    }
    const wrong: unknown[] = [
      null,
      { capacity: 0 },
      { capacity: 65_537 },
      { capacity: 1.5 },
      { capacity: "4" },
      { mode: "topic" },
      { overflow: null },
      { subscribe: 1 },
      { history: 1 },
      { history: 1, mode: "queue" },
      { history: -1, mode: "broadcast" },
      { history: 16, mode: "broadcast" },
      { history: 2, capacity: 2, mode: "broadcast" },
      { capicity: 2 },
      { timeout: 2 },
    ];
    for (const given of wrong) {
      expect(codeOf(() => loose.channel("a", given))).toBe("INVALID_ARGUMENT");
    }
    expect(errorOf(() => loose.channel("a", { capicity: 2 })).message).toContain('"capacity"');
    expect(pool.stats().channels).toEqual([]);
    using channel = pool.channel("é".repeat(31), { capacity: undefined, history: 0 });
    expect(pool.stats().channels[0]?.name).toBe("é".repeat(31));
    type Loose = Record<string, (...argv: unknown[]) => unknown>;
    const calls = channel as unknown as Loose;
    for (const guard of [undefined, null, 3, {}, "x", pool]) {
      for (const method of ["send", "trySend", "sendBlocking", "sendAsync"]) {
        const call = async () => calls[method]?.(guard, { timeout: 1 });
        expect(await codeOfLater(call)).toBe("INVALID_ARGUMENT");
      }
    }
    for (const wait of [null, {}, { timeout: -1 }, { timeout: 1, signal: {} }]) {
      expect(codeOf(() => calls["receiveBlocking"]?.(wait))).toBe("INVALID_ARGUMENT");
    }
    for (const wait of [null, { timeout: -1 }, { signal: {} }, { deadline: 1 }]) {
      const call = async () => calls["receive"]?.(wait);
      expect(await codeOfLater(call)).toBe("INVALID_ARGUMENT");
    }
    using _second = pool.channel("second");
    expect(codeOf(() => pool.channel("third"))).toBe("OUT_OF_MEMORY");
    using released = pool.acquire(1);
    released.release();
    expect(codeOf(() => channel.send(released))).toBe("RELEASED");
    expect(() => structuredClone(channel)).toThrow();
  }));

test("a guard of another pool is refused, and one of another open of this pool is sent", () =>
  withChannel({}, (channel, pool, name) =>
    withPool(options, (stranger) => {
      using theirs = stranger.acquire(1);
      expect(codeOf(() => channel.send(theirs))).toBe("INVALID_ARGUMENT");
      expect(theirs.size).toBe(1);
      using other = BufferPool.open(name);
      const guard = other.acquire(3);
      expect(channel.send(guard)).toBe(true);
      expect(codeOf(() => guard.bytes)).toBe("RELEASED");
      other.close();
      expect(drain(channel)).toEqual([3]);
      expect(pool.stats().used).toBe(0);
    }),
  ));

test("a read-only guard can be sent, and its receiver writes", () =>
  withChannel({}, (channel, pool) => {
    using owner = pool.acquire(4);
    channel.send(pool.get(owner.handle));
    using received = channel.receiveBlocking({ timeout: 0 });
    received.mutableBytes().fill(9);
    expect(owner.bytes[3]).toBe(9);
  }));

test('with views: "detach" a send detaches the views, and a refused one leaves them', () =>
  withPool({ ...options, views: "detach" }, async (pool) => {
    using channel = pool.channel("test", { capacity: 2 });
    for (const send of [
      (guard: ReturnType<BufferPool["acquire"]>) => channel.send(guard),
      (guard: ReturnType<BufferPool["acquire"]>) => channel.trySend(guard),
    ]) {
      const guard = pool.acquire(8);
      const { bytes } = guard;
      bytes.fill(6);
      expect(send(guard)).toBe(true);
      expect(bytes.length).toBe(0);
    }
    using refused = pool.acquire(8);
    const { bytes } = refused;
    expect(codeOf(() => channel.send(refused))).toBe("CHANNEL_FULL");
    expect(bytes.length).toBe(8);
    expect(pool.refCount(refused.handle)).toBe(1);
    const sending = channel.sendAsync(refused);
    using received = channel.receiveBlocking({ timeout: 0 });
    expect([...received.bytes]).toEqual(new Array(8).fill(6));
    await sending;
    expect(bytes.length).toBe(0);
    expect(pool.refCount(received.handle)).toBe(1);
  }));

test("a wait at several pools and channels returns the first that is worth a try", () =>
  withPool(options, async (pool) => {
    await withPool({ capacity: 1, bufferSize: 64 }, (full) => {
      using held = full.acquire(1);
      using left = pool.channel("left");
      using right = pool.channel("right");
      const all = [left, right, full];
      expect(codeOf(() => BufferPool.waitAny(all, { timeout: 0 }))).toBe("TIMEOUT");
      expect(codeOf(() => BufferPool.waitAny(all, { timeout: 5 }))).toBe("TIMEOUT");
      sendSizes(pool, right, 1);
      expect(BufferPool.waitAny(all, { timeout: 30_000 })).toBe(1);
      expect(drain(right)).toEqual([1]);
      held.release();
      expect(BufferPool.waitAny(all, { timeout: 30_000 })).toBe(2);
      using _again = full.acquire(1);
      left.close();
      expect(BufferPool.waitAny(all, { timeout: 30_000 })).toBe(0);
      const loose = BufferPool as unknown as { waitAny(...argv: unknown[]): unknown };
      using mute = pool.channel("mute", { subscribe: false });
      for (const sources of [undefined, [], [3], [null], new Array(129).fill(left), [mute], left]) {
        expect(codeOf(() => loose.waitAny(sources, { timeout: 1 }))).toBe("INVALID_ARGUMENT");
      }
      expect(codeOf(() => loose.waitAny([left]))).toBe("INVALID_ARGUMENT");
    });
  }));

test("a closed pool ends its channels, and what is queued stays", () =>
  withPool(options, (pool, name) => {
    const other = BufferPool.open(name);
    const channel = other.channel("test", { mode: "broadcast", history: 2 });
    sendSizes(other, channel, 1, 2);
    other.close();
    expect(codeOf(() => channel.tryReceive())).toBe("POOL_CLOSED");
    expect(codeOf(() => channel.stats())).toBe("POOL_CLOSED");
    expect(codeOf(() => other.channel("test"))).toBe("POOL_CLOSED");
    channel[Symbol.dispose]();
    const [seen] = BufferPool.inspect(name).channels;
    expect(seen).toMatchObject({ name: "test", queued: 2, subscribers: 0, openBy: 0 });
    using again = pool.channel("test");
    expect(drain(again)).toEqual([1, 2]);
  }));

test('with views: "detach" a buffer that I/O has pinned outlives its receiver', () =>
  withPool({ capacity: 2, bufferSize: 8 << 20, views: "detach" }, async (pool) => {
    using channel = pool.channel("test");
    const guard = pool.acquire();
    const compressed = new Promise((resolve) => deflate(guard.bytes, resolve));
    channel.send(guard);
    channel.tryReceive()?.release();
    expect(pool.stats()).toMatchObject({ used: 1, inFlight: 0 });
    await compressed;
    while (pool.stats().used > 0) await Bun.sleep(5);
  }));
