// Death at every step of an operation, by processes of their own: what the tests of crash points
// have in common. A program of `programs/` arms the crash library, and dies at the step that it was
// told.

import { expect } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { breaking, buildChecked } from "../scripts/checked.ts";
import type { BufferPool } from "../src/index.ts";

/** How many points are tried at a time: each is mostly the start of a process. */
const lanes = 4;
const stepsMax = 2000;

/** A folder for one file's pools, and what its victims are started of. */
export interface Crashing {
  directory: string;
  begin: () => Promise<void>;
  end: () => void;
  /** Starts a victim. It breaks no rule, also where this process does. */
  startVictim: (...argv: string[]) => Victim;
}

/** For victims that run that program of `programs/`. */
export function crashing(program: string): Crashing {
  const directory = mkdtempSync("/dev/shm/xmem-crash-");
  const built = mkdtempSync(join(tmpdir(), "xmem-crash-"));
  const begin = async (): Promise<void> => {
    process.env["XMEM_DIR"] = directory;
    buildChecked("crash");
    // One file: there are thousands of victims, and each would read and compile all sources.
    await Bun.build({
      entrypoints: [join(import.meta.dir, "programs", program)],
      target: "bun",
      external: ["*.so", "*.dylib"],
      outdir: built,
    });
  };
  const end = (): void => {
    delete process.env["XMEM_DIR"];
    rmSync(built, { recursive: true });
    const left = readdirSync(directory);
    rmSync(directory, { recursive: true });
    // No process left a file behind, whenever it was killed.
    expect(left).toEqual([]);
  };
  const file = join(built, program.replace(/\.ts$/, ".js"));
  return { directory, begin, end, startVictim: (...argv) => start(file, argv) };
}

export interface Victim {
  ended: () => boolean;
  /** Resolves when it is about to begin; a gated one then waits for `go`. */
  ready: Promise<void>;
  go: () => void;
  /** True when the operation was shorter than the step at which it had to die. */
  survived: Promise<boolean>;
}

function start(program: string, argv: string[]): Victim {
  const child = Bun.spawn([process.execPath, program, ...argv], {
    env: { ...process.env, ...breaking("crash", "none") },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const text: string[] = [];
  const ready = Promise.withResolvers<void>();
  const read = async (): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) {
      text.push(decoder.decode(chunk));
      if (text.join("").includes("ready\n")) ready.resolve();
    }
    ready.resolve();
  };
  const survived = async (): Promise<boolean> => {
    await read();
    await child.exited;
    // It dies by SIGKILL in any case, after the operation if not in it.
    if (child.signalCode === "SIGKILL") return text.join("").includes("survived");
    throw new Error(`${argv.join(" ")}: ${await new Response(child.stderr).text()}`);
  };
  const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return { ended, ready: ready.promise, go: () => void child.stdin.end(), survived: survived() };
}

/**
 * How far apart the steps are that are tried, on average: a fifth of them at each change, half of
 * them in CI, every one where this is 1. They are random, so that repeated runs come to all.
 */
const meanGap = Number(process.env["XMEM_STEP_GAP"] ?? 5);

/**
 * Tries steps from one of the first on, a few at a time, until the operation is shorter. Returns the
 * steps it has, or where not every one is tried nearly so many. `fewer`: where not every one is,
 * only one of so many of the others is, either.
 */
export async function sweep(
  survives: (step: number) => Promise<boolean>,
  fewer = 1,
): Promise<number> {
  const mean = meanGap === 1 ? 1 : meanGap * fewer;
  const gap = (): number => 1 + Math.floor(Math.random() * (2 * mean - 1));
  // Of a short operation too, one is tried.
  let next = 1 + Math.floor(Math.random() * Math.min(mean, 3));
  let end = stepsMax;
  const lane = async (): Promise<void> => {
    while (next < end) {
      const step = next;
      next += gap();
      let survived = true;
      try {
        survived = await survives(step);
      } finally {
        // Also where a check failed, so that the others end too.
        if (survived) end = Math.min(end, step);
      }
    }
  };
  // Waits for all of them, so that each has ended its processes also where a check failed.
  const results = await Promise.allSettled(Array.from({ length: lanes }, lane));
  for (const result of results) if (result.status === "rejected") throw result.reason;
  if (end === stepsMax) throw new Error("the operation never ends");
  return end - 1;
}

export function report(what: string, points: number): void {
  console.log(`${what}: ${points} crash points`);
  expect(points).toBeGreaterThan(2);
}

/** Checks what has to hold after a recovery, when the survivor has given back its buffers. */
export async function checkWhole(pool: BufferPool, zeroed = false): Promise<void> {
  // Coarse clocks tick in milliseconds; a lease of 1 ms has passed after some of them.
  await Bun.sleep(15);
  expect(pool.reclaim().deferred).toBe(false);
  const { free, used, inFlight, waiters, flushing, participants, counters } = pool.stats();
  expect({ free, used, inFlight }).toEqual({ free: pool.capacity, used: 0, inFlight: 0 });
  expect({ waiters, flushing, participants: participants.length }).toEqual({
    waiters: 0,
    flushing: false,
    participants: 1,
  });
  const all = Array.from({ length: pool.capacity }, () => pool.acquire());
  expect(new Set(all.map(({ index }) => index)).size).toBe(pool.capacity);
  expect(pool.tryAcquire(1)).toBeNull();
  if (zeroed) for (const { bytes } of all) expect(bytes.every((byte) => byte === 0)).toBe(true);
  for (const guard of all) guard.release();
  // A frozen word, or a fault of the list, would have made this a recovery.
  expect(pool.stats().counters.recoveries).toBe(counters.recoveries);
}
