// Runs one operation on a pool and, with the crash library, dies by SIGKILL at its k-th access to
// shared memory. Arguments: pool, operation, k. Says "survived" when the operation took fewer.

import { dlopen } from "bun:ffi";
import { BufferPool } from "../../src/index.ts";
import { libraryPath } from "../../src/library.ts";

const [name = "", operation = "", step = "0", ref = "0"] = process.argv.slice(2);
const { symbols } = dlopen(libraryPath(), {
  xmem_crash_arm: { args: ["f64"], returns: "void" },
});
const arm = (): void => symbols.xmem_crash_arm(Number(step));
const handle = Number(ref);

const operations: Record<string, (pool: BufferPool) => void> = {
  acquire: (pool) => void pool.acquire(100),
  "acquire that commits": (pool) => void pool.acquire(60_000),
  get: (pool) => void pool.get(handle),
  take: (pool) => void pool.take(handle),
  addRef: (pool) => void pool.addRef(handle),
  unref: (pool) => void pool.unref(handle),
  "release by hand": (pool) => void pool.release(handle),
  setRefCount: (pool) => void pool.setRefCount(handle, 3),
  preallocate: (pool) => void pool.preallocate(8192, 2),
  trim: (pool) => void pool.trim(),
  reclaim: (pool) => void pool.reclaim(),
  close: (pool) => pool.close(),
  "hold and die": (pool) => void pool.acquire(100).share(),
};

/** Leaves something for a recovery: another process's hold and in-flight reference. */
function leaveLosses(): void {
  const argv = [process.execPath, import.meta.path, name, "hold and die", "0"];
  Bun.spawnSync(argv, { env: process.env });
}

const withGuard: Record<string, (guard: ReturnType<BufferPool["acquire"]>) => void> = {
  release: (guard) => guard.release(),
  share: (guard) => void guard.share(),
  handOff: (guard) => void guard.handOff(),
  clone: (guard) => void guard.clone(),
};

if (operation === "open") {
  arm();
  BufferPool.open(name);
} else {
  const pool = BufferPool.open(name);
  if (operation === "reclaim" || operation === "close") leaveLosses();
  const guarded = withGuard[operation];
  if (guarded !== undefined) {
    const guard = pool.acquire(100);
    arm();
    guarded(guard);
  } else {
    arm();
    operations[operation]?.(pool);
  }
}
symbols.xmem_crash_arm(0);
console.log("survived");
process.kill(process.pid, "SIGKILL");
