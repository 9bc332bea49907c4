// The common needs of every operation of a soak's thread: random choices, the journal, the pools,
// and the rules which errors are allowed.

import { type BufferPool, XmemError, type XmemErrorCode } from "../../src/index.ts";
import { native } from "../../src/native/native.ts";
import { type Figure, Journal, recordFailure } from "./journal.ts";
import type { Address, Parcel, ThreadTask } from "./messages.ts";
import { Random } from "./random.ts";
import { currentThread, type ThreadId } from "./thread_life.ts";

/** Leases go by a clock that ticks every few milliseconds. */
const clockSlackMs = 25;

const figureOf: Partial<Record<XmemErrorCode, Figure>> = {
  POOL_FULL: "full",
  TIMEOUT: "timed out",
  POOL_FLUSHING: "flushing",
  OUT_OF_MEMORY: "out of memory",
  POOL_BUSY: "busy",
};

export class Context {
  readonly task: ThreadTask;
  readonly random: Random;
  readonly journal: Journal;
  readonly self: ThreadId = currentThread();
  /** Those that are open. */
  readonly pools: (BufferPool | null)[] = [];
  readonly send: (to: Address, parcel: Parcel) => void;
  /** Ends the run, because of a fault. */
  failed = false;

  constructor(task: ThreadTask, send: (to: Address, parcel: Parcel) => void) {
    this.task = task;
    this.random = new Random(task.seed);
    this.journal = new Journal(task.directory, task.id);
    this.send = send;
  }

  /**
   * POOL_BUSY is always allowed, since a participant may be stopped inside a recovery at any time.
   * All other codes must be in `codes`.
   */
  expect(error: unknown, codes: readonly XmemErrorCode[]): void {
    if (!isOneOf(error, [...codes, "POOL_BUSY"])) throw error;
    const figure = figureOf[error.code];
    if (figure !== undefined) this.journal.count(figure);
  }

  /** A reference that nobody owns, made at `sinceMs`, is only gone when its lease has passed. */
  checkLease(sinceMs: number, what: string): void {
    this.journal.count("expired");
    const ageMs = native.xmem_bun_now() - sinceMs;
    if (ageMs >= this.task.leaseMs - clockSlackMs) return;
    this.fail(`a reference was lost ${ageMs.toFixed(1)} ms after it was made: ${what}`);
  }

  fail(what: string): never {
    throw new Error(what);
  }

  /** For code whose errors nobody catches. */
  guarded(body: () => void): void {
    try {
      body();
    } catch (error) {
      this.record(error);
    }
  }

  record(error: unknown): void {
    if (this.failed) return;
    this.failed = true;
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.journal.step(`failed: ${what}`);
    recordFailure(this.task.directory, this.task.id, this.self, what);
  }
}

export function isOneOf(error: unknown, codes: readonly XmemErrorCode[]): error is XmemError {
  return error instanceof XmemError && codes.includes(error.code);
}
