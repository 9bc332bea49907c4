// However many places an event loop waits at, one native thread watches them: as long as somebody
// waits, and for no longer.

import { beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { breaking, buildChecked } from "../scripts/checked.ts";
import { BufferPool, type Channel } from "../src/index.ts";
import { runAgain } from "./canary.ts";
import { expectSoon, now, Waiter } from "./latency.ts";
import { type ScriptOptions, script } from "./scripts.ts";

const index = JSON.stringify(join(import.meta.dir, "../src/index.ts"));

/** In each process: the native threads that wait, and the pools. */
const counting = (names: readonly string[]): string => `
  const { readdirSync, readFileSync } = require("node:fs");
  const threads = () => readdirSync("/proc/self/task").filter((id) => {
    try {
      return readFileSync("/proc/self/task/" + id + "/comm", "utf8") === "xmem-waiter\\n";
    } catch {
      return false; // It has just ended.
    }
  }).length;
  const settled = async (count) => {
    for (let i = 0; i < 300 && threads() !== count; i++) await Bun.sleep(10);
    return threads();
  };
  const names = ${JSON.stringify(names)};
  const pools = names.map((name) => BufferPool.open(name));`;

interface Made {
  name: string;
  pool: BufferPool;
  /** All buffers: one for each channel, and one. */
  held: ReturnType<BufferPool["acquire"]>[];
  channels: Channel[];
}

/** Pools without a free buffer, each with channels. */
function make(pools: number, channels: number): Made[] & Disposable {
  const made = Array.from({ length: pools }, (_, place): Made => {
    const name = `test.native_waiter.${process.pid}.${place}`;
    const capacity = channels + 1;
    const pool = BufferPool.create(name, { capacity, bufferSize: 64, channels });
    const opened = Array.from({ length: channels }, (_, number) => pool.channel(`${number}`));
    return {
      name,
      pool,
      held: Array.from({ length: capacity }, () => pool.acquire(1)),
      channels: opened,
    };
  });
  const dispose = (): void => {
    for (const { pool } of made) {
      pool.unlink();
      pool.close();
    }
  };
  return Object.assign(made, { [Symbol.dispose]: dispose });
}

/** Sends a buffer through each channel, and then gives the last one back. */
async function serve({ channels, held }: Made, answered: () => Promise<unknown>): Promise<void> {
  const [last, ...others] = held;
  for (const [place, guard] of others.entries()) {
    channels[place]?.send(guard);
    await answered();
  }
  last?.release();
  await answered();
}

/** Waits at each pool and at each channel, and says what came. */
const waitAtAll = `
  const came = [];
  const kept = [];
  for (const [place, pool] of pools.entries()) {
    const channels = pool.stats().channels;
    for (const { name } of channels) {
      const channel = pool.channel(name);
      came.push(channel.receive().then((guard) => { kept.push(guard); say(place + " " + name); }));
    }
    came.push(pool.acquireAsync(1).then((guard) => { kept.push(guard); say(place + " pool"); }));
  }`;

test("at 50 channels and 10 pools one thread waits, each wait is answered, and the process ends", async () => {
  using made = make(10, 5);
  const names = made.map(({ name }) => name);
  const child = script(`${counting(names)}
    say(threads());
    ${waitAtAll}
    say(await settled(1));
    await Promise.all(came);
    say(threads());
    // Nobody waits any more: nothing keeps the process alive.`);
  expect(await child.line()).toBe("0");
  expect(await child.line()).toBe("1");
  for (const [place, each] of made.entries()) {
    const expected = [...each.channels.map(({ name }) => name), "pool"];
    await serve(each, async () => {
      expect(await child.line()).toBe(`${place} ${expected.shift()}`);
    });
  }
  expect(await child.line()).toBe("1");
  expect(await child.ended).toBe(0);
}, 60_000);

test("at more places than one thread can watch there are as few threads as can be", async () => {
  using made = make(1, 200);
  const child = script(`${counting([(made[0] as Made).name])}
    ${waitAtAll}
    say(await settled(2));
    await Promise.all(came);`);
  expect(await child.line()).toBe("2");
  await serve(made[0] as Made, () => child.line());
  expect(await child.ended).toBe(0);
}, 60_000);

test("an abort and a close end waits, and others go on with the same thread", async () => {
  using made = make(3, 1);
  const child = script(`${counting(made.map(({ name }) => name))}
    const abort = new AbortController();
    const aborted = [pools[0].acquireAsync(1, abort), pools[0].channel("0").receive(abort)]
      .map((wait) => wait.catch((error) => error.name));
    const closed = [pools[1].acquireAsync(1), pools[1].channel("0").receive()]
      .map((wait) => wait.catch(({ code }) => code));
    const served = [pools[2].acquireAsync(1), pools[2].channel("0").receive()]
      .map((wait) => wait.then((guard) => say("served")));
    say(await settled(1));
    abort.abort();
    say(await Promise.all(aborted));
    pools[0].close();
    pools[1].close();
    say(await Promise.all(closed));
    say(threads());
    await Promise.all(served);
    pools[2].close();
    say(await settled(0));`);
  expect(await child.line()).toBe("1");
  expect(await child.line()).toBe('["AbortError","AbortError"]');
  expect(await child.line()).toBe('["POOL_CLOSED","POOL_CLOSED"]');
  expect(await child.line()).toBe("1");
  await serve(made[2] as Made, () => child.line());
  expect(await child.line()).toBe("0");
  expect(await child.ended).toBe(0);
});

test("each Worker has a thread of its own, which ends with it", async () => {
  using made = make(2, 2);
  const names = made.map(({ name }) => name);
  const child = script(`${counting(names)}
    const waits = pools.map((pool) => pool.acquireAsync(1));
    const workers = [1, 2].map(() => new Worker(URL.createObjectURL(new Blob([\`
      const { BufferPool } = await import(${index});
      globalThis.waits = ${JSON.stringify(names)}.map((name) => BufferPool.open(name))
        .flatMap((pool) => [pool.acquireAsync(1), pool.channel("0").receive(), pool.channel("1").receive()]);
      postMessage("waits");\`]))));
    await Promise.all(workers.map((worker) => new Promise((resolve) => { worker.onmessage = resolve; })));
    say(await settled(3));
    const ended = workers.map((worker) => new Promise((resolve) => worker.addEventListener("close", resolve)));
    for (const worker of workers) worker.terminate();
    await Promise.all(ended);
    say(await settled(1));
    for (const wait of waits) { (await wait).release(); say("served"); }`);
  expect(await child.line()).toBe("3");
  expect(await child.line()).toBe("1");
  for (const { held } of made) {
    held[0]?.release();
    expect(await child.line()).toBe("served");
  }
  expect(await child.ended).toBe(0);
});

test("a process that waits is kept alive, one that has waited is not", async () => {
  using made = make(1, 1);
  const { name, held } = made[0] as Made;
  const child = script(`${counting([name])}
    const channel = pools[0].channel("0");
    // Nobody asks for what it brings, and a wait for a close keeps nothing alive.
    channel.closed.catch(() => {});
    pools[0].acquireAsync(1).then((guard) => { guard.release(); say("served"); });
    process.on("beforeExit", () => say("ends"));
    say(await settled(1));`);
  expect(await child.line()).toBe("1");
  await Bun.sleep(100);
  held[0]?.release();
  expect(await child.rest()).toEqual(["served", "ends"]);
  expect(await child.ended).toBe(0);
});

beforeAll(() => buildChecked("breakable"), 300_000);

const withoutWaitAny: ScriptOptions = { env: breaking("breakable", "no_futex_waitv") };

test("where no thread can watch several places, each has a thread, and works alike", async () => {
  using made = make(2, 2);
  const child = script(
    `${counting(made.map(({ name }) => name))}
    ${waitAtAll}
    say(await settled(6));
    await Promise.all(came);
    for (const pool of pools) pool.close();
    say(await settled(0));`,
    withoutWaitAny,
  );
  expect(await child.line()).toBe("6");
  for (const each of made) await serve(each, () => child.line());
  expect(await child.line()).toBe("0");
  expect(await child.ended).toBe(0);
});

test("a wake that a busy loop got beside others goes to the next waiter", async () => {
  const waiter = new Waiter("blocking");
  try {
    await expectSoon({
      options: { capacity: 1, bufferSize: 64, leaseTimeout: 0 },
      waiters: [waiter],
      waiting: 2,
      round: (pool) => {
        const channel = pool.channel("other");
        const guard = pool.acquire(1);
        const controller = new AbortController();
        for (const wait of [pool.acquireAsync(1, controller), channel.receive(controller)])
          wait.catch(() => {});
        return () => {
          const from = now();
          guard.release();
          // This loop is busy, and does not hear of it.
          while (now() < from + 25);
          controller.abort();
          channel[Symbol.dispose]();
          return from;
        };
      },
    });
  } finally {
    await waiter.end();
  }
});

test("... and not with a native thread that keeps it", () => {
  const pattern = "a busy loop got";
  const { exitCode, output } = runAgain(import.meta.path, pattern, "breakable", "native_wake_kept");
  expect(exitCode, output).toBe(1);
  expect(output).toContain("blocking waiter, milliseconds");
});
