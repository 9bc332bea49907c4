// Tests of `bun test` that leave something behind: buffers that they acquired, pools that they
// opened, and processes that go on holding buffers of a pool made for the test.

import { afterEach, beforeEach, onTestFinished } from "bun:test";
import { BufferPool, type OutstandingBuffer, XmemError } from "../index.ts";

/** Milliseconds for which a process that a test has ended may take to be gone. */
const patience = 1000;

/** What this thread had before a test began. */
interface Before {
  pools: Set<BufferPool>;
  /** How often each hold is there: clones can look the same. */
  holds: Map<BufferPool, Map<string, number>>;
}

/** One call of `failOnLeaks`. Several may apply to one test. */
interface Check {
  /** Its tests that run side by side just now; 0 while one runs alone. */
  concurrent: number;
}

let before: Before | null = null;
const checks: Check[] = [];
/** How many tests ran side by side at most. */
let together = 0;
/** Pools that were made for the tests that run. */
const ofTests = new Set<BufferPool>();
/** What the library warned of since the last test ended: guards that nobody could reach any more. */
let warnings: string[] = [];
/** Stacks that were told before: a lost guard is found by the collector later. */
const knownStacks = new Set<string>();
let isHearing = false;

/**
 * Makes each test fail that leaves something behind: a buffer that it did not release, with the line
 * that acquired it, a pool that it did not close, or a process or Worker that still holds buffers of
 * its `testPool`. What there was before the test, from `beforeAll` say, is none of its leaks. It
 * switches tracing on, which names the lines, for pools that are opened from then on.
 *
 * Call it at the top of a test file, or for all of them in a file that `bunfig.toml` names as
 * `preload`. The check comes after the test's `afterEach` and `onTestFinished`. Tests that run side
 * by side are checked together, when the last of them ends: it is the one that fails, and the line
 * says which it was. Where several calls apply to a test, it is checked once.
 *
 * @example
 * ```ts
 * import { failOnLeaks } from "xmem/test";
 *
 * failOnLeaks();
 * ```
 */
export function failOnLeaks(): void {
  BufferPool.trace();
  if (!isHearing) process.on("warning", hear);
  isHearing = true;
  const check: Check = { concurrent: 0 };
  checks.push(check);
  beforeEach(() => begin(check));
  afterEach(() => end(check));
}

function runsSideBySide(): boolean {
  return checks.some(({ concurrent }) => concurrent > 0);
}

/** Whether a test runs whose pools are checked at its end. */
export function isChecked(): boolean {
  return before !== null;
}

/** It is closed when the test ends. */
export function own(pool: BufferPool): void {
  ofTests.add(pool);
}

function hear({ name, message }: Error): void {
  if (name === "XmemLeak") warnings.push(message);
}

function begin(check: Check): void {
  const isRunning = before !== null && !runsSideBySide();
  let isFirst = !isRunning;
  try {
    // The test's own come before it, since it is added when they are run.
    onTestFinished(() => onTestFinished(isRunning ? nothing : settle));
    // If a hook failed, tests that ran side by side have not all been counted out.
    for (const each of checks) each.concurrent = 0;
  } catch {
    // It is refused where tests run side by side.
    isFirst &&= !runsSideBySide();
    check.concurrent += 1;
    together = Math.max(together, check.concurrent);
  }
  if (isFirst) before = snapshot();
}

function nothing(): void {}

async function end(check: Check): Promise<void> {
  if (check.concurrent === 0) return;
  check.concurrent -= 1;
  if (!runsSideBySide()) await settle();
}

function snapshot(): Before {
  const opened = BufferPool.opened().map(({ pool }) => pool);
  return {
    pools: new Set(opened),
    holds: new Map(opened.map((pool) => [pool, countsOf(pool.outstanding())])),
  };
}

function keyOf({ handle, since, stack }: OutstandingBuffer): string {
  return `${handle} ${Number(since)} ${stack.join("\n")}`;
}

function countsOf(holds: readonly OutstandingBuffer[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const hold of holds) counts.set(keyOf(hold), (counts.get(keyOf(hold)) ?? 0) + 1);
  return counts;
}

