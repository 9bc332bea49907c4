// What each stage has open: the pool that the environment names, and its two channels.

import { BufferPool, type Channel } from "../../src/index.ts";

export const blockSize: number = 256 * 1024;

export const pool: BufferPool = BufferPool.open(process.env["POOL"] ?? "");
export const blocks: Channel = pool.channel("blocks");
export const hashes: Channel = pool.channel("hashes");
