// A pool for one test.

import { onTestFinished } from "bun:test";
import { inNameOf } from "../errors/error.ts";
import { BufferPool, type OpenOptions, type PoolOptions, XmemError } from "../index.ts";
import { closeAll, isChecked, own } from "./leaks.ts";

let made = 0;

/**
 * Makes a pool for the test that calls it, with a name that nobody else has. When the test ends, the
 * pool is closed and its name removed, also where the test fails; a buffer of it that was not
 * released makes the test fail, with the line that acquired it, and so does a process or a Worker
 * that still holds one. Call it in a test or in `beforeEach`: a pool that is made in `beforeAll` is
 * closed before the first test. Tests that run side by side need `failOnLeaks()` in their file. `options` are those of `BufferPool.create`; the pool is ephemeral.
 *
 * @throws INVALID_ARGUMENT: an option does not exist, is out of range or of the wrong type, or no
 *   test runs at whose end the pool could be closed.
 * @throws PERMISSION_DENIED: the folder does not let this user make a file.
 * @throws OUT_OF_MEMORY: the control area does not fit into the file system or memory, or
 *   `capacity` x `bufferSize` into the address space.
 * @throws TOO_MANY_PARTICIPANTS: this thread has more pools open than the kernel watches over.
 * @throws UNSUPPORTED_PLATFORM: this system does not mark the mutexes of dead threads.
 * @throws SYSTEM: the folder does not exist, or another system call failed; `cause` names it.
 *
 * @example
 * ```ts
 * test("a frame arrives", () => {
 *   const pool = testPool({ capacity: 4 });
 *   using frame = pool.acquire(100);
 * });
 * ```
 */
export function testPool(options?: PoolOptions & OpenOptions): BufferPool {
  BufferPool.trace();
  const name = `test.${process.pid}.${crypto.randomUUID().slice(0, 8)}.${++made}`;
  const pool = inNameOf("testPool()", () =>
    BufferPool.create(name, { ephemeral: true, ...options }),
  );
  try {
    if (isChecked()) own(pool);
    else onTestFinished(() => onTestFinished(() => closeAll([pool])));
  } catch (cause) {
    pool.close();
    pool.unlink();
    throw new XmemError(
      "INVALID_ARGUMENT",
      "testPool(): no test runs at whose end the pool could be closed, or several run side by " +
        "side; call it in a test, and failOnLeaks() at the top of the file",
      { cause },
    );
  }
  return pool;
}
