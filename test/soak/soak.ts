// The soak: a herd of processes that use two pools, a killer among them, and at the end a look at
// what is left. Nothing may be lost, written by two at once, or read under an old handle.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BufferPool } from "../../src/index.ts";
import { Census } from "./census.ts";
import { kinds, settleQueues } from "./channels.ts";
import { type Child, Herd } from "./herd.ts";
import { JobAccount, jobsOptions, settleJobs } from "./jobs.ts";
import { failuresIn } from "./journal.ts";
import { Killer } from "./killer.ts";
import { Random } from "./random.ts";
import { blocksOf, settle } from "./settlement.ts";

const processes = 8;
const survivors = 2;
const leaseMs = 1000;
const endPatienceMs = 120_000;
const lookEveryMs = 500;

const plain = { capacity: 40, bufferSize: 65_536, maxCommitted: 24 * 65_536 };
const zeroing = { capacity: 24, bufferSize: 16_384, zeroOnRelease: true };

interface SoakOptions {
  minutes: number;
  seed: number;
}

/** True when nothing was wrong. Prints what was, and at the end one line of figures. */
export async function soak({ minutes, seed }: SoakOptions): Promise<boolean> {
  console.log(`soak: seed ${seed}, ${minutes} minutes`);
  const random = new Random(seed);
  const directory = mkdtempSync(join(tmpdir(), "xmem-soak-"));
  const pools = [`soak.${process.pid}.plain`, `soak.${process.pid}.zeroing`];
  const paths = pools.map((name) => join(process.env["XMEM_DIR"] || "/dev/shm", `xmem.${name}`));
  // Kept open, so that the queues stay when everybody else has left them.
  const kept = [plain, zeroing].map((options, place) =>
    BufferPool.create(pools[place] ?? "", {
      ...{ ...options, leaseTimeout: leaseMs, maxParticipants: 64 },
    }),
  );
  const queues = kept.map((pool) => pool.channel("queue", kinds.queue));
  const jobs = kept.map((pool) => pool.channel("jobs", jobsOptions));
  // Before anybody else looks for its file.
  new JobAccount(directory);
  const options = { directory, pools, leaseMs, processes, survivors };
  const herd = new Herd({ ...options, random: new Random(random.next()) });
  const killer = new Killer(herd, new Random(random.next()), paths);
  const watch = new Watch(herd, directory, paths[0] ?? "");
  const began = performance.now();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => watch.wrong.push(`interrupted by ${signal}`));
  }
  const seconds = (): number => Math.round((performance.now() - began) / 1000);
  try {
    await killer.run(() => watch.failed || performance.now() - began > minutes * 60_000);
    if (!watch.failed) await endAll(herd, watch);
    watch.close();
    watch.countRecoveries(pools);
    if (!watch.failed) {
      watch.wrong.push(...watch.growth(), ...settleQueues(queues, kept, herd.figures));
      watch.wrong.push(...settleJobs(jobs, kept, directory));
      for (const pool of kept) pool.close();
      const settled = pools.map((name, place) => settle(name, paths[place] ?? ""));
      watch.wrong.push(...(await Promise.all(settled)).flat());
      watch.wrong.push(...zombies());
    }
    if (watch.failed) report(herd, pools, watch.wrong, seed);
    await herd.destroy();
  } finally {
    watch.close();
    await herd.destroy();
    for (const pool of kept) pool.close();
    for (const name of pools) BufferPool.unlink(name);
    rmSync(directory, { recursive: true });
  }
  const left = leftFiles();
  if (left.length > 0) watch.wrong.push(`left behind: ${left.join(", ")}`);
  if (left.length > 0) console.error(watch.wrong.at(-1));
  console.log(summary(herd, killer, watch, seed, seconds()));
  return !watch.failed;
}

/**
 * Watches while the herd lives: for failures, for threads that hang, and for the memory that the
 * pool uses.
 */
