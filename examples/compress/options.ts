// Reads the command line and checks it.

import { existsSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

export const usage = `usage: bun run demo [file] [--workers N] [--chunk SIZE] [--keep]

  file       a regular file; default: the first 64 MiB of the Zig compiler in node_modules
  --workers  worker processes, 1 to 32
  --chunk    bytes of a chunk, 1 to 256M; K and M multiply by 1024 and 1024 x 1024; default 1M
  --keep     leaves the compressed file where it is instead of removing it`;

export interface Options {
  file: string;
  /** Bytes of the file that are read. */
  length: number;
  workers: number;
  chunk: number;
  keep: boolean;
}

/** A mistake of the user's, which is reported without a stack. */
export class UsageError extends Error {}

const mebibyte = 1024 * 1024;
const defaultLength = 64 * mebibyte;

/** Returns null where only help was asked for. */
export function readOptions(args: string[]): Options | null {
  const { values, positionals } = parse(args);
  if (values.help) return null;
  if (positionals.length > 1) throw new UsageError(`one file, not ${positionals.length}`);
  const given = positionals[0];
  const file = given ?? defaultFile();
  const size = sizeOf(file);
  return {
    file,
    length: given === undefined ? Math.min(size, defaultLength) : size,
    workers: values.workers === undefined ? defaultWorkers() : wholeWorkers(values.workers),
    chunk: values.chunk === undefined ? mebibyte : chunkSize(values.chunk),
    keep: values.keep ?? false,
  };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        workers: { type: "string" },
        chunk: { type: "string" },
        keep: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function defaultFile(): string {
  const modules = join(import.meta.dir, "..", "..", "node_modules");
  const zig = join(modules, "@zigc", `${process.platform}-${process.arch}`, "bin", "zig");
  return existsSync(zig) ? zig : process.execPath;
}

function defaultWorkers(): number {
  return Math.max(2, Math.min(8, availableParallelism()));
}

function sizeOf(file: string): number {
  try {
    const stat = statSync(file);
    if (stat.isFile()) return stat.size;
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${error instanceof Error ? error.message : error}`);
  }
  throw new UsageError(`${file} is not a regular file`);
}

function wholeWorkers(text: string): number {
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (count >= 1 && count <= 32) return count;
  throw new UsageError(`--workers is a whole number from 1 to 32, not "${text}"`);
}

function chunkSize(text: string): number {
  const [, digits, unit] = /^(\d+)([KM]?)$/i.exec(text) ?? [];
  const factor = { "": 1, K: 1024, M: mebibyte }[unit?.toUpperCase() ?? ""] ?? 1;
  const size = Number(digits) * factor;
  if (size >= 1 && size <= 256 * mebibyte) return size;
  throw new UsageError(`--chunk is a size from 1 to 256M, not "${text}"`);
}
