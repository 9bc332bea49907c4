// The commands that change something: `reclaim`, `trim`, `prune` and `unlink`. None of them takes the
// name away of a pool that somebody has open, unless it is forced to.

import { createInterface } from "node:readline/promises";
import { BufferPool, type OpenOptions, type PoolInfo } from "../index.ts";
import { CommandError, isCode } from "./failure.ts";
import { who } from "./info.ts";
import { folder, lookOf } from "./list.ts";
import { bytes, count, json } from "./text.ts";

export interface UpkeepOptions extends OpenOptions {
  json?: boolean;
}

function open(pool: string, options: UpkeepOptions): BufferPool {
  return BufferPool.open(pool, { ...lookOf(options), participantName: "xmem" });
}

export function reclaim(pool: string, options: UpkeepOptions): string {
  // An open recovers, too, and says nothing of it: so what was there is counted before.
  const before = BufferPool.inspect(pool, lookOf(options));
  using opened = open(pool, options);
  const report = opened.reclaim();
  const after = opened.stats();
  const deadBefore = before.participants.filter(({ alive }) => !alive).length;
  const deadAfter = after.participants.filter(({ alive }) => !alive).length;
  const found = {
    participants: Math.max(report.participants, deadBefore - deadAfter),
    buffers: Math.max(report.buffers, before.used - after.used),
    deferred: report.deferred,
    used: after.used,
    capacity: after.capacity,
  };
  if (options.json === true) return json(found);
  const lines = [
    `${count(found.participants, "dead participant")}, ${count(found.buffers, "buffer")} given back; ` +
      `${after.used} of ${after.capacity} are in use`,
  ];
  if (found.deferred) lines.push("a live participant stands still inside an operation: try again");
  return lines.join("\n");
}

export function trim(pool: string, options: UpkeepOptions): string {
  using opened = open(pool, options);
  const freedBytes = opened.trim();
  const { committedBytes } = opened.stats();
  if (options.json === true) return json({ freedBytes, committedBytes });
  return `${bytes(freedBytes)} given back, ${bytes(committedBytes)} stay committed`;
}

export interface PruneOptions {
  json?: boolean;
  yes?: boolean;
  dryRun?: boolean;
}

export async function prune(options: PruneOptions): Promise<string> {
  const found = BufferPool.prune({ dryRun: true });
  const say = (removed: string[]): string =>
    options.json === true ? json({ found, removed }) : sentence(found, removed);
  if (found.length === 0 || options.dryRun === true) return say([]);
  if (options.yes !== true) await confirm(found);
  // Somebody may have opened one of them since: each is looked at again.
  return say(found.filter((name) => BufferPool.prune({ name }).length === 1));
}

function sentence(found: string[], removed: string[]): string {
  if (found.length === 0) return `no pool in ${folder()} is without a live participant`;
  if (removed.length === 0) return `without a live participant: ${found.join(", ")}`;
  return `removed ${removed.join(", ")}`;
}

async function confirm(names: string[]): Promise<void> {
  const asked = `remove ${count(names.length, "pool")} without a live participant (${names.join(", ")})`;
  if (process.stdin.isTTY !== true) {
    throw new CommandError("NOT_CONFIRMED", `--yes is needed to ${asked}: nobody can be asked`);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${asked[0]?.toUpperCase()}${asked.slice(1)}? [y/N] `);
    if (/^y(?:es)?$/i.test(answer.trim())) return;
  } finally {
    terminal.close();
  }
  throw new CommandError("NOT_CONFIRMED", "nothing was removed");
}

export interface UnlinkOptions {
  json?: boolean;
  force?: boolean;
}

export function unlink(pool: string, options: UnlinkOptions): string {
  const removed = options.force === true ? force(pool) : BufferPool.prune({ name: pool });
  if (removed.length === 0) refuse(pool);
  return options.json === true ? json({ removed }) : `removed ${pool}`;
}

/** The names that it removed. */
function force(pool: string): string[] {
  return BufferPool.unlink(pool) ? [pool] : [];
}

function refuse(pool: string): never {
  const info = BufferPool.list().find(({ name }) => name === pool);
  // Of a pool that is not there, this says so.
  const stats = inspected(pool, info);
  const users = stats?.participants.filter(({ alive }) => alive) ?? [];
  const found =
    users.length > 0
      ? `it is open by ${users.map(who).join(", ")}`
      : "nobody can say whether somebody has it open";
  const why = info?.problem === undefined ? found : `${found}: ${info.problem}`;
  throw new CommandError("POOL_IN_USE", `pool "${pool}" stays: ${why}; --force removes its name`);
}

function inspected(pool: string, info: PoolInfo | undefined) {
  try {
    return BufferPool.inspect(pool);
  } catch (error) {
    if (info === undefined || isCode(error, "POOL_NOT_FOUND")) throw error;
    return null;
  }
}
