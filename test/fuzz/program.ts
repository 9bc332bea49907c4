// The fuzzer's child process: runs a range of cases, and says where it is in a file that the parent
// reads, so that a fault or a hang has a case and an operation to its name.
// Arguments: seed, first case, past the last case, the file, "verbose" or "".

import { openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { BufferPool, type PoolOptions, XmemError } from "../../src/index.ts";
import { undocumented } from "../check_documented.ts";
import type { Order } from "./companion.ts";
import { Corruption } from "./corruption.ts";
import { Random } from "./random.ts";
import { demand, Failure, type Tally, User } from "./user.ts";

const [seedText = "1", firstText = "0", endText = "0", where = "", verbose = ""] =
  process.argv.slice(2);
const seed = Number(seedText);
const file = openSync(where, "r+");
const directory = process.env["XMEM_DIR"] || "/dev/shm";
const log = verbose === "" ? () => {} : (line: string) => console.log(`    ${line}`);
const progress = new Uint32Array(2);
const label = Buffer.alloc(24);

/** The case, a number that changes with each operation, and the operation's name. */
function begin(operation: string): void {
  log(operation);
  progress[1] = ((progress[1] ?? 0) + 1) >>> 0;
  writeSync(file, progress, 0, 8, 0);
  label.fill(0).write(operation);
  writeSync(file, label, 0, label.length, 8);
}

const tally: Tally & { usable: number; corrupt: number } = {
  operations: 0,
  results: 0,
  refusals: 0,
  usable: 0,
  corrupt: 0,
};

let worker: Worker | undefined;
const replies: ((reply: string) => void)[] = [];

/** The companion's next message. */
function reply(): Promise<string> {
  return new Promise((resolve) => replies.push(resolve));
}

async function startCompanion(order: Order): Promise<boolean> {
  if (worker === undefined) {
    worker = new Worker(join(import.meta.dir, "companion.ts"));
    worker.onmessage = ({ data }) => replies.shift()?.(String(data));
  }
  const answer = reply();
  worker.postMessage(order);
  return (await answer) === "ready";
}

function optionsOf(random: Random): PoolOptions {
  return {
    capacity: random.pick([1, 2, 3, 5, 8, 16, 64]),
    bufferSize: random.pick([1, 64, 4096, 5000]),
    maxParticipants: random.pick([2, 3, 8]),
    channels: random.pick([0, 1, 2]),
    leaseTimeout: random.pick([0, 1, 30_000]),
    maxCommitted: random.pick([undefined, undefined, 16_384]),
    zeroOnRelease: random.once(2),
    ephemeral: random.once(16),
  };
}

async function runCase(number: number): Promise<void> {
  const random = new Random(seed, number);
  const name = `fuzz.${process.pid}.${number}`;
  const options = optionsOf(random);
  log(JSON.stringify(options));
  begin("create");
  const views = random.pick(["shared", "detach"] as const);
  const pool = BufferPool.create(name, { ...options, views });
  const corruption = new Corruption(join(directory, `xmem.${name}`), random, log);
  try {
    await damageLive(pool, corruption, random, options);
    begin("close");
    pool.close();
    if (random.once(3)) await damageClosed(name, corruption, random, options);
  } finally {
    corruption.close();
    pool.close();
    BufferPool.unlink(name);
  }
}

async function damageLive(
  pool: BufferPool,
  corruption: Corruption,
  random: Random,
  options: PoolOptions,
): Promise<void> {
  const user = new User(pool, random, tally, begin);
  const kind = random.pick([...new Array(14).fill("none"), "idle", "working"]);
  const stop = new Int32Array(new SharedArrayBuffer(4));
  begin("companion");
  const accompanied =
    kind !== "none" &&
    (await startCompanion({ name: pool.name, seed: random.uint32(), kind, stop }));
  await user.someOperations(12);
  const rounds = 1 + random.below(3);
  for (let round = 0; round < rounds; round++) {
    corruption.someWrites();
    await user.someOperations(12);
  }
  if (accompanied) {
    begin("companion");
    const answer = reply();
    Atomics.store(stop, 0, 1);
    const last = await answer;
    demand(last === "closed", last);
  }
  verify(user, options);
}

/** The header too is damaged before the next open reads it. */
async function damageClosed(
  name: string,
  corruption: Corruption,
  random: Random,
  options: PoolOptions,
): Promise<void> {
  if (random.once(2)) corruption.someWrites();
  else for (let write = 0; write < 3; write++) corruption.identityWrite();
  begin("inspect");
  checkInspect(name, corruption.mustRefuse);
  const replaceAbandoned = random.once(2);
  begin("open");
  let pool: BufferPool;
  try {
    pool = random.once(2)
      ? BufferPool.open(name)
      : BufferPool.openOrCreate(name, { ...options, replaceAbandoned });
  } catch (error) {
    demand(error instanceof XmemError, `open threw ${String(error)}`);
    tally.refusals++;
    return;
  }
  try {
    const user = new User(pool, random, tally, begin);
    await user.someOperations(20);
    user.releaseAll();
  } finally {
    begin("close");
    pool.close();
  }
}

/** An observer always reads the header; an open may find the mapping that a view has kept. */
function checkInspect(name: string, mustRefuse: boolean): void {
  try {
    BufferPool.inspect(name);
  } catch (error) {
    demand(error instanceof XmemError, `inspect threw ${String(error)}`);
    return;
  }
  demand(!mustRefuse, "a pool with a changed header was inspected");
}

/** After a recovery the pool has to serve, or to say that it is corrupt. */
function verify(user: User, options: PoolOptions): void {
  const { pool } = user;
  begin("verify");
  user.releaseAll();
  user.leaveChannels();
  pool.unflush();
  let code = "";
  for (let round = 0; round < 3; round++) {
    const { deferred } = pool.reclaim();
    demand(!deferred || round < 2, "recovery is deferred though nobody is there");
    try {
      const guard = pool.acquire(1);
      user.keep(guard);
      guard.bytes.fill(1);
      user.releaseAll();
      tally.usable++;
      return;
    } catch (error) {
      if (!(error instanceof XmemError)) throw error;
      code = error.code;
    }
  }
  const { free } = pool.stats();
  if (code === "POOL_CORRUPT") tally.corrupt++;
  else if (code === "POOL_FULL") demand(free === 0, `POOL_FULL with ${free} free`);
  // Damaged counts may keep so much in use that maxCommitted is used up.
  else if (code === "OUT_OF_MEMORY") {
    demand(options.maxCommitted !== undefined && free < pool.capacity, `${code}, ${free} free`);
  } else demand(false, `${code} after a recovery`);
}

for (let number = Number(firstText); number < Number(endText); number++) {
  progress[0] = number;
  try {
    await runCase(number);
    demand(undocumented.length === 0, undocumented.join("; "));
  } catch (error) {
    const what = error instanceof Failure ? error.message : (error as Error).stack;
    console.error(`  ${what}`);
    process.exit(3);
  }
}
console.log(JSON.stringify(tally));
process.exit(0);
