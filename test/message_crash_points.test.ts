// Every operation on a channel that redelivers, killed at every step that it makes, and the recoveries
// that bring messages back: see `channel_crash_sweep.ts`. No message is lost, each is delivered once
// more per death at most, and a recovery finds every buffer again. Lost is only what its holder was
// giving away: by a release, a hand-off, or a send to a channel that does not redeliver.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ChannelOptions } from "../src/index.ts";
import { runAgain } from "./canary.ts";
import { its, program, type Scenario, survive } from "./channel_crash_sweep.ts";
import { crashing, report, sweep } from "./crash_sweep.ts";

const { begin, end, startVictim } = crashing(program);

beforeAll(begin, 300_000);
afterAll(end);

/** Recoveries are long. Where not every step is tried, still fewer of theirs are. */
const fewer = 6;

const jobs: ChannelOptions = { capacity: 2, redeliver: true };

const scenarios: Record<string, Scenario> = {
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
  "message that is dropped": {
    operation: "send",
    channel: { ...jobs, overflow: "drop-newest" },
    queued: [1, 2],
    allowed: [[1, 2]],
  },
  "blocking send of a message": {
    operation: "blocking send",
    channel: jobs,
    queued: [1, 2],
    unblock: "receive",
    allowed: [
      [1, 2],
      [1, 2, its],
    ],
  },
  "async send of a message": {
    operation: "async send",
    channel: jobs,
    queued: [1, 2],
    unblock: "receive",
    allowed: [
      [1, 2],
      [1, 2, its],
    ],
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
  "async receive of a message": {
    operation: "async receive",
    channel: jobs,
    queued: [],
    unblock: "send",
    allowed: [[9]],
  },
  "receive of one that came back": {
    operation: "receive",
    channel: jobs,
    queued: [1, 2],
    holder: { takes: 1, recovered: true },
    allowed: [[1, 2]],
  },
  "release of a message": {
    operation: "release",
    channel: jobs,
    queued: [1, 2],
    allowed: [[1, 2], [2]],
  },
  "close with a message": {
    operation: "close with a message",
    channel: jobs,
    queued: [1, 2],
    allowed: [[1, 2], [2]],
  },
  "hand-off of a message": {
    operation: "hand off",
    channel: jobs,
    queued: [1, 2],
    allowed: [[1, 2], [2]],
  },
  "share of a message": { operation: "share", channel: jobs, queued: [1, 2], allowed: [[1, 2]] },
  "clone of a message": { operation: "clone", channel: jobs, queued: [1, 2], allowed: [[1, 2]] },
  "message that is sent on": {
    operation: "move to the end",
    channel: jobs,
    queued: [1, 2],
    allowed: [
      [1, 2],
      [2, 1],
    ],
  },
  "message that is sent elsewhere": {
    operation: "move to the other",
    channel: jobs,
    other: { channel: jobs, queued: [] },
    queued: [1, 2],
    allowed: [
      [1, 2],
      [2, -1],
    ],
  },
  "message that waits for room elsewhere": {
    operation: "blocking move to the other",
    channel: jobs,
    other: { channel: { ...jobs, capacity: 1 }, queued: [5] },
    unblock: "receive",
    queued: [1, 2],
    allowed: [
      [5, 1, 2],
      [5, 2, -1],
    ],
  },
  "message that makes room elsewhere": {
    operation: "move to the other",
    channel: jobs,
    other: { channel: { ...jobs, capacity: 1, overflow: "drop-oldest" }, queued: [5] },
    queued: [1, 2],
    allowed: [
      [1, 2, -5],
      [1, 2],
      [2, -1],
    ],
  },
  "message that is dropped elsewhere": {
    operation: "move to the other",
    channel: jobs,
    other: { channel: { ...jobs, capacity: 1, overflow: "drop-newest" }, queued: [5] },
    queued: [1, 2],
    allowed: [
      [1, 2, -5],
      [2, -5],
    ],
  },
  "message that becomes an ordinary buffer": {
    operation: "move to the other",
    channel: jobs,
    other: { channel: { capacity: 2 }, queued: [] },
    queued: [1, 2],
    allowed: [[1, 2], [2], [2, -1]],
  },
  "message that a full queue refuses": {
    operation: "try to move to the other",
    channel: jobs,
    other: { channel: { capacity: 1 }, queued: [5] },
    queued: [1, 2],
    allowed: [
      [1, 2, -5],
      [2, -5],
    ],
  },
  "close of a channel with messages": {
    operation: "close",
    channel: jobs,
    queued: [1],
    allowed: [[1]],
    closes: true,
  },
  "leave with a message": {
    operation: "leave with a message",
    channel: jobs,
    queued: [1, 2],
    allowed: [[1, 2]],
  },
};

for (const [canary, pattern] of [
  ["taking_ignored", "every step receive of a message$"],
  ["returned_not_counted", "every step, a recovery of two messages$"],
] as const) {
  test(`a recovery with the rule ${canary} broken is caught`, () => {
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

const three: ChannelOptions = { capacity: 3, redeliver: true };
const two: Scenario = {
  operation: "reclaim alone",
  channel: three,
  queued: [1, 2, 3],
  holder: { takes: 2 },
  allowed: [[1, 2, 3]],
};
const letters: ChannelOptions = { ...three, maxDeliveries: 1, deadLetter: "d" };

const recoveries: Record<string, Scenario> = {
  "of two messages": two,
  "of messages for the dead letters": {
    ...two,
    channel: letters,
    other: { channel: jobs, queued: [5] },
    allowed: [[3, -1, -2, -5]],
  },
  "of messages for dead letters that are a queue": {
    ...two,
    channel: letters,
    other: { channel: { capacity: 2 }, queued: [5] },
    allowed: [[3, -5, -1, -2]],
  },
  "of messages that are dropped": {
    ...two,
    channel: { ...three, maxDeliveries: 1 },
    allowed: [[3]],
    dropped: 2,
  },
  "of a channel that is removed with its messages": {
    operation: "reclaim a channel with messages",
    channel: three,
    queued: [1],
    allowed: [[1]],
  },
  "of a message that its taker did not take": {
    ...two,
    // Right after the CAS on the cell, and near it.
    second: { operation: "receive", step: 16 },
  },
  "by a receiver": {
    operation: "receive",
    channel: jobs,
    queued: [1, 2],
    holder: { takes: 2 },
    allowed: [[1, 2]],
  },
  "by who makes a channel that redelivers": {
    operation: "make one that redelivers",
    channel: jobs,
    queued: [1],
    allowed: [[1]],
  },
};

describe("killed at every step, a recovery", () => {
  for (const [what, scenario] of Object.entries(recoveries)) {
    test(what, async () => {
      const points = await sweep((step) => survive(startVictim, what, scenario, step), fewer);
      report(`recovery ${what}`, points);
    }, 900_000);
  }

  let whole: Promise<number> | undefined;
  const steps = (): Promise<number> => {
    whole ??= sweep((step) => survive(startVictim, "steps", two, step), fewer);
    return whole;
  };

  // The first recoverer dies when everything is frozen, amid its rewriting, and near its end.
  for (const successor of ["reclaim alone", "receive"]) {
    test(`that ${successor} carries on after a dead recoverer`, async () => {
      for (const part of [0.35, 0.55, 0.75]) {
        const first = Math.round((await steps()) * part);
        const scenario = {
          ...two,
          operation: successor,
          second: { operation: "reclaim alone", step: first },
        };
        const what = `${successor} after ${first}`;
        report(what, await sweep((step) => survive(startVictim, what, scenario, step), 2 * fewer));
      }
    }, 900_000);
  }
});
