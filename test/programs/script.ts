// The common part of the pieces of source that tests run in processes of their own: it talks to the
// test, judges errors, stops or kills the process at a step, and fills a file system.

import { dlopen } from "bun:ffi";
import {
  closeSync,
  openSync,
  readdirSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { BufferPool, type ReclaimReport } from "../../src/index.ts";
import { libraryPath } from "../../src/native/library.ts";

export { BufferPool };
export const page = 4096;
export const folder: string = process.env["XMEM_DIR"] ?? "/dev/shm";

/** One line to the test. */
export function say(value: unknown): void {
  writeSync(1, `${typeof value === "string" ? value : JSON.stringify(value)}\n`);
}

let lines: AsyncIterator<string> | undefined;

async function* readLines(): AsyncGenerator<string, string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const piece of Bun.stdin.stream()) {
    text += decoder.decode(piece, { stream: true });
    const whole = text.split("\n");
    text = whole.pop() ?? "";
    yield* whole;
  }
  return "";
}

/** The next line from the test; "" when it has ended. */
export async function heard(): Promise<string> {
  lines ??= readLines();
  return (await lines.next()).value;
}

export { codeOf, codeOfLater } from "../codes.ts";

type Hook = "xmem_crash_arm" | "xmem_stop_arm";

function arm(name: Hook, step: number): void {
  const { symbols } = dlopen(libraryPath(), { [name]: { args: ["f64"], returns: "void" } });
  symbols[name]?.(step);
}

/** With the crash library: this process kills itself at the k-th step from here on; 0 disarms. */
export function killAtStep(step: number): void {
  arm("xmem_crash_arm", step);
}

/** The same, but it stops itself, and goes on when somebody sends SIGCONT. */
export function stopAtStep(step: number): void {
  arm("xmem_stop_arm", step);
}

/** Steps since this thread last armed. */
export function stepsTaken(): number {
  const { symbols } = dlopen(libraryPath(), { xmem_crash_steps: { args: [], returns: "f64" } });
  return symbols.xmem_crash_steps();
}

/**
 * Makes something to recover, a lease that has passed, and recovers the pool. It stops itself at
 * the given step of that; 0: it does not stop. It returns the report and the number of steps.
 */
export function recoverStopping(
  pool: BufferPool,
  leaseMs: number,
  step: number,
): { report: ReclaimReport; steps: number } {
  pool.acquire(1).handOff();
  Bun.sleepSync(leaseMs + 20);
  stopAtStep(step);
  const report = pool.reclaim();
  const steps = stepsTaken();
  stopAtStep(0);
  return { report, steps };
}

/** Bytes that the folder's file system has left. */
export function room(): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

const ballast = join(folder, "ballast");

/** Fills the file system with another file, except for `left` bytes. */
export function fillAllBut(left: number): void {
  rmSync(ballast, { force: true });
  writeFileSync(ballast, new Uint8Array(room() - left));
  if (room() !== left) throw new Error(`${room()} bytes are left, not ${left}`);
}

export function empty(): void {
  rmSync(ballast, { force: true });
}

/** What is in the folder besides the ballast. */
export function entries(): string[] {
  return readdirSync(folder).filter((entry) => entry !== "ballast");
}

const descriptors: number[] = [];

/** Leaves this process exactly `left` descriptors to open. */
export function spareDescriptors(left: number): void {
  for (;;) {
    try {
      descriptors.push(openSync("/dev/null", "r"));
    } catch {
      break;
    }
  }
  for (let i = 0; i < left; i++) closeSync(descriptors.pop() ?? -1);
}

/** How many descriptors this process can still open. */
export function descriptorsLeft(): number {
  const before = descriptors.length;
  spareDescriptors(0);
  const left = descriptors.length - before;
  for (let i = 0; i < left; i++) closeSync(descriptors.pop() ?? -1);
  return left;
}

/** Gives all of them back. */
export function freeDescriptors(): void {
  for (const fd of descriptors.splice(0)) closeSync(fd);
}
