// Every operation on a channel, killed at every step that it makes: see `crash_sweep.ts`. At most
// the message that was being moved is lost, never another one; the channel goes on, and a recovery
// finds every buffer again.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { BufferPool, type Channel, type ChannelOptions } from "../src/index.ts";
import { runAgain } from "./canary.ts";
import { codeOf } from "./codes.ts";
import { checkWhole, crashing, crashLibrary, report, startVictim, sweep } from "./crash_sweep.ts";

const { begin, end } = crashing("none", "cells_not_counted", "dead_cursors_kept", "taking_ignored");

beforeAll(begin, 300_000);
afterAll(end);

/** The victim's message. Those of the survivor have fewer bytes, by which they are told apart. */
const its = 100;

interface Scenario {
  channel: ChannelOptions;
  /** The survivor's messages when the victim begins. */
  queued: number[];
  /** What the survivor may receive afterwards. */
  allowed: number[][];
  operation?: string;
  /** The victim waits, and this helps it. */
  unblock?: "receive" | "send";
}

function drain(channel: Channel): number[] {
  const sizes: number[] = [];
  for (;;) {
    const guard = channel.tryReceive();
    if (guard === null) return sizes;
    sizes.push(guard.size);
    guard.release();
  }
}

/** A closed channel hands out what is in it, and says then that it is closed. */
function drainToTheEnd(channel: Channel): { sizes: number[]; closed: boolean } {
  const sizes: number[] = [];
  const code = codeOf(() => {
    for (let guard = channel.tryReceive(); guard !== null; guard = channel.tryReceive()) {
      sizes.push(guard.size);
      guard.release();
    }
  });
  expect(["none", "CHANNEL_CLOSED"]).toContain(code);
  return { sizes, closed: code === "CHANNEL_CLOSED" };
}

/** Twice round the ring. */
function checkGoesOn(pool: BufferPool, channel: Channel): void {
  const sent: number[] = [];
  const received: number[] = [];
  for (let size = 1; size <= 2 * channel.capacity; size++) {
    expect(channel.trySend(pool.acquire(size))).toBe(true);
    sent.push(size);
    received.push(...drain(channel));
  }
  expect(received).toEqual(sent);
}

/** Kills one victim at `step`. True when the operation was shorter. */
async function survive(what: string, scenario: Scenario, step: number): Promise<boolean> {
  const name = `crash.${process.pid}.${what.replaceAll(" ", "-")}.${step}`;
  const options = { capacity: 6, bufferSize: 4096, leaseTimeout: 1, channels: 2 };
  using pool = BufferPool.create(name, options);
  try {
    {
      using channel = pool.channel("c", scenario.channel);
      const victim = startVictim(
        "channel_crash_point.ts",
        name,
        scenario.operation ?? what,
        String(step),
      );
      await victim.ready;
      for (const size of scenario.queued) expect(channel.send(pool.acquire(size))).toBe(true);
      victim.go();
      const helped: number[] = [];
      if (scenario.unblock !== undefined) {
        const { unblock } = scenario;
        const isAwaited = (): boolean =>
          channel.stats()[unblock === "send" ? "waitingReceivers" : "waitingSenders"] > 0;
        while (!victim.ended() && !isAwaited()) await Bun.sleep(1);
        if (unblock === "send") channel.send(pool.acquire(9));
        else {
          const guard = channel.tryReceive();
          helped.push(guard?.size ?? 0);
          guard?.release();
        }
      }
      const survived = await victim.survived;

      expect(pool.reclaim().deferred).toBe(false);
      const { sizes, closed } = drainToTheEnd(channel);
      expect(scenario.allowed).toContainEqual([...helped, ...sizes]);
      const { queued, subscribers, waitingReceivers, waitingSenders } = channel.stats();
      expect({ queued, waitingReceivers, waitingSenders }).toEqual({
        queued: channel.history,
        waitingReceivers: 0,
        waitingSenders: 0,
      });
      expect(subscribers).toBe(channel.mode === "broadcast" ? 1 : 0);
      if (closed) expect(what).toBe("close");
      else checkGoesOn(pool, channel);
      // There is room for one more, whatever became of the victim's.
      using other = pool.channel("new", { capacity: 2, mode: "broadcast" });
      checkGoesOn(pool, other);
      // Then it is removed, with its history.
      channel.close();
      channel[Symbol.dispose]();
      await checkWhole(pool);
      return survived;
    }
  } finally {
    BufferPool.unlink(name);
  }
}

