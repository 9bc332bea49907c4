// Real child processes for tests, and the pools that they share.

import { join } from "node:path";
import { BufferPool, type OpenOptions, type PoolOptions } from "../src/index.ts";
import { Lines } from "./lines.ts";

const program = join(import.meta.dir, "programs", "participant.ts");
let made = 0;

/** Runs `body` with a pool of its own, whose name is removed afterwards, also after a failure. */
export async function withPool(
  options: PoolOptions & OpenOptions,
  body: (pool: BufferPool, name: string) => unknown,
): Promise<void> {
  const name = `test.${process.pid}.${++made}`;
  const pool = BufferPool.create(name, options);
  try {
    await body(pool, name);
  } finally {
    pool.close();
    BufferPool.unlink(name);
  }
}

export interface Child {
  readonly pid: number;
  /** The next line that it prints. */
  line(): Promise<string>;
  kill(signal: NodeJS.Signals): void;
  exited: Promise<number>;
}

export function start(name: string, command: string, argument: number | string = 0): Child {
  const child = Bun.spawn([process.execPath, program, name, command, String(argument)], {
    // The environment as it is now: by default Bun passes on the one of its start.
    env: process.env,
    stdout: "pipe",
    stderr: "inherit",
  });
  const lines = new Lines(child.stdout);
  const line = async (): Promise<string> => {
    const next = await lines.next();
    if (next !== null) return next;
    throw new Error(`the child ended after printing ${JSON.stringify(lines.takeRest())}`);
  };
  const { pid, exited } = child;
  return { pid, line, kill: (signal) => child.kill(signal), exited };
}