class Watch {
  readonly wrong: string[] = [];
  committedMost = 0;
  recoveries = 0;
  deferred = 0;
  readonly #herd: Herd;
  readonly #directory: string;
  readonly #path: string;
  readonly #censuses: Census[] = Array.from({ length: survivors }, () => new Census());
  readonly #emptyBytes: number;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(herd: Herd, directory: string, path: string) {
    this.#herd = herd;
    this.#directory = directory;
    this.#path = path;
    this.#emptyBytes = blocksOf(path);
    this.#timer = setInterval(() => this.#look(), lookEveryMs);
  }

  get failed(): boolean {
    return this.wrong.length > 0;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#look();
  }

  #look(): void {
    if (this.failed) return;
    this.wrong.push(...failuresIn(this.#directory), ...this.#herd.failures, ...this.#herd.hung());
    for (const [place, census] of this.#censuses.entries()) {
      const child = this.#herd.children[place];
      if (child !== undefined && !child.gone) census.look(child.process.pid);
    }
    const inUse = blocksOf(this.#path) - this.#emptyBytes;
    this.committedMost = Math.max(this.committedMost, inUse);
    // A trim lowers the count before it gives the memory back, and each row is committed when it is
    // first taken.
    const rows = 64 * 4096;
    const most = plain.maxCommitted + 16 * plain.bufferSize + rows;
    if (inUse > most) this.wrong.push(`the plain pool's file has ${inUse} bytes, over ${most}`);
  }

  countRecoveries(pools: string[]): void {
    for (const name of pools) {
      const { recoveries, deferred } = BufferPool.inspect(name).counters;
      this.recoveries += recoveries;
      this.deferred += deferred;
    }
  }

  growth(): string[] {
    return this.#censuses.flatMap((census, place) =>
      census.growth().map((what) => `survivor ${place}: ${what}`),
    );
  }

  toString(): string {
    return this.#censuses.map((census, place) => `survivor ${place}: ${census}`).join("; ");
  }
}

async function endAll(herd: Herd, watch: Watch): Promise<void> {
  // Some die at the very end, so that only the last check gives back what they held.
  for (const child of herd.living) if (!child.survivor && child.place % 2 === 0) herd.kill(child);
  const deadline = performance.now() + endPatienceMs;
  const late = (): boolean => performance.now() > deadline;
  while (herd.living.length > 0 && !watch.failed && !late()) {
    // More than once: a process that has only just begun may not be listening yet.
    herd.end();
    await Bun.sleep(200);
  }
  for (const child of herd.living) watch.wrong.push(`${child.id} did not end`);
}

/** Zombies: children that ended and for which nobody waited. */
function zombies(): string[] {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").split(" ");
  return children
    .filter((pid) => pid.trim() !== "")
    .filter((pid) => readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z "))
    .map((pid) => `process ${pid} is a zombie`);
}

function leftFiles(): string[] {
  const files = readdirSync(process.env["XMEM_DIR"] || "/dev/shm");
  return files.filter((file) => file.includes(`soak.${process.pid}.`));
}

function report(herd: Herd, pools: string[], wrong: string[], seed: number): void {
  console.error(`soak FAILED, seed ${seed}:`);
  for (const what of wrong) console.error(what);
  console.error("the last steps of each process:");
  for (const child of herd.living) console.error(describe(herd, child));
  for (const name of pools) {
    try {
      console.error(Bun.inspect(BufferPool.inspect(name), { depth: 4 }));
    } catch (error) {
      console.error(`pool ${name} cannot be inspected: ${error}`);
    }
  }
}

function describe(herd: Herd, child: Child): string {
  return `${child.id} (${child.process.pid})\n${herd.dump(child)}`;
}

function summary(herd: Herd, killer: Killer, watch: Watch, seed: number, seconds: number): string {
  const { steps, acquired, waited, taken, expired, checked, busy } = herd.figures;
  const { SIGKILL, SIGTERM, SIGSTOP, terminate, recoverer } = killer.done;
  const perMinute = Math.round((60 * (SIGKILL + SIGTERM + SIGSTOP + terminate)) / seconds);
  const lost = watch.failed ? `FAILED: ${watch.wrong.length}` : "lost 0";
  const rest = Object.entries(herd.figures).map(([name, count]) => `${name} ${count}`);
  console.log(`all figures: ${rest.join(", ")}`);
  console.log(`plain pool: at most ${watch.committedMost} bytes of its file; ${watch}`);
  return (
    `soak: seed ${seed}, ${(seconds / 60).toFixed(1)} min, ${herd.started} processes, ` +
    `SIGKILL ${SIGKILL}, SIGTERM ${SIGTERM}, SIGSTOP ${SIGSTOP}, terminate ${terminate}, ` +
    `in a recovery ${recoverer} ` +
    `(${perMinute}/min), operations ${steps}, acquired ${acquired} (after a wait ${waited}), ` +
    `recoveries ${watch.recoveries} (and ${watch.deferred} deferred), taken ${taken}, expired ${expired}, busy ${busy}, buffers checked ${checked}, ${lost}`
  );
}
