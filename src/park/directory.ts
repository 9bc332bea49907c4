// A directory as a store. An object is a file, which gets its name once it is whole and on the disk. The
// file of a key has an ending that no folder has, so that the keys "k" and "k/b" are both possible.

import { lstatSync, mkdirSync } from "node:fs";
import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  rename,
  rmdir,
  stat,
  unlink,
} from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { XmemError } from "../index.ts";
import { invalid } from "../relay/arguments.ts";
import { checkOptions, codeOf, failed, flag } from "./failure.ts";
import { checkParts, type ParkingStore, type StoredObject } from "./store.ts";

/** How a directory keeps what is parked. */
export interface DirectoryOptions {
  /**
   * Whether an object is on the disk itself before it counts as stored, so that a machine that
   * loses its power still has it; default true.
   */
  sync?: boolean;
}

const whole = ".parked";
const unfinished = ".part";
/** How often a write makes its folder, which a sweep may have removed as an empty one. */
const foldersMost = 5;

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
  return new Directory(root, prepare(tried, root), syncs);
}

/** Somebody else could have made it before, in a folder where everybody may. */
function prepare(tried: string, root: string): Place {
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
  return { dev: status.dev, ino: status.ino };
}

/** Where a directory lies: its file system, and its number there. */
interface Place {
  dev: number;
  ino: number;
}

interface StoredFile {
  /** From the directory on. */
  path: string;
  size: number;
  modified: number;
}

class Directory implements ParkingStore {
  readonly name: string;
  readonly #root: string;
  readonly #place: Place;
  readonly #syncs: boolean;
  #writes = 0;

  constructor(root: string, place: Place, syncs: boolean) {
    this.name = `the directory ${root}`;
    this.#root = root;
    this.#place = place;
    this.#syncs = syncs;
  }

  async write(key: string, pieces: AsyncIterable<Uint8Array>): Promise<number> {
    const path = this.#pathOf(key);
    const own = `${process.pid}-${this.#writes++}-${Math.random().toString(36).slice(2, 8)}`;
    const temporary = `${path}.${own}${unfinished}`;
    try {
      await this.#expectRoot();
      await using file = await create(temporary);
      const size = await this.#fill(file, pieces);
      await rename(temporary, path);
      if (this.#syncs) await syncFolder(dirname(path));
      return size;
    } catch (error) {
      await unlink(temporary).catch(() => {});
      throw this.#failed("storing", key, error);
    }
  }

  async #fill(file: FileHandle, pieces: AsyncIterable<Uint8Array>): Promise<number> {
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
    const path = this.#pathOf(key);
    try {
      await using file = await open(path, "r").catch(async (error: unknown) => {
        if (codeOf(error) === "ENOENT") await this.#expectRoot();
        throw error;
      });
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
    return (await this.#files(prefix))
      .filter(({ path }) => path.endsWith(whole))
      .map(({ path, size, modified }) => ({ key: path.slice(0, -whole.length), size, modified }))
      .filter(({ key }) => key.startsWith(prefix));
  }

  async #files(prefix: string): Promise<StoredFile[]> {
    // Only what lies below the last whole part of the prefix is looked at.
    const top = prefix.slice(0, prefix.lastIndexOf("/") + 1);
    if (top !== "") checkParts("directoryStore()", "the prefix", top.slice(0, -1).split("/"));
    const found: StoredFile[] = [];
    try {
      await this.#expectRoot();
      const entries = await readdir(join(this.#root, top), {
        recursive: true,
        withFileTypes: true,
      }).catch(absent([]));
      for (const entry of entries) {
        if (!entry.isFile()) continue;
        const file = join(entry.parentPath, entry.name);
        const path = relative(this.#root, file);
        const status = await stat(file).catch(absent(null));
        if (status !== null) found.push({ path, size: status.size, modified: status.mtimeMs });
      }
    } catch (error) {
      throw this.#failed("listing", prefix, error);
    }
    return found;
  }

  async remove(key: string): Promise<void> {
    const path = this.#pathOf(key);
    try {
      await unlink(path).catch(async (error: unknown) => {
        absent(undefined)(error);
        await this.#expectRoot();
      });
    } catch (error) {
      throw this.#failed("removing", key, error);
    }
  }

  async sweep(before: number): Promise<string[]> {
    const left = await this.#files("");
    const old = left.filter(({ path, modified }) => path.endsWith(unfinished) && modified < before);
    try {
      for (const { path } of old) await unlink(join(this.#root, path)).catch(absent(undefined));
      await this.#removeEmpty(before);
    } catch (error) {
      throw this.#failed("sweeping", this.#root, error);
    }
    return old.map(({ path }) => path);
  }

  /**
   * Where its disk is not mounted any more, nothing is known of what is parked there: the path leads
   * nowhere, or to the empty folder on which the disk was mounted. A directory that was made again
   * has the same file system, one whose disk was mounted again the same number.
   */
  async #expectRoot(): Promise<void> {
    const status = await stat(this.#root).catch(absent(null));
    if (status?.dev === this.#place.dev || status?.ino === this.#place.ino) return;
    const found = status === null ? "is gone" : "is on another disk than when the store was made";
    throw Object.assign(new Error(`${this.#root} ${found}; is its disk not mounted?`), {
      code: "ENODEV",
    });
  }

  /** Folders in which nothing was for a while. */
  async #removeEmpty(before: number): Promise<void> {
    const entries = await readdir(this.#root, { recursive: true, withFileTypes: true });
    const folders = entries
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name));
    // What is in a folder comes before it.
    for (const folder of folders.sort((a, b) => b.length - a.length)) {
      const status = await stat(folder).catch(absent(null));
      if (status === null || status.mtimeMs >= before) continue;
      await rmdir(folder).catch((error: unknown) => {
        if (!["ENOENT", "ENOTEMPTY", "EEXIST"].includes(codeOf(error))) throw error;
      });
    }
  }

  /** Throws where the key would lead out of the directory, or to the folder of others. */
  #pathOf(key: string): string {
    const parts = key.split("/");
    const isFolder = (part: string, at: number): boolean =>
      at < parts.length - 1 && part.endsWith(whole);
    checkParts("directoryStore()", "the key", parts);
    if (parts.some(isFolder)) {
      throw invalid("directoryStore()", `${JSON.stringify(key)} is no key`);
    }
    return join(this.#root, key) + whole;
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

async function create(path: string): Promise<FileHandle> {
  for (let count = 1; ; count++) {
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      return await open(path, "wx", 0o600);
    } catch (error) {
      // A folder that a sweep removes just now is there to `mkdir`, or is not there to `open`.
      const isRace = ["ENOENT", "EEXIST"].includes(codeOf(error));
      if (!isRace || count === foldersMost) throw error;
    }
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
