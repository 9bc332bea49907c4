// Waiting at a place that is not the pool: a place of letters, whose wakes are the releases of
// another pool. Its waits and those for buffers stand in queues of their own.

import { expect, test } from "bun:test";
import { ERROR_POOL_FULL, ERROR_TOO_LARGE, OPTION_COUNT } from "../src/generated/constants.gen.ts";
import { BufferPool } from "../src/index.ts";
import { native } from "../src/native/native.ts";
import { cString, float64s } from "../src/native/scratch.ts";
import { Session } from "../src/session/session.ts";
import { buffers } from "../src/wait/buffers.ts";
import type { Place } from "../src/wait/place.ts";
import { endWaits, queueOf } from "../src/wait/queue.ts";
import { errorOfLater } from "./codes.ts";

const dir = process.env["XMEM_DIR"] ?? "/dev/shm";

let number = 0;

/** A pool of one buffer, held, and another session of the same thread on it. */
class Bench {
  readonly #name = `test.${process.pid}.place.${number++}`;
  readonly pool = BufferPool.create(this.#name, { capacity: 1, bufferSize: 64 });
  readonly session: Session;
  #held = this.pool.acquire(1);

  constructor() {
    const numbers = float64s(OPTION_COUNT).fill(-1);
    const opened = native.xmem_bun_open(1, cString(dir), cString(this.#name), cString(""), numbers);
    expect(opened).toBeGreaterThan(0);
    this.session = new Session(opened, dir, this.#name, {
      views: "shared",
      viewCache: 0,
      caches: false,
    });
  }

  /** Wakes who waits at this pool; what was released is held again. */
  async pulse(): Promise<void> {
    this.#held.release();
    await Bun.sleep(0);
    this.#held = this.pool.tryAcquire(1) ?? this.#held;
  }

  [Symbol.dispose](): void {
    endWaits(this.session);
    this.session.close();
    this.pool.unlink();
    this.pool.close();
  }
}

/** Letters that are at least as late in the alphabet as is asked for; woken by `bell`. */
function lettersOf(bell: Bench, letters: number[]): Place<number> {
  const { descriptor } = bell.session;
  return {
    name: "letters",
    call: "takeLetter()",
    keepsAlive: true,
    open: (_, loop, tag) => buffers.open(descriptor, loop, tag),
    arm: (_, due) => buffers.arm(descriptor, due),
    disarm: (_, passOn) => buffers.disarm(descriptor, passOn),
    attempt(_, least) {
      if (least > 26) return -ERROR_TOO_LARGE;
      const found = letters.findIndex((letter) => letter >= least);
      return letters.splice(found, found < 0 ? 0 : 1)[0] ?? -ERROR_POOL_FULL;
    },
    mayCome: (result) => result === -ERROR_POOL_FULL,
    timedOut: () => {},
    asked: (least) => ({ size: least }),
  };
}

test("each place serves its own waiters, in their order, and says what was called", async () => {
  using bench = new Bench();
  using bell = new Bench();
  const letters: number[] = [];
  const place = lettersOf(bell, letters);
  const { session } = bench;
  const forLetters = queueOf(session, place);
  const forBuffers = queueOf(session, buffers);
  expect(queueOf(session, place)).toBe(forLetters);

  const buffer = forBuffers.wait(session, 1, undefined, undefined);
  const first = forLetters.wait(session, 20, undefined, undefined);
  const second = forLetters.wait(session, 1, undefined, undefined);
  let settled = 0;
  for (const wait of [buffer, first, second]) {
    wait.then(
      () => settled++,
      () => {},
    );
  }
  letters.push(3);
  await bell.pulse();
  await Bun.sleep(20);
  // The first in the queue wants a later one, and nobody overtakes.
  expect(settled).toBe(0);
  letters.push(24);
  await bell.pulse();
  expect(await Promise.all([first, second])).toEqual([24, 3]);
  expect([forLetters.isEmpty, forBuffers.isEmpty, settled]).toEqual([true, false, 2]);

  const error = await errorOfLater(() => forLetters.wait(session, 27, undefined, undefined));
  expect(error.code).toBe("TOO_LARGE");
  expect(error.message).toContain("takeLetter() on pool");

  const timedOut = forLetters.wait(session, 1, 10, undefined);
  expect((await errorOfLater(() => timedOut)).code).toBe("TIMEOUT");
  const given = forLetters.wait(session, 1, undefined, undefined);
  endWaits(session);
  for (const [wait, call] of [
    [given, "takeLetter()"],
    [buffer, "acquireAsync()"],
  ] as const) {
    const closed = await errorOfLater(() => wait);
    expect([closed.code, closed.message.includes(call)]).toEqual(["POOL_CLOSED", true]);
  }
});
