// A channel that gets more than memory holds while its consumer sleeps, and gives it back afterwards. The
// producer, the consumer and the Parking are processes that are killed at random; each message must come
// once, whole, and in order.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { whenInterrupted } from "../../scripts/interrupted.ts";
import { BufferPool, type ChannelOptions } from "../../src/index.ts";
import type { ParkingStats } from "../../src/park/index.ts";
import type { Task } from "./program.ts";

const program = join(import.meta.dir, "program.ts");

export interface Overflow {
  messages: number;
  size: number;
  /** Buffers of the pool. */
  buffers: number;
  /** Of each channel. */
  capacity?: number;
  /** The S3 of these variables; without them a directory. */
  env?: Readonly<Record<string, string>>;
  options?: Task["options"];
  kill?: readonly Task["role"][];
  /** Milliseconds between two kills, on average. */
  pause?: number;
  fatal?: string[];
  rest?: number;
  /** Whether the consumer sleeps until everything was sent; default true. */
  sleeps?: boolean;
  seed: number;
  log?: (line: string) => void;
}

export interface OverflowReport {
  received: number;
  /** Messages that a killed consumer got again. */
  again: number;
  kills: Record<string, number>;
  /** How often the Parking died, killed by itself, too. */
  deaths: number;
  parkedMost: number;
  parkedBytesMost: number;
  segmentsMost: number;
  /** Of the Parking itself. */
  memoryMost: number;
  /** What the pool takes in /dev/shm. */
  poolMost: number;
  secondsIn: number;
  secondsOut: number;
}

function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A process that is started again whenever it is killed. */
class Killed {
  readonly #command: string[];
  readonly #env: Record<string, string | undefined>;
  #child: Bun.Subprocess<"pipe", "inherit", "inherit"> | undefined;
  #isOver = false;
  #isClosing = false;
  deaths = 0;
  readonly ended: Promise<void>;

  constructor(task: Task, env: Readonly<Record<string, string>>) {
    this.#command = [process.execPath, program, JSON.stringify(task)];
    this.#env = { ...process.env, ...env };
    this.ended = this.#run(task.role);
    this.ended.catch(() => {});
  }

  async #run(role: string): Promise<void> {
    while (!this.#isOver) {
      this.#child = Bun.spawn(this.#command, {
        env: this.#env,
        stdio: ["pipe", "inherit", "inherit"],
      });
      if (this.#isClosing) this.#child.stdin.end();
      const code = await this.#child.exited;
      if (code === 0 || this.#isOver) return;
      if (this.#child.signalCode !== "SIGKILL") throw new Error(`the ${role} ended with ${code}`);
      this.deaths += 1;
    }
  }

  kill(): void {
    this.#child?.kill("SIGKILL");
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#child?.stdin.end();
    await this.ended;
  }

  end(): void {
    this.#isOver = true;
    this.kill();
  }
}

