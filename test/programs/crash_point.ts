// Runs one operation on a pool and, with the crash library, dies by SIGKILL at its k-th step: before
// an access to shared memory, or a system call that others can see. Arguments: pool, operation, k,
// a buffer's handle, "gated" to wait for the end of standard input before the operation. Says "ready"
// right before the operation, and "survived" when that took fewer steps.

import { dlopen } from "bun:ffi";
import { readSync } from "node:fs";
import { type BufferGuard, BufferPool, type XmemErrorCode } from "../../src/index.ts";
import { libraryPath } from "../../src/native/library.ts";

const [name = "", operation = "", step = "0", ref = "0", gate = ""] = process.argv.slice(2);
const { symbols } = dlopen(libraryPath(), {
  xmem_crash_arm: { args: ["f64"], returns: "void" },
});
const handle = Number(ref);
const small = { capacity: 4, bufferSize: 4096, maxParticipants: 4 };

function arm(): void {
  console.log("ready");
  if (gate === "gated") readSync(0, new Uint8Array(1));
  symbols.xmem_crash_arm(Number(step));
}

/** The operation has to fail in this way; anything else ends the program with an error. */
async function refused(code: XmemErrorCode, body: () => unknown): Promise<void> {
  try {
    await body();
  } catch (error) {
    if ((error as { code?: string }).code === code) return;
    throw error;
  }
  throw new Error(`${operation} succeeded, and should have been ${code}`);
}

const operations: Record<string, (pool: BufferPool) => unknown> = {
  acquire: (pool) => pool.acquire(100),
  "acquire from the cache": (pool) => pool.acquire(100),
  "acquire more than the cache has": (pool) => {
    while (pool.tryAcquire(100) !== null);
  },
  "trim of what the cache has": (pool) => pool.trim(),
  "close with a cache": (pool) => pool.close(),
  "acquire that commits": (pool) => pool.acquire(60_000),
  get: (pool) => pool.get(handle),
  take: (pool) => pool.take(handle),
  "take of an expired lease": (pool) => refused("NO_REFERENCE", () => pool.take(handle)),
  addRef: (pool) => pool.addRef(handle),
  unref: (pool) => pool.unref(handle),
  "release by hand": (pool) => pool.release(handle),
  setRefCount: (pool) => pool.setRefCount(handle, 3),
  tryRelease: (pool) => pool.tryRelease(handle),
  releaseBuffer: (pool) => pool.releaseBuffer(handle),
  "blocking wait": (pool) => pool.acquireBlocking(100, { timeout: 60_000 }),
  "blocking wait that times out": (pool) =>
    refused("TIMEOUT", () => pool.acquireBlocking(100, { timeout: 20 })),
  "async wait": (pool) => pool.acquireAsync(100),
  "async wait that times out": (pool) =>
    refused("TIMEOUT", () => pool.acquireAsync(100, { timeout: 20 })),
  preallocate: (pool) => pool.preallocate(8192, 2),
  trim: (pool) => pool.trim(),
  flush: (pool) => pool.flush(),
  unflush: (pool) => pool.unflush(),
  reclaim: (pool) => pool.reclaim(),
  close: (pool) => pool.close(),
  "hold and die": (pool) => pool.acquire(100).share(),
};

/** Preparations that are not part of the operation. */
const preparations: Record<string, (pool: BufferPool) => unknown> = {
  reclaim: leaveLosses,
  close: leaveLosses,
  unflush: (pool) => pool.flush(),
  "take of an expired lease": (pool) => pool.reclaim(),
};

/** Both of its places, or as many as the pool has buffers for. */
function fillCache(pool: BufferPool): void {
  const guards = Array.from({ length: 2 }, () => pool.tryAcquire(100));
  for (const guard of guards) guard?.release();
}

/** Leaves something for a recovery: another process's hold and in-flight reference. */
function leaveLosses(): void {
  if (gate === "gated") return;
  const argv = [process.execPath, import.meta.path, name, "hold and die", "0"];
  Bun.spawnSync(argv, { env: process.env });
}

const withGuard: Record<string, (guard: BufferGuard) => unknown> = {
  release: (guard) => guard.release(),
  "release into the cache": (guard) => guard.release(),
  share: (guard) => guard.share(),
  handOff: (guard) => guard.handOff(),
  forget: (guard) => guard.forget(),
  clone: (guard) => guard.clone(),
  truncate: (guard) => guard.truncate(1),
  "truncate and release": (guard) => {
    guard.bytes.fill(255);
    guard.truncate(1);
    guard.release();
  },
};

/** Operations that begin without an open pool. */
const alone: Record<string, () => unknown> = {
  open: () => BufferPool.open(name),
  create: () => BufferPool.create(name, small),
  "create an ephemeral pool": () => BufferPool.create(name, { ...small, ephemeral: true }),
  "openOrCreate an abandoned pool": () =>
    BufferPool.openOrCreate(name, { ...small, replaceAbandoned: true }),
};

/** Everything that the death of one participant can leave at once, and a flush. */
function leaveMany(pool: BufferPool): void {
  const [, inFlight, parked] = [1, 2, 3].map(() => {
    const guard = pool.acquire(100);
    guard.bytes.fill(255);
    return guard;
  });
  inFlight?.handOff();
  if (parked !== undefined) pool.release(parked.handOff());
  arm();
  pool.flush();
}

if (alone[operation] !== undefined) {
  arm();
  alone[operation]();
} else if (operation === "close an ephemeral pool") {
  const pool = BufferPool.create(name, { ...small, ephemeral: true });
  pool.acquire(100);
  arm();
  pool.close();
} else {
  const cached = operation.includes("cache");
  const pool = BufferPool.open(name, { localCache: cached ? 2 : 0 });
  if (cached) fillCache(pool);
  preparations[operation]?.(pool);
  if (operation === "leave many losses") leaveMany(pool);
  else if (withGuard[operation] !== undefined) {
    const guard = pool.acquire(100);
    if (gate === "gated") guard.bytes.fill(255);
    arm();
    withGuard[operation](guard);
  } else {
    arm();
    await operations[operation]?.(pool);
    // The pool is in use until here, so that the engine does not collect it.
    void pool.name;
  }
}
symbols.xmem_crash_arm(0);
console.log("survived");
process.kill(process.pid, "SIGKILL");
