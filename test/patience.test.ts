// Calls that meet a recoverer which stays stopped for longer than two seconds, the patience of
// untimed calls: a timeout is kept, releases that failed are made up for, and no row stays taken.

import { afterAll, beforeAll, expect, test } from "bun:test";
import type { BufferPool } from "../src/index.ts";
import { withPool } from "./processes.ts";
import { buildCrashLibrary, crashing, isStopped, type Script, script, until } from "./scripts.ts";

beforeAll(buildCrashLibrary, 300_000);

const longMs = 2300;

/** Each has its pool open, and has run `have`, before the pool stands still. */
const parts = {
  blocking: {
    meanwhile: `say(await timed(() => pool.acquireBlocking(1, { timeout: ${longMs} })));`,
  },
  async: {
    meanwhile: `say(await timed(() => pool.acquireAsync(1, { timeout: ${longMs} })));`,
  },
  beside: {
    meanwhile: `const untimed = timed(() => pool.acquireAsync(1));
      const long = timed(() => pool.acquireAsync(1, { timeout: ${longMs} }));
      say([await untimed, await long]);`,
  },
  closes: {
    meanwhile: `const wait = timed(() => pool.acquireAsync(1));
      await Bun.sleep(20);
      pool.close();
      say(await wait);`,
  },
  owes: {
    have: "const guard = pool.acquire(1); const clone = guard.clone();",
    meanwhile: "guard.release(); clone.release(); say(pool.stats().used);",
    afterwards: "pool.tryAcquire(1)?.release(); pool.close();",
  },
  owesUntilItCloses: {
    have: "const guard = pool.acquire(1);",
    meanwhile: "guard.release(); say(pool.stats().used);",
    afterwards: "pool.close();",
  },
  owesWhenItCloses: {
    have: "pool.acquire(1);",
    meanwhile: "pool.close(); say(0);",
  },
  owesItsWait: {
    have: "const wait = timed(() => pool.acquireAsync(1));",
    meanwhile: "pool.close(); say(await wait);",
  },
};
type Part = keyof typeof parts;

function startPart(name: string, part: Part): Script {
  const {
    have = "",
    meanwhile,
    afterwards = "",
  }: { have?: string; meanwhile: string; afterwards?: string } = parts[part];
  return script(
    `const pool = BufferPool.open(${JSON.stringify(name)});
    const timed = async (body) => {
      const from = performance.now();
      const code = await codeOfLater(body);
      return [code, performance.now() - from];
    };
    ${have}
    say("ready");
    await heard();
    ${meanwhile}
    ${afterwards === "" ? "" : `await heard(); ${afterwards}`}
    say("over");`,
  );
}

/** Looks for the dead all the time, and stops itself in the middle of the first recovery. */
const recovererSource = (name: string): string =>
  `const pool = BufferPool.open(${JSON.stringify(name)});
  stopAtStep(0);
  pool.reclaim();
  const idle = stepsTaken();
  say("looks");
  for (let steps = 0; steps < idle + 40; steps = stepsTaken()) {
    stopAtStep(idle + 40);
    pool.reclaim();
  }
  stopAtStep(0);
  pool.close();`;

/** Lets participants die, until the recoverer finds such a death and not a waiter. */
async function stopInRecovery(pool: BufferPool, name: string, recoverer: Script): Promise<void> {
  while (!isStopped(recoverer.pid)) {
    const { recoveries } = pool.stats().counters;
    const dying = script(
      `globalThis.pool = BufferPool.open(${JSON.stringify(name)}); say("lives"); await heard();`,
    );
    expect(await dying.line()).toBe("lives");
    dying.kill("SIGKILL");
    await dying.ended;
    await until(() => isStopped(recoverer.pid) || pool.stats().counters.recoveries > recoveries);
  }
}

/** A process that stays stopped after a failure would keep the others, and this process. */
const started: Script[] = [];
afterAll(() => {
  for (const child of started) child.kill("SIGKILL");
});

test(
  "each call keeps its own time, failed releases are made up for, and every row is free afterwards",
  () =>
    withPool(
      { capacity: 8, bufferSize: 64, maxParticipants: 16, leaseTimeout: 0 },
      async (pool, name) => {
        const names = Object.keys(parts) as Part[];
        const children = Object.fromEntries(
          names
            .filter((part) => part !== "owesItsWait")
            .map((part) => [part, startPart(name, part)]),
        ) as Record<Part, Script>;
        for (const child of Object.values(children)) expect(await child.line()).toBe("ready");
        const recoverer = script(recovererSource(name), crashing);
        const held = [];
        for (let guard = pool.tryAcquire(1); guard !== null; guard = pool.tryAcquire(1))
          held.push(guard);
        children.owesItsWait = startPart(name, "owesItsWait");
        started.push(recoverer, ...Object.values(children));
        expect(await children.owesItsWait.line()).toBe("ready");
        expect(pool.stats().waiters).toBe(1);
        expect(await recoverer.line()).toBe("looks");
        await stopInRecovery(pool, name, recoverer);

        const from = performance.now();
        for (const child of Object.values(children)) child.tell("go");
        // Its open input would keep the process alive, too.
        const closed = children.closes.rest();
        const ending = children.closes.ended.then(() => performance.now() - from);
        const said = async (part: Part): Promise<unknown> =>
          JSON.parse(await children[part].line());
        expect(JSON.parse((await closed)[0] ?? "")).toEqual(["POOL_CLOSED", expect.any(Number)]);
        const [untimed, beside] = (await said("beside")) as [[string, number], [string, number]];
        expect(untimed[0]).toBe("POOL_BUSY");
        // Neither the wait nor its timers keep a process alive that closed its pool.
        expect((await ending) * 1.5).toBeLessThan(untimed[1]);
        for (const [code, after] of [
          beside,
          (await said("async")) as [string, number],
          (await said("blocking")) as [string, number],
        ]) {
          expect(code).toBe("TIMEOUT");
          expect(after).toBeGreaterThanOrEqual(longMs - 0.5);
        }
        expect(await said("owes")).toBe(8);
        expect(await said("owesUntilItCloses")).toBe(8);
        expect(await said("owesWhenItCloses")).toBe(0);
        expect(await said("owesItsWait")).toEqual(["POOL_CLOSED", expect.any(Number)]);
        expect(isStopped(recoverer.pid)).toBe(true);

        recoverer.kill("SIGCONT");
        await recoverer.rest();
        expect(await recoverer.ended).toBe(0);
        // Rows whose participants left while they still had to release something.
        pool.reclaim();
        const dead = (): unknown[] => pool.stats().participants.filter(({ alive }) => !alive);
        expect(dead()).toEqual([]);
        expect(pool.stats()).toMatchObject({ used: held.length + 2, waiters: 0 });
        for (const [place, part] of (["owes", "owesUntilItCloses"] as const).entries()) {
          children[part].tell("go on");
          expect(await children[part].line()).toBe("over");
          expect(dead()).toEqual([]);
          expect(pool.stats().used).toBe(held.length + 1 - place);
        }
        for (const child of Object.values(children)) {
          await child.rest();
          expect(await child.ended).toBe(0);
        }
        for (const guard of held) guard.release();
        pool.reclaim();
        expect(pool.stats()).toMatchObject({ free: 8, used: 0, waiters: 0 });
        expect(pool.stats().participants.length).toBe(1);
      },
    ),
  60_000,
);