/** Throws where a message is lost, doubled, damaged or overtaken. */
export async function overflow(given: Overflow): Promise<OverflowReport> {
  const { messages, size, buffers, capacity = 16, env = {}, kill = [], pause = 500 } = given;
  const { fatal = [], sleeps = true, log = () => {}, options = {} } = given;
  const folder = mkdtempSync(join(tmpdir(), "xmem-overflow-"));
  const name = `overflow.${process.pid}.${given.seed}`;
  const pool = BufferPool.create(name, { capacity: buffers, bufferSize: Math.max(size, 4096) });
  const channel: ChannelOptions = { capacity, redeliver: true, maxDeliveries: 100_000 };
  using inlet = pool.channel("in", channel);
  using outlet = pool.channel("out", channel);
  const task: Omit<Task, "role"> = {
    ...{ pool: name, messages, size, options, fatal },
    ...(given.rest !== undefined && { rest: given.rest }),
    notes: join(folder, "notes"),
    report: join(folder, "report"),
    ...(given.env === undefined && { directory: join(folder, "store") }),
  };
  writeFileSync(task.notes, "");
  const report: OverflowReport = {
    ...{ received: 0, again: 0, kills: {}, deaths: 0, parkedMost: 0, parkedBytesMost: 0 },
    ...{ segmentsMost: 0, memoryMost: 0, poolMost: 0, secondsIn: 0, secondsOut: 0 },
  };
  const look = (): Partial<ParkingStats> => {
    const { committedBytes } = pool.stats();
    report.poolMost = Math.max(report.poolMost, committedBytes);
    try {
      const stats = JSON.parse(readFileSync(task.report, "utf8")) as ParkingStats & {
        memory: number;
      };
      report.parkedMost = Math.max(report.parkedMost, stats.parked);
      report.parkedBytesMost = Math.max(report.parkedBytesMost, stats.parkedBytes);
      report.segmentsMost = Math.max(report.segmentsMost, stats.segments);
      report.memoryMost = Math.max(report.memoryMost, stats.memory);
      return stats;
    } catch {
      return {};
    }
  };
  const looking = setInterval(look, 100);
  const saying = setInterval(() => {
    const { sent } = inlet.stats();
    log(`${sent} sent, ${outlet.stats().received} received, ${JSON.stringify(look())}`);
  }, 5000);
  const running = new Map<Task["role"], Killed>();
  const start = (role: Task["role"]): Killed => {
    const process = new Killed({ ...task, role }, env);
    running.set(role, process);
    return process;
  };
  const forget = whenInterrupted(() => {
    for (const each of running.values()) each.end();
    BufferPool.unlink(name);
    rmSync(folder, { recursive: true, force: true });
  });
  const next = random(given.seed);
  let isOver = false;
  const killing = async (): Promise<void> => {
    for (let round = 0; kill.length > 0; round++) {
      await Bun.sleep(pause * (0.3 + 1.4 * next()));
      if (isOver) return;
      const victim = kill[round % kill.length] as Task["role"];
      if (!running.has(victim)) continue;
      report.kills[victim] = (report.kills[victim] ?? 0) + 1;
      running.get(victim)?.kill();
    }
  };
  try {
    const began = performance.now();
    const parking = start("parking");
    const producer = start("producer");
    const failed = parking.ended.then(() => new Promise<never>(() => {}));
    void killing();
    if (!sleeps) start("consumer");
    await Promise.race([producer.ended, failed]);
    running.delete("producer");
    const middle = performance.now();
    const consumer = running.get("consumer") ?? start("consumer");
    await Promise.race([consumer.ended, failed]);
    isOver = true;
    report.secondsIn = (middle - began) / 1000;
    report.secondsOut = (performance.now() - middle) / 1000;
    // What comes twice may come late.
    await Bun.sleep(200);
    await parking.close();
    report.deaths = parking.deaths;
    look();
    if (outlet.tryReceive() !== null) throw new Error("something came once more");
    check(readFileSync(task.notes), messages, report);
    const { used } = pool.stats();
    if (used !== 0) throw new Error(`${used} buffers are lost`);
    return report;
  } finally {
    isOver = true;
    forget();
    clearInterval(looking);
    clearInterval(saying);
    for (const each of running.values()) each.end();
    for (const each of running.values()) await each.ended.catch(() => {});
    pool.close();
    BufferPool.unlink(name);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A consumer that was killed after it noted a message, and before it released it, gets it again. */
function check(notes: Buffer, messages: number, report: OverflowReport): void {
  const all = new Uint32Array(notes.buffer, notes.byteOffset, notes.length / 4);
  let expected = 0;
  for (let at = 0; at < all.length; at += 2) {
    const [sequence, deliveries = 0] = all.subarray(at, at + 2);
    if (sequence === expected) expected += 1;
    else if (sequence === expected - 1 && deliveries > 1) report.again += 1;
    else {
      throw new Error(`message ${sequence} came, delivery ${deliveries}, and not ${expected}`);
    }
  }
  if (expected !== messages) throw new Error(`${expected} of ${messages} messages came`);
  report.received = expected;
}