const queue: ChannelOptions = { capacity: 2 };
const jobs: ChannelOptions = { capacity: 2, redeliver: true };
const broadcast: ChannelOptions = { capacity: 2, mode: "broadcast" };

const scenarios: Record<string, Scenario> = {
  send: { channel: queue, queued: [1], allowed: [[1], [1, its]] },
  "send that drops the oldest": {
    operation: "send",
    channel: { capacity: 2, overflow: "drop-oldest" },
    queued: [1, 2],
    allowed: [[1, 2], [2], [2, its]],
  },
  "send that is dropped": {
    operation: "send",
    channel: { capacity: 2, overflow: "drop-newest" },
    queued: [1, 2],
    allowed: [[1, 2]],
  },
  "blocking send": {
    channel: queue,
    queued: [1, 2],
    unblock: "receive",
    allowed: [
      [1, 2],
      [1, 2, its],
    ],
  },
  "async send": {
    channel: queue,
    queued: [1, 2],
    unblock: "receive",
    allowed: [
      [1, 2],
      [1, 2, its],
    ],
  },
  receive: { channel: queue, queued: [1, 2], allowed: [[1, 2], [2]] },
  "blocking receive": { channel: queue, queued: [], unblock: "send", allowed: [[9], []] },
  "async receive": { channel: queue, queued: [], unblock: "send", allowed: [[9], []] },
  close: { channel: queue, queued: [1], allowed: [[1]] },
  leave: { channel: queue, queued: [1], allowed: [[1]] },
  "leave with the pool": { channel: queue, queued: [1], allowed: [[1]] },
  make: { channel: queue, queued: [1], allowed: [[1]] },
  reclaim: { channel: queue, queued: [1], allowed: [[1]] },
  "send of a message": {
    operation: "send",
    channel: jobs,
    queued: [1],
    allowed: [[1], [1, its]],
  },
  "message that makes room": {
    operation: "send",
    channel: { ...jobs, overflow: "drop-oldest" },
    queued: [1, 2],
    allowed: [[1, 2], [2], [2, its]],
  },
  // It comes back, wherever its receiver dies.
  "receive of a message": {
    operation: "receive",
    channel: jobs,
    queued: [1, 2],
    allowed: [[1, 2]],
  },
  "blocking receive of a message": {
    operation: "blocking receive",
    channel: jobs,
    queued: [],
    unblock: "send",
    allowed: [[9]],
  },
  "release of a message": {
    operation: "release",
    channel: jobs,
    queued: [1, 2],
    allowed: [[1, 2], [2]],
  },
  "message that is sent on": {
    operation: "move to the end",
    channel: jobs,
    queued: [1, 2],
    allowed: [
      [1, 2],
      [2, 1],
    ],
  },
  "broadcast send": {
    operation: "send",
    channel: { ...broadcast, history: 1 },
    queued: [1],
    allowed: [[1], [1, its]],
  },
  "broadcast send that drops the oldest": {
    operation: "send",
    channel: { ...broadcast, overflow: "drop-oldest" },
    queued: [1, 2],
    allowed: [[1, 2], [2], [2, its]],
  },
  subscribe: { channel: broadcast, queued: [1], allowed: [[1]] },
  read: { operation: "receive", channel: broadcast, queued: [1, 2], allowed: [[1, 2]] },
  "blocking read": {
    operation: "blocking receive",
    channel: broadcast,
    queued: [],
    unblock: "send",
    allowed: [[9]],
  },
  unsubscribe: { operation: "leave", channel: broadcast, queued: [1, 2], allowed: [[1, 2]] },
};

for (const [canary, scenario] of [
  ["cells_not_counted", "receive"],
  ["dead_cursors_kept", "read"],
  ["taking_ignored", "receive of a message"],
] as const) {
  test(`a recovery with the rule ${canary} broken is caught`, () => {
    const library = crashLibrary(canary);
    const { exitCode, output } = runAgain(import.meta.path, `every step ${scenario}$`, library);
    expect(exitCode).toBe(1);
    expect(output).toContain("fail");
  }, 120_000);
}

describe("killed at every step", () => {
  for (const [what, scenario] of Object.entries(scenarios)) {
    test(what, async () => {
      report(what, await sweep((step) => survive(what, scenario, step)));
    }, 120_000);
  }
});
