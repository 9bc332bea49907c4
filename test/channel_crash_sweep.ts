// Death at every step of an operation on a channel: what `channel_crash_points.test.ts` and
// `message_crash_points.test.ts` have in common. Each scenario says what the survivor may receive
// afterwards, in order.

import { expect } from "bun:test";
import { BufferPool, type Channel, type ChannelOptions } from "../src/index.ts";
import { codeOf } from "./codes.ts";
import { type Crashing, checkWhole, type Victim } from "./crash_sweep.ts";

/** The victim's message. Those of the survivor have fewer bytes, by which they are told apart. */
export const its = 100;

export interface Scenario {
  channel: ChannelOptions;
  /** The survivor's messages when the victim begins. */
  queued: number[];
  /** What the survivor may receive afterwards; from the other channel the sizes are below 0. */
  allowed: number[][];
  operation?: string;
  /** The victim waits, and this helps it. */
  unblock?: "receive" | "send";
  /** The second channel, which the victim uses as well, and what is in it. */
  other?: { channel: ChannelOptions; queued: number[] };
  /** A first victim received so many messages and died, and who recovered before the victim begins. */
  holder?: { takes: number; recovered?: boolean };
  /** Another one that died after the holder, in the middle of its operation. */
  second?: { operation: string; step: number };
  /** The victim closes the channel. */
  closes?: boolean;
  /** So many at most are recycled that came back too often. */
  dropped?: number;
}

interface Drained {
  sizes: number[];
  deliveries: number[];
  closed: boolean;
}

/** All that can be received now. A closed channel says that it is closed when nothing is left. */
export function drain(channel: Channel): Drained {
  const sizes: number[] = [];
  const deliveries: number[] = [];
  const code = codeOf(() => {
    for (let guard = channel.tryReceive(); guard !== null; guard = channel.tryReceive()) {
      sizes.push(guard.size);
      deliveries.push(guard.deliveries);
      guard.release();
    }
  });
  expect(["none", "CHANNEL_CLOSED"]).toContain(code);
  return { sizes, deliveries, closed: code === "CHANNEL_CLOSED" };
}

/** Twice round the ring. */
export function checkGoesOn(pool: BufferPool, channel: Channel): void {
  const sent: number[] = [];
  const received: number[] = [];
  for (let size = 1; size <= 2 * channel.capacity; size++) {
    expect(channel.trySend(pool.acquire(size))).toBe(true);
    sent.push(size);
    received.push(...drain(channel).sizes);
  }
  expect(received).toEqual(sent);
}

/** Once per death of somebody who may have had it, and never before. */
function checkDeliveries(channel: Channel, deliveries: number[], deaths: number): void {
  const most = channel.redeliver ? 1 + deaths : 0;
  for (const each of deliveries) {
    expect(each).toBeGreaterThanOrEqual(channel.redeliver ? 1 : 0);
    expect(each).toBeLessThanOrEqual(most);
  }
}

/** Nobody waits, and nothing is in it. */
function checkRests(channel: Channel): void {
  const { queued, subscribers, waitingReceivers, waitingSenders } = channel.stats();
  expect({ queued, waitingReceivers, waitingSenders }).toEqual({
    queued: channel.history,
    waitingReceivers: 0,
    waitingSenders: 0,
  });
  expect(subscribers).toBe(channel.mode === "broadcast" ? 1 : 0);
}

function sendAll(pool: BufferPool, channel: Channel, sizes: number[]): void {
  for (const size of sizes) expect(channel.send(pool.acquire(size))).toBe(true);
}

/** What was received to help the victim. */
async function help(
  pool: BufferPool,
  channel: Channel,
  victim: Victim,
  how: "receive" | "send",
): Promise<number[]> {
  const waiters = how === "send" ? "waitingReceivers" : "waitingSenders";
  while (!victim.ended() && channel.stats()[waiters] === 0) await Bun.sleep(1);
  if (how === "send") {
    channel.send(pool.acquire(9));
    return [];
  }
  using guard = channel.tryReceive();
  return [guard?.size ?? 0];
}

/** The program that the victims run. */
export const program = "channel_crash_point.ts";

/** Kills one victim at `step`. True when the operation was shorter. */
export async function survive(
  startVictim: Crashing["startVictim"],
  what: string,
  scenario: Scenario,
  step: number,
): Promise<boolean> {
  const start = (name: string, operation: string, at: number): Victim =>
    startVictim(name, operation, String(at));
  const name = `crash.${process.pid}.${what.replaceAll(" ", "-")}.${step}`;
  const options = { capacity: 6, bufferSize: 4096, leaseTimeout: 1, channels: 3 };
  using pool = BufferPool.create(name, options);
  const { holder, second, unblock } = scenario;
  try {
    {
      using channel = pool.channel("c", scenario.channel);
      using other = scenario.other ? pool.channel("d", scenario.other.channel) : null;
      // All open the pool before anybody dies, since an open recovers.
      const first = holder && start(name, `hold ${holder.takes}`, 0);
      const next = second && start(name, second.operation, second.step);
      const victim = start(name, scenario.operation ?? what, step);
      for (const each of [first, next, victim]) await each?.ready;
      if (other !== null) sendAll(pool, other, scenario.other?.queued ?? []);
      sendAll(pool, channel, scenario.queued);
      for (const each of [first, next]) {
        each?.go();
        await each?.survived;
        if (holder?.recovered) pool.reclaim();
      }
      victim.go();
      const target = other ?? channel;
      const helped = unblock === undefined ? [] : await help(pool, target, victim, unblock);
      const survived = await victim.survived;

      expect(pool.reclaim().deferred).toBe(false);
      const { sizes, deliveries, closed } = drain(channel);
      checkDeliveries(channel, deliveries, holder ? 2 : 1);
      const received = [...helped, ...sizes];
      if (other !== null) {
        const inOther = drain(other);
        received.push(...inOther.sizes.map((size) => -size));
        checkDeliveries(other, inOther.deliveries, 1);
        checkRests(other);
        checkGoesOn(pool, other);
      }
      expect(scenario.allowed).toContainEqual(received);
      checkRests(channel);
      if (scenario.dropped !== undefined)
        expect(channel.stats().dropped).toBeLessThanOrEqual(scenario.dropped);
      if (closed) expect(scenario.closes).toBe(true);
      else checkGoesOn(pool, channel);
      // There is room for one more, whatever became of the victim's.
      using made = pool.channel("new", { capacity: 2, mode: "broadcast" });
      checkGoesOn(pool, made);
      // Then they are removed, with their history.
      for (const each of [channel, other]) {
        each?.close();
        each?.[Symbol.dispose]();
      }
      await checkWhole(pool);
      return survived;
    }
  } finally {
    BufferPool.unlink(name);
  }
}
