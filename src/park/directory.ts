// A directory as a store. An object is a file, which gets its name once it is whole and on the disk.

import { lstatSync, mkdirSync } from "node:fs";
import { mkdir, open, readdir, rename, stat, unlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { XmemError } from "../index.ts";
import { invalid } from "../relay/arguments.ts";
import { checkOptions, codeOf, failed, flag } from "./failure.ts";
import type { ParkingStore, StoredObject } from "./store.ts";

/** How a directory keeps what is parked. */
export interface DirectoryOptions {
  /**
   * Whether an object is on the disk itself before it counts as stored, so that a machine that
   * loses its power still has it; default true.
   */
  sync?: boolean;
}

const unfinished = ".part";

/**
 * A store in a directory, which is made where it does not exist: files that only this user can
 * read.
 *
 * @throws INVALID_ARGUMENT: `path` is no path, or an option is of the wrong type or does not
 *   exist.
 * @throws PERMISSION_DENIED: the directory is another user's, or others can write to it.
 * @throws SYSTEM: the directory cannot be made; `cause` says why.
 */
export function directoryStore(path: string, options: DirectoryOptions = {}): ParkingStore {
  const tried = "directoryStore()";
  if (typeof path !== "string" || path === "" || path.includes("\0")) {
    throw invalid(tried, "path is no path");
  }
  checkOptions(tried, options, ["sync"]);
  const { sync = true } = options;
  const syncs = flag(tried, "sync", sync);
  const root = resolve(path);
  prepare(tried, root);
  return new Directory(root, syncs);
}

/** Somebody else could have made it before, in a folder where everybody may. */
function prepare(tried: string, root: string): void {
  let status: ReturnType<typeof lstatSync>;
  try {
    mkdirSync(root, { recursive: true, mode: 0o700 });
    status = lstatSync(root);
  } catch (error) {
    throw failed(`${tried} of ${root}`, error);
  }
  const isOwn = status?.uid === process.geteuid?.() || status?.uid === 0;
  if (!status?.isDirectory() || !isOwn || (status.mode & 0o022) !== 0) {
    const found = `${root} is no directory that only this user can write to`;
    throw new XmemError("PERMISSION_DENIED", `${tried}: ${found}`);
  }
}

class Directory implements ParkingStore {
  readonly name: string;
  readonly #root: string;
  readonly #syncs: boolean;
  #writes = 0;

  constructor(root: string, syncs: boolean) {
    this.name = `the directory ${root}`;
    this.#root = root;
    this.#syncs = syncs;
  }

  async write(key: string, pieces: AsyncIterable<Uint8Array>): Promise<number> {
    const path = join(this.#root, key);
    const own = `${process.pid}-${this.#writes++}-${Math.random().toString(36).slice(2, 8)}`;
    const temporary = `${path}.${own}${unfinished}`;
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      const size = await this.#fill(temporary, pieces);
      await rename(temporary, path);
      if (this.#syncs) await syncFolder(dirname(path));
      return size;
    } catch (error) {
      await unlink(temporary).catch(() => {});
      throw this.#failed("storing", key, error);
    }
  }

  async #fill(path: string, pieces: AsyncIterable<Uint8Array>): Promise<number> {
    await using file = await open(path, "wx", 0o600);
    let size = 0;
    for await (const piece of pieces) {
      for (let at = 0; at < piece.length; ) {
        const { bytesWritten } = await file.write(piece, at, piece.length - at);
        at += bytesWritten;
      }
      size += piece.length;
    }
    if (this.#syncs) await file.sync();
    return size;
  }

  async read(key: string, offset: number, into: Uint8Array): Promise<number> {
    try {
      await using file = await open(join(this.#root, key), "r");
      let at = 0;
      while (at < into.length) {
        const { bytesRead } = await file.read(into, at, into.length - at, offset + at);
        if (bytesRead === 0) break;
        at += bytesRead;
      }
      return at;
    } catch (error) {
      throw this.#failed("reading", key, error);
    }
  }

  async list(prefix: string): Promise<StoredObject[]> {
    return (await this.#files(prefix)).filter(({ key }) => !key.endsWith(unfinished));
  }

  async #files(prefix: string): Promise<StoredObject[]> {
    // Only what lies below the last whole part of the prefix is looked at.
    const top = prefix.slice(0, prefix.lastIndexOf("/") + 1);
    const found: StoredObject[] = [];
    try {
      const entries = await readdir(join(this.#root, top), {
        recursive: true,
        withFileTypes: true,
      }).catch(absent([]));
      for (const entry of entries) {
        const path = join(entry.parentPath, entry.name);
        const key = path.slice(this.#root.length + 1);
        if (!entry.isFile() || !key.startsWith(prefix)) continue;
        const status = await stat(path).catch(absent(null));
        if (status !== null) found.push({ key, size: status.size, modified: status.mtimeMs });
      }
    } catch (error) {
      throw this.#failed("listing", prefix, error);
    }
    return found;
  }

  async remove(key: string): Promise<void> {
    try {
      await unlink(join(this.#root, key)).catch(absent(undefined));
    } catch (error) {
      throw this.#failed("removing", key, error);
    }
  }

  async sweep(before: number): Promise<string[]> {
    const left = await this.#files("");
    const old = left.filter(({ key, modified }) => key.endsWith(unfinished) && modified < before);
    for (const { key } of old) await this.remove(key);
    return old.map(({ key }) => key);
  }

  #failed(doing: string, key: string, error: unknown): unknown {
    if (codeOf(error) === "ENOENT" && doing === "reading") {
      return new XmemError("BUFFER_NOT_FOUND", `nothing is parked under ${key} in ${this.name}`, {
        cause: error,
      });
    }
    // What was to be stored failed by itself, or was given up.
    if (error instanceof XmemError || codeOf(error) === "") return error;
    return failed(`${doing} ${key} in ${this.name}`, error);
  }
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, "r");
  await folder.sync();
}

/** Another process may remove files meanwhile. */
function absent<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (codeOf(error) === "ENOENT") return value;
    throw error;
  };
}
