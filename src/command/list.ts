// `xmem list`: every pool of the folder.

import { BufferPool, type LookOptions, type PoolInfo } from "../index.ts";
import { bytes, duration, json, table } from "./text.ts";

export function list(options: LookOptions & { json?: boolean }): string {
  const pools = BufferPool.list(lookOf(options));
  if (options.json === true) return json(pools);
  if (pools.length === 0) return `there is no pool in ${folder()}`;
  const columns = [
    { title: "NAME" },
    { title: "BUFFERS", right: true },
    { title: "OF", right: true },
    { title: "COMMITTED", right: true },
    { title: "OPEN BY", right: true },
    { title: "AGE", right: true },
    { title: "PROBLEM" },
  ];
  return table(columns, pools.map(rowOf)).join("\n");
}

function rowOf(pool: PoolInfo): string[] {
  const age = duration(Date.now() - pool.createdAt.getTime());
  if (pool.problem !== undefined) return [pool.name, "-", "-", "-", "-", age, pool.problem];
  const { name, capacity, bufferSize, committedBytes, participants } = pool;
  const sizes = [`${capacity}`, bytes(bufferSize), bytes(committedBytes)];
  return [name, ...sizes, `${participants}`, age, ""];
}

/** The folder of pools, as the library finds it. */
export function folder(): string {
  return process.env["XMEM_DIR"] || "/dev/shm";
}

/** Those of the given options that a look from outside takes. */
export function lookOf({ allowOwner, allowGroup }: LookOptions): LookOptions {
  return { allowOwner, allowGroup };
}
