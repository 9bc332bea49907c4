// `xmem top`: looks at one pool, or at all of a folder, again and again. On a terminal it draws a
// screen and listens to keys; elsewhere it prints one frame after another.

import { BufferPool, type LookOptions } from "../index.ts";
import { type CommandError, exit, gone } from "./failure.ts";
import { folder, lookOf } from "./list.ts";
import { type Sample, sample } from "./sample.ts";
import { Screen, type Size } from "./screen.ts";
import { folderFrame, orders, poolFrame, type View } from "./top_frame.ts";

export interface TopOptions extends LookOptions {
  interval: number;
  count?: number;
}

/** Looks, and says what to show of it. */
interface Subject {
  look(): void;
  frame(view: View, size: Size): string[];
  /** Whether there is nothing to look at any more, which ends a run without a terminal. */
  isOver(): CommandError | null;
}

/** As many as the widest screen shows. */
const historyMost = 1000;

function clock(): string {
  return new Date().toTimeString().slice(0, 8);
}

function onePool(name: string, options: TopOptions): Subject {
  const look = lookOf(options);
  let [now, last]: [Sample | null, Sample | null] = [null, null];
  let since = "";
  let history: number[] = [];
  return {
    look() {
      now = sample(name, look, now);
      if (now === null) {
        since ||= clock();
        return;
      }
      // A later pool of the same name begins anew.
      if (since !== "") history = [];
      since = "";
      last = now;
      history = [...history, now.stats.used / now.stats.capacity].slice(-historyMost);
    },
    frame(view, size) {
      const { interval } = options;
      const frame = { name, clock: clock(), interval, now, last, gone: since, history };
      return poolFrame(frame, view, size);
    },
    isOver: () => (now === null ? gone(name, last !== null) : null),
  };
}

function wholeFolder(options: TopOptions): Subject {
  const look = lookOf(options);
  type Known = { last: Sample | null; history: number[] };
  let known = new Map<string, Known>();
  let infos = BufferPool.list(look);
  return {
    look() {
      infos = BufferPool.list(look);
      known = new Map(
        infos.map((info) => {
          const before = known.get(info.name);
          if (info.problem !== undefined) return [info.name, { last: null, history: [] }];
          const last = sample(info.name, look, before?.last ?? null);
          const share = last === null ? 0 : last.stats.used / last.stats.capacity;
          return [info.name, { last, history: [...(before?.history ?? []), share].slice(-20) }];
        }),
      );
    },
    frame(view, size) {
      const none: Known = { last: null, history: [] };
      const pools = infos.map((info) => ({ info, ...(known.get(info.name) ?? none) }));
      const frame = { folder: folder(), clock: clock(), interval: options.interval, pools };
      return folderFrame(frame, view, size);
    },
    isOver: () => null,
  };
}

/** Returns the exit code. */
export async function top(pool: string | undefined, options: TopOptions): Promise<number> {
  const subject = pool === undefined ? wholeFolder(options) : onePool(pool, options);
  subject.look();
  // A wrong name is an error, and no screen that waits.
  const missing = subject.isOver();
  if (missing !== null) throw missing;
  return process.stdout.isTTY === true ? onTerminal(subject, options) : plainly(subject, options);
}

async function plainly(subject: Subject, options: TopOptions): Promise<number> {
  const view: View = { order: "holds", reversed: false, first: 0 };
  const most = options.count ?? Number.POSITIVE_INFINITY;
  for (let frames = 1; ; frames++) {
    const lines = subject.frame(view, { columns: 80, rows: Number.POSITIVE_INFINITY });
    console.log(`${lines.slice(0, -1).join("\n").trimEnd()}\n`);
    if (frames >= most) return exit.ok;
    await Bun.sleep(options.interval);
    subject.look();
    const over = subject.isOver();
    if (over !== null) throw over;
  }
}

async function onTerminal(subject: Subject, options: TopOptions): Promise<number> {
  const view: View = { order: "holds", reversed: false, first: 0 };
  const draw = (): void => screen.draw(subject.frame(view, Screen.size()));
  const keys: Record<string, () => void> = {
    s: () => {
      view.order = orders[(orders.indexOf(view.order) + 1) % orders.length] ?? "holds";
    },
    r: () => {
      view.reversed = !view.reversed;
    },
    down: () => {
      view.first += 1;
    },
    up: () => {
      view.first = Math.max(0, view.first - 1);
    },
  };
  const screen = new Screen((key) => {
    keys[key]?.();
    draw();
  }, draw);
  let looks = 1;
  const failed = Promise.withResolvers<never>();
  draw();
  const timer = setInterval(() => {
    try {
      subject.look();
      draw();
      looks += 1;
      if (looks >= (options.count ?? Number.POSITIVE_INFINITY)) done.resolve("quit");
    } catch (error) {
      failed.reject(error);
    }
  }, options.interval);
  const done = Promise.withResolvers<"quit">();
  try {
    const end = await Promise.race([screen.ended, done.promise, failed.promise]);
    return end === "quit" ? exit.ok : 128 + end.signal;
  } finally {
    clearInterval(timer);
    screen.close();
  }
}