/** The end of a test, or of the last of several. */
async function settle(): Promise<void> {
  const was = before;
  const ran = together;
  const pools = [...ofTests];
  before = null;
  together = 0;
  ofTests.clear();
  if (was === null) return;
  const leaks: Leak[] = [];
  const left: BufferPool[] = [];
  for (const { pool, stack } of BufferPool.opened()) {
    leaks.push(...leakedThrough(pool, was.holds.get(pool)));
    if (was.pools.has(pool)) continue;
    left.push(pool);
    if (!pools.includes(pool)) leaks.push({ what: `pool "${pool.name}" is open; opened`, stack });
  }
  // What the test caused is heard when the jobs that are under way are done. What the closing here
  // causes comes later, and was told.
  await Bun.sleep(0);
  const heard = warnings;
  warnings = [];
  for (const pool of left) pool.close();
  leaks.push(...(await heldElsewhere(pools)));
  const news = heard.filter(
    (message) => ![...knownStacks].some((stack) => message.includes(stack)),
  );
  leaks.push(...news.map((what) => ({ what, stack: [] })));
  refuse(leaks, ran);
}

/** Closes pools that were made for a test, and throws where something of them is left. */
export async function closeAll(pools: readonly BufferPool[]): Promise<void> {
  const open = BufferPool.opened().filter(({ pool }) => pools.includes(pool));
  const leaks = open.flatMap(({ pool }) => leakedThrough(pool, undefined));
  for (const pool of pools) pool.close();
  leaks.push(...(await heldElsewhere(pools)));
  refuse(leaks, 0);
}

interface Leak {
  what: string;
  /** Where it was made. */
  stack: string[];
}

function leakedThrough(pool: BufferPool, had: Map<string, number> = new Map()): Leak[] {
  const counts = new Map(had);
  return pool.outstanding().flatMap((hold) => {
    const key = keyOf(hold);
    const known = counts.get(key) ?? 0;
    counts.set(key, known - 1);
    if (known > 0) return [];
    const { index, size, stack } = hold;
    const what = `buffer ${index} of pool "${pool.name}" is held, ${size} bytes; acquired`;
    return { what, stack };
  });
}

/** By processes and Workers that the test left, of closed pools. A dead one's holds are no leak. */
async function heldElsewhere(pools: readonly BufferPool[]): Promise<Leak[]> {
  const deadline = performance.now() + patience;
  const holdersOf = (name: string) => {
    try {
      return BufferPool.inspect(name).participants.filter(({ alive, holds }) => alive && holds > 0);
    } catch (error) {
      // Nobody has it open any more.
      if (error instanceof XmemError && error.code === "POOL_NOT_FOUND") return [];
      throw error;
    }
  };
  while (pools.some(({ name }) => holdersOf(name).length > 0) && performance.now() < deadline) {
    await Bun.sleep(10);
  }
  return pools.flatMap((pool) => {
    const holders = holdersOf(pool.name);
    pool.unlink();
    return holders.map(({ pid, tid, name, holds }) => {
      const who = `process ${pid}, thread ${tid}${name === "" ? "" : ` ("${name}")`}`;
      return { what: `${who} still holds ${holds} of pool "${pool.name}"`, stack: [] };
    });
  });
}

/** As a stack and the library's warnings have them. */
function framesOf({ stack }: Leak): string {
  return stack.map((at) => `    at ${at}`).join("\n");
}

function refuse(leaks: readonly Leak[], ran: number): void {
  const [first] = leaks;
  if (first === undefined) return;
  // Of one leak the runner shows the frames below the message.
  const told = (stack: string[]): string[] =>
    leaks.length === 1 ? [] : stack.map((at) => `  at ${at}`);
  const lines = leaks.map(({ what, stack }) => [what, ...told(stack)]);
  const whose = ran > 1 ? `one of ${ran} tests that ran side by side` : "this test";
  const error = new Error(`${whose} left something behind:\n${lines.flat().join("\n")}`);
  error.name = "XmemLeak";
  for (const leak of leaks) if (leak.stack.length > 0) knownStacks.add(framesOf(leak));
  // The place in this library where it was noticed tells nobody anything; the runner shows the lines
  // of the first frame.
  error.stack = `${error.name}: ${error.message}\n${framesOf(first)}`;
  throw error;
}
