// Pools between namespaces, as between containers: thread ids that are equal, folders that are
// shared or not.

import { beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { BufferPool } from "../src/index.ts";
import { withPool } from "./processes.ts";
import {
  buildCrashLibrary,
  crashLibrary,
  type Script,
  script,
  unshare,
  until,
  untilStopped,
} from "./scripts.ts";

beforeAll(buildCrashLibrary, 300_000);

const separate = unshare("--pid", "--fork", "--mount-proc", "--kill-child");
const mounting = unshare("--mount");
const shared = process.env["XMEM_DIR"] ?? "/dev/shm";

/** A process in a PID namespace of its own, where its id is 2: the first could not stop itself. */
function isolated(source: string, env: Record<string, string> = {}): Script {
  const shell = ["sh", "-c", '"$0" "$@"; exit $?'];
  return script(source, { under: [...(separate ?? []), ...shell], env });
}

/** The process at the end of the chain that begins with `pid`, by its id here. */
function innermost(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return children === "" ? pid : innermost(Number(children.split(" ")[0]));
}

describe.skipIf(separate === null)("two PID namespaces with equal thread ids", () => {
  const holding = (name: string): string =>
    `const pool = BufferPool.open(${JSON.stringify(name)});
    const guards = [pool.acquire(64), pool.acquire(64)];
    for (const guard of guards) guard.bytes.fill(7);`;

  /** Holds two buffers, then stops inside a recovery. */
  const recovering = (name: string): string =>
    `${holding(name)}
    const { steps } = recoverStopping(pool, 0, 0);
    say("recovering");
    say(recoverStopping(pool, 0, Math.ceil(steps / 2)).report);
    say(guards.every((guard) => guard.bytes.every((byte) => byte === 7)));
    await heard();`;

  /** Waits for a recovery that does not end, in one of the ways there are. */
  const waits = [
    "codeOf(() => pool.reclaim())",
    "codeOf(() => pool.acquire(1).release())",
    "codeOf(() => pool.acquireBlocking(1, { timeout: 100 }).release())",
  ];

  for (const ending of ["SIGCONT", "SIGKILL"] as const) {
    test(
      `the living are not taken for dead, and the dead are found; ${ending}`,
      () =>
        withPool({ capacity: 24, bufferSize: 64, leaseTimeout: 1 }, async (pool, name) => {
          const rivals = waits.map((wait) =>
            isolated(
              `${holding(name)} say("holds"); await heard(); say("waits"); for (;;) ${wait};`,
            ),
          );
          for (const rival of rivals) expect(await rival.line()).toBe("holds");
          const recoverer = isolated(recovering(name), { XMEM_LIBRARY: crashLibrary });
          expect(await recoverer.line()).toBe("recovering");
          const stopped = innermost(recoverer.pid);
          await untilStopped(stopped);
          // One more that waits for a row, without having one.
          const opening = isolated(
            `say("waits"); for (;;) codeOf(() => BufferPool.open(${JSON.stringify(name)}));`,
          );
          for (const rival of rivals) rival.tell("wait");
          for (const each of [...rivals, opening]) {
            expect(await each.line()).toBe("waits");
            await Bun.sleep(50);
            process.kill(innermost(each.pid), "SIGKILL");
            await each.ended;
          }
          const states = BufferPool.inspect(name).participants.map(({ tid, alive }) => [
            tid,
            alive,
          ]);
          const others = states.filter(([tid]) => tid !== process.pid);
          expect(others.filter(([, alive]) => alive)).toEqual([[2, true]]);
          expect(others.filter(([, alive]) => !alive)).toEqual(rivals.map(() => [2, false]));
          expect(() => pool.reclaim()).toThrow("stopped in the middle of a recovery");

          process.kill(stopped, ending);
          if (ending === "SIGCONT") {
            expect(JSON.parse(await recoverer.line()).deferred).toBe(false);
            expect(await recoverer.line()).toBe("true");
            pool.reclaim();
            expect(pool.stats()).toMatchObject({ used: 2, free: 22, waiters: 0 });
            expect(pool.stats().participants.map(({ alive }) => alive)).toEqual([true, true]);
          }
          await recoverer.rest();
          await recoverer.ended;
          await until(() => !pool.reclaim().deferred);
          expect(pool.stats()).toMatchObject({ used: 0, free: 24, waiters: 0 });
          expect(pool.stats().participants.length).toBe(1);
        }),
      60_000,
    );
  }
});

describe.skipIf(mounting === null)("containers' folders", () => {
  const mounted = (command: string): string[] => [
    ...(mounting ?? []),
    "sh",
    "-c",
    `${command} && exec "$0" "$@"`,
  ];

  test("one that is mounted into both holds the same pools, whatever its path is there", async () => {
    const [here, there] = [`${shared}/folder.${process.pid}`, `${shared}/mounted.${process.pid}`];
    mkdirSync(here);
    mkdirSync(there);
    try {
      const source = `say(BufferPool.list().length);
        const pool = BufferPool.create("p", { capacity: 2, bufferSize: 64 });
        const guard = pool.acquire(5);
        guard.bytes.set([1, 2, 3, 4, 5]);
        say(guard.handOff());
        await heard();
        say([pool.stats().linked, pool.refCount(pool.acquire(1).index), pool.stats().used]);`;
      const under = mounted(`mount --bind ${here} ${there}`);
      const child = script(source, { under, env: { XMEM_DIR: there } });
      expect(await child.line()).toBe("0");
      const handle = Number(await child.line());
      const reader = script(
        `using guard = BufferPool.open("p").take(${handle}); say([...guard.bytes]);`,
        { env: { XMEM_DIR: here } },
      );
      expect(await reader.rest()).toEqual(["[1,2,3,4,5]"]);
      child.tell("look");
      expect(await child.line()).toBe("[true,1,1]");
      await child.rest();
    } finally {
      rmSync(here, { recursive: true });
      rmSync(there, { recursive: true });
    }
  });

  test("a container with its own /dev/shm sees none of the other's pools", () =>
    withPool({ capacity: 2, bufferSize: 64 }, async (_pool, name) => {
      const source = `say([codeOf(() => BufferPool.open(${JSON.stringify(name)})),
        BufferPool.list().length]);`;
      const under = mounted(`mount -t tmpfs none ${shared}`);
      expect(await script(source, { under }).rest()).toEqual(['["POOL_NOT_FOUND",0]']);
    }));

  test("one that is read-only can be looked at, and not opened", () =>
    withPool({ capacity: 2, bufferSize: 64 }, async (pool, name) => {
      using guard = pool.acquire(1);
      const source = `const name = ${JSON.stringify(name)};
        say([codeOf(() => BufferPool.open(name)), codeOf(() => BufferPool.create(name + ".new")),
          BufferPool.inspect(name).used]);`;
      const under = mounted(
        `mount --bind ${shared} ${shared} && mount -o remount,bind,ro ${shared}`,
      );
      const said = await script(source, { under }).rest();
      expect(said).toEqual(['["PERMISSION_DENIED","PERMISSION_DENIED",1]']);
      expect(guard.size).toBe(1);
    }));
});
