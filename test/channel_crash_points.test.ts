// Every operation on a channel, killed at every step that it makes: see `channel_crash_sweep.ts`. At
// most the message that was being moved is lost, never another one; the channel goes on, and a
// recovery finds every buffer again.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ChannelOptions } from "../src/index.ts";
import { runAgain } from "./canary.ts";
import { its, program, type Scenario, survive } from "./channel_crash_sweep.ts";
import { crashing, report, sweep } from "./crash_sweep.ts";

const { begin, end, startVictim } = crashing(program);

beforeAll(begin, 300_000);
afterAll(end);

const queue: ChannelOptions = { capacity: 2 };
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
  close: { channel: queue, queued: [1], allowed: [[1]], closes: true },
  leave: { channel: queue, queued: [1], allowed: [[1]] },
  "leave with the pool": { channel: queue, queued: [1], allowed: [[1]] },
  make: { channel: queue, queued: [1], allowed: [[1]] },
  reclaim: { channel: queue, queued: [1], allowed: [[1]] },
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
  "broadcast send that is dropped": {
    operation: "send",
    channel: { ...broadcast, overflow: "drop-newest" },
    queued: [1, 2],
    allowed: [[1, 2]],
  },
  "blocking broadcast send": {
    operation: "blocking send",
    channel: broadcast,
    queued: [1, 2],
    unblock: "receive",
    allowed: [
      [1, 2],
      [1, 2, its],
    ],
  },
  "close of a broadcast": {
    operation: "close",
    channel: broadcast,
    queued: [1],
    allowed: [[1]],
    closes: true,
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
  "async read": {
    operation: "async receive",
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
] as const) {
  test(`a recovery with the rule ${canary} broken is caught`, () => {
    const pattern = `every step ${scenario}$`;
    const { exitCode, output } = runAgain(import.meta.path, pattern, "crash", canary);
    expect(exitCode).toBe(1);
    expect(output).toMatch(/^ 1 fail$/m);
  }, 120_000);
}

describe("killed at every step", () => {
  for (const [what, scenario] of Object.entries(scenarios)) {
    test(what, async () => {
      report(what, await sweep((step) => survive(startVictim, what, scenario, step)));
    }, 120_000);
  }
});
