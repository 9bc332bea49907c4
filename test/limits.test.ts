// Lack of shared memory, descriptors, address space, file length or rows. Each is an error with a
// code, costs nothing, and ends when there is enough again.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { BufferPool } from "../src/index.ts";
import { withPool } from "./processes.ts";
import { type ScriptOptions, script, unshare } from "./scripts.ts";

const mounting = unshare("--mount");

/** A process with a shared memory file system of its own. */
function onTmpfs(options: string): ScriptOptions {
  const shell = `mount -t tmpfs -o ${options} none /mnt && exec "$0" "$@"`;
  return { under: [...(mounting ?? []), "sh", "-c", shell], env: { XMEM_DIR: "/mnt" } };
}

async function outputOf(source: string, options: ScriptOptions): Promise<unknown[]> {
  const child = script(source, options);
  const lines = await child.rest();
  // A signal, SIGBUS above all, would stand here.
  expect(await child.ended).toBe(0);
  return lines.map((line) => JSON.parse(line));
}

describe.skipIf(mounting === null)("a full shared memory file system", () => {
  test("create is OUT_OF_MEMORY at each page that is missing, and leaves nothing", async () => {
    const [failures, needed, file] = await outputOf(
      `const options = { capacity: 40, bufferSize: 64, maxParticipants: 4 };
      const failures = [];
      for (let left = 0; ; left += page) {
        fillAllBut(left);
        const code = codeOf(() => BufferPool.create("p", options).close());
        if (code === "none") break;
        failures.push([code, entries().length, BufferPool.list().length, room() - left]);
      }
      say(failures);
      empty();
      const before = room();
      BufferPool.create("q", options).close();
      say((before - room()) / page);
      BufferPool.open("p").acquire(64).bytes.fill(1);
      say(entries().sort());`,
      onTmpfs("size=1m"),
    );
    // Header, rows and slots are one piece, the creator's hold row another.
    expect(needed).toBe(6);
    expect(failures).toEqual(Array.from({ length: 6 }, () => ["OUT_OF_MEMORY", 0, 0, 0]));
    expect(file).toEqual(["xmem.p", "xmem.q"]);
  });

  test("create on a file system without a free inode is OUT_OF_MEMORY", async () => {
    expect(
      await outputOf(
        `const create = () => codeOf(() => BufferPool.create("p", { capacity: 1 }).close());
        fillAllBut(room() - page);
        say([create(), entries()]);
        empty();
        say([create(), entries()]);`,
        onTmpfs("size=1m,nr_inodes=2"),
      ),
    ).toEqual([
      ["OUT_OF_MEMORY", []],
      ["none", ["xmem.p"]],
    ]);
  });

  test("open is OUT_OF_MEMORY where its row does not fit, and takes no place", async () => {
    const lines = await outputOf(
      `const pool = BufferPool.create("p", { capacity: 3000, bufferSize: 64, maxParticipants: 2 });
      const source = 'import { BufferPool, codeOf, say } from ' +
        JSON.stringify(${JSON.stringify(`${import.meta.dir}/programs/script.ts`)}) +
        '; say([codeOf(() => BufferPool.open("p").close())])';
      const open = () => JSON.parse(Bun.spawnSync([process.execPath, "-e", source]).stdout)[0];
      for (const pages of [0, 1, 2]) {
        fillAllBut(pages * page);
        say([pages, open(), room() / page, pool.stats().participants.length]);
      }
      // A row that once had memory keeps it for its next owner.
      say([open(), pool.reclaim().deferred, pool.stats().free]);`,
      onTmpfs("size=4m"),
    );
    expect(lines).toEqual([
      [0, "OUT_OF_MEMORY", 0, 1],
      [1, "OUT_OF_MEMORY", 1, 1],
      [2, "none", 0, 1],
      ["none", false, 3000],
    ]);
  });

  test("every form of acquire that must commit is OUT_OF_MEMORY, and the slot is free again", async () => {
    const lines = await outputOf(
      `const pool = BufferPool.create("p", { capacity: 4, bufferSize: 5 * page });
      const held = pool.acquire(page);
      held.bytes.fill(7);
      const forms = {
        acquire: async () => pool.acquire(),
        tryAcquire: async () => pool.tryAcquire(),
        acquireBlocking: async () => pool.acquireBlocking(5 * page, { timeout: 60_000 }),
        acquireAsync: () => pool.acquireAsync(),
      };
      for (const [name, acquire] of Object.entries(forms)) {
        const codes = [];
        for (let pages = 0; pages < 5; pages++) {
          fillAllBut(pages * page);
          codes.push(await codeOfLater(acquire));
          const { free, used, committedBytes } = pool.stats();
          if (free !== 3 || used !== 1 || committedBytes !== page || room() !== pages * page) {
            codes.push([free, used, committedBytes, room()]);
          }
        }
        fillAllBut(5 * page);
        const guard = await acquire();
        guard.bytes.fill(9);
        guard.release();
        pool.trim();
        say([name, codes, room() / page, held.bytes.every((byte) => byte === 7)]);
      }`,
      onTmpfs("size=1m"),
    );
    const codes = Array.from({ length: 5 }, () => "OUT_OF_MEMORY");
    const forms = ["acquire", "tryAcquire", "acquireBlocking", "acquireAsync"];
    expect(lines).toEqual(forms.map((name) => [name, codes, 5, true]));
  });

  test("a recycled slot that cannot grow is given back with the memory that it had", async () => {
    const lines = await outputOf(
      `const pool = BufferPool.create("p", { capacity: 2, bufferSize: 5 * page });
      const held = pool.acquire(page);
      for (const pages of [0, 1, 2, 3]) {
        empty();
        pool.acquire(2 * page).release();
        fillAllBut(pages * page);
        const code = codeOf(() => { using guard = pool.acquire(); guard.bytes.fill(3); });
        say([code, pool.stats().free, pool.stats().committedBytes / page, room() / page]);
      }`,
      onTmpfs("size=1m"),
    );
    // Its two pages and three more make five.
    expect(lines).toEqual([
      ["OUT_OF_MEMORY", 1, 1, 2],
      ["OUT_OF_MEMORY", 1, 1, 3],
      ["OUT_OF_MEMORY", 1, 1, 4],
      ["none", 1, 6, 0],
    ]);
  });

  test("preallocate commits as many whole buffers as fit, and is OUT_OF_MEMORY for none", async () => {
    const lines = await outputOf(
      `const pool = BufferPool.create("p", { capacity: 4, bufferSize: 3 * page });
      for (const pages of [0, 2, 3, 7]) {
        fillAllBut(pages * page);
        let bytes = 0;
        const code = codeOf(() => { bytes = pool.preallocate(3 * page, 4); });
        const { free, committedBytes } = pool.stats();
        say([code, bytes / page, free, committedBytes / page, room() / page]);
        pool.trim();
      }
      fillAllBut(3 * page);
      pool.preallocate(3 * page, 1);
      using guard = pool.acquire();
      guard.bytes.fill(1);`,
      onTmpfs("size=1m"),
    );
    expect(lines).toEqual([
      ["OUT_OF_MEMORY", 0, 4, 0, 0],
      ["OUT_OF_MEMORY", 0, 4, 0, 2],
      ["none", 3, 4, 3, 0],
      ["none", 6, 4, 6, 1],
    ]);
  });

  test("zeroing touches only memory that is committed, also after the holder was killed", async () => {
    const lines = await outputOf(
      `const pool = BufferPool.create("p",
        { capacity: 3, bufferSize: 4 * page, zeroOnRelease: true, leaseTimeout: 1 });
      const source = 'import { BufferPool } from ' +
        JSON.stringify(${JSON.stringify(`${import.meta.dir}/programs/script.ts`)}) +
        ';const held = BufferPool.open("p").acquire(); held.bytes.fill(255);' +
        'process.kill(process.pid, "SIGKILL");';
      pool.acquire(0).release();
      const guard = pool.acquire(2 * page);
      guard.bytes.fill(255);
      fillAllBut(0);
      guard.release();
      using again = pool.acquire(2 * page);
      say(again.bytes.every((byte) => byte === 0));
      empty();
      Bun.spawnSync([process.execPath, "-e", source]);
      fillAllBut(0);
      // A recovery gives dirty memory of the dead back to the system; another file takes it at
      // once.
      say(pool.reclaim());
      fillAllBut(0);
      say([codeOf(() => pool.acquire()), pool.stats().free]);
      empty();
      using clean = pool.acquire();
      say(clean.bytes.every((byte) => byte === 0));`,
      onTmpfs("size=1m"),
    );
    expect(lines).toEqual([
      true,
      { participants: 1, references: 1, buffers: 1, deferred: false },
      ["OUT_OF_MEMORY", 2],
      true,
    ]);
  });

  test("a waiter that finds no memory fails for that, and the buffer goes to the next", async () => {
    const lines = await outputOf(
      `const pool = BufferPool.create("p", { capacity: 1, bufferSize: 4 * page });
      const held = pool.acquire(page);
      const large = codeOfLater(() => pool.acquireAsync(4 * page));
      const small = pool.acquireAsync(page);
      fillAllBut(2 * page);
      held.release();
      say([await large, (await small).size, pool.stats().waiters]);`,
      onTmpfs("size=1m"),
    );
    expect(lines).toEqual([["OUT_OF_MEMORY", 4096, 0]]);
  });
});

describe("no descriptor left", () => {
  /** Runs `body`, which returns a code, with 0, 1, 2 ... descriptors left until it is "none". */
  const sweep = (body: string): string =>
    `const attempt = async () => { ${body} };
    const failures = [];
    for (let left = 0; ; left++) {
      freeDescriptors();
      spareDescriptors(left);
      const code = await attempt();
      if (code === "none") break;
      failures.push(code, descriptorsLeft() - left);
    }
    freeDescriptors();
    say(failures);`;
  const few: ScriptOptions = { under: ["sh", "-c", 'ulimit -n 100; exec "$0" "$@"'] };

  const attempts: Record<string, [setup: string, body: string]> = {
    create: [
      `addEventListener("exit", () => BufferPool.unlink(name + ".new"));`,
      `return codeOf(() => BufferPool.create(name + ".new", { capacity: 2 }).close());`,
    ],
    open: ["", "return codeOf(() => BufferPool.open(name).close());"],
    inspect: ["", "return codeOf(() => BufferPool.inspect(name));"],
    list: [
      "",
      `return codeOf(() => {
        const info = BufferPool.list().find((each) => each.name === name);
        if (info === undefined) throw new Error("the pool is not listed");
        if (info.problem?.startsWith("SYSTEM")) BufferPool.inspect(name);
      });`,
    ],
    unlink: [
      `const other = BufferPool.create(name + ".gone", { capacity: 2 });`,
      `return codeOf(() => BufferPool.unlink(name + ".gone"));`,
    ],
    acquireAsync: [
      `const pool = BufferPool.open(name); const all = [pool.acquire(1), pool.acquire(1)];`,
      `return codeOfLater(async () => {
        const wait = pool.acquireAsync(1);
        setTimeout(() => all.pop()?.release(), 20);
        all.push(await wait);
      }).finally(() => { if (all.length < 2) all.push(pool.acquire(1)); });`,
    ],
  };

  for (const [name, [setup, body]] of Object.entries(attempts)) {
    test(`${name} is SYSTEM, leaks none, and works with enough`, () =>
      withPool({ capacity: 2, bufferSize: 64 }, async (pool, poolName) => {
        const source = `const name = ${JSON.stringify(poolName)};${setup}${sweep(body)}`;
        const [failures] = (await outputOf(source, few)) as [(string | number)[]];
        expect(failures.length).toBeGreaterThan(0);
        for (let i = 0; i < failures.length; i += 2) {
          expect(failures.slice(i, i + 2)).toEqual(["SYSTEM", 0]);
        }
        BufferPool.unlink(`${poolName}.new`);
        // The process ended without a close.
        pool.reclaim();
        expect(pool.stats()).toMatchObject({ used: 0, waiters: 0 });
        expect(pool.stats().participants.length).toBe(1);
      }));
  }

  test("the cause names the limit", () =>
    withPool({ capacity: 2, bufferSize: 64 }, async (_pool, name) => {
      const source = `spareDescriptors(0);
        try { BufferPool.open(${JSON.stringify(name)}); }
        catch (error) { say([error.code, error.cause.code]); }`;
      expect(await outputOf(source, few)).toEqual([["SYSTEM", "EMFILE"]]);
    }));

  test("an ephemeral pool that is closed without descriptors is gone at the next look", async () => {
    const name = `limits.${process.pid}.ephemeral`;
    const source = `const name = ${JSON.stringify(name)};
      const pool = BufferPool.create(name, { capacity: 2, ephemeral: true });
      spareDescriptors(0);
      pool.close();
      freeDescriptors();
      say([codeOf(() => BufferPool.open(name))]);
      BufferPool.create(name, { capacity: 2, ephemeral: true }).close();
      say(BufferPool.list().filter((each) => each.name === name));`;
    expect(await outputOf(source, few)).toEqual([["POOL_NOT_FOUND"], []]);
  });

  test("an open pool works on, and knows its name", () =>
    withPool({ capacity: 2, bufferSize: 64 }, async (_pool, name) => {
      const source = `const pool = BufferPool.open(${JSON.stringify(name)});
        spareDescriptors(0);
        using guard = pool.acquire(64);
        guard.bytes.fill(1);
        pool.take(guard.share()).release();
        say([pool.stats().linked, pool.trim(), pool.preallocate(64, 1) > 0, pool.reclaim().deferred]);
        pool.close();`;
      expect(await outputOf(source, few)).toEqual([[true, 0, true, false]]);
    }));
});

test("a pool that does not fit in the address space is OUT_OF_MEMORY, and costs nothing", () =>
  withPool({ capacity: 1024, bufferSize: 1 << 20 }, async (pool, name) => {
    const child = script(
      `const name = ${JSON.stringify(name)};
      const create = () => codeOf(() =>
        BufferPool.create(name + ".new", { capacity: 1024, bufferSize: 1 << 20 }).close());
      const open = () => codeOf(() => BufferPool.open(name).close());
      const inspect = () => codeOf(() => BufferPool.inspect(name));
      say("ready");
      await heard();
      const left = descriptorsLeft();
      say([create(), open(), inspect(), descriptorsLeft() - left]);
      await heard();
      say([create(), open(), inspect()]);
      BufferPool.unlink(name + ".new");`,
      { under: ["sh", "-c", 'ulimit -n 200; exec "$0" "$@"'] },
    );
    expect(await child.line()).toBe("ready");
    const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
    const size = Number(/VmSize:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
    const limit = (bytes: number | string): void => {
      const argv = ["prlimit", "--pid", String(child.pid), `--as=${bytes}:unlimited`];
      expect(Bun.spawnSync(argv).stderr.toString()).toBe("");
    };
    limit(size + (512 << 20));
    child.tell("now");
    const full = ["OUT_OF_MEMORY", "OUT_OF_MEMORY", "OUT_OF_MEMORY", 0];
    expect(JSON.parse(await child.line())).toEqual(full);
    limit("unlimited");
    child.tell("again");
    expect(JSON.parse(await child.line())).toEqual(["none", "none", "none"]);
    await child.rest();
    expect(await child.ended).toBe(0);
    expect(pool.stats().participants.length).toBe(1);
    expect(BufferPool.list().some((each) => each.name === `${name}.new`)).toBe(false);
  }));

test("a pool longer than a file may be cannot be created, OUT_OF_MEMORY, but can be opened", () =>
  withPool({ capacity: 64, bufferSize: 1 << 20 }, async (_pool, name) => {
    const source = `const name = ${JSON.stringify(name)};
      const create = (capacity) => codeOf(() =>
        BufferPool.create(name + ".new", { capacity, bufferSize: 1 << 20 }).close());
      say([create(64), create(4), BufferPool.unlink(name + ".new")]);
      using pool = BufferPool.open(name);
      const guards = Array.from({ length: 64 }, () => pool.acquire());
      guards.at(-1).bytes.fill(1);
      say(guards.length);`;
    // Bun ignores SIGXFSZ; the core's own tests have it kill.
    const under = ["prlimit", `--fsize=${16 << 20}`];
    expect(await outputOf(source, { under })).toEqual([["OUT_OF_MEMORY", "none", true], 64]);
  }));

test.skipIf(mounting === null)(
  "a file system that cannot allocate is written to instead",
  async () => {
    const shell = 'mount -t ramfs none /mnt && exec "$0" "$@"';
    const lines = await outputOf(
      `const pool = BufferPool.create("p", { capacity: 3, bufferSize: 4 * page });
    const guard = pool.acquire();
    guard.bytes.fill(7);
    guard.release();
    say([pool.preallocate(page, 3) / page, pool.acquire().bytes[5], pool.trim(), entries()]);`,
      { under: [...(mounting ?? []), "sh", "-c", shell], env: { XMEM_DIR: "/mnt" } },
    );
    // It gives nothing back, either.
    expect(lines).toEqual([[2, 7, 0, ["xmem.p"]]]);
  },
);

test("a pool works without the right to lock memory", () =>
  withPool({ capacity: 4, bufferSize: 1 << 20 }, async (_pool, name) => {
    const source = `using pool = BufferPool.open(${JSON.stringify(name)});
      using guard = await pool.acquireAsync();
      guard.bytes.fill(1);
      say(pool.preallocate(1 << 20, 3));`;
    const under = ["prlimit", "--memlock=0"];
    expect(await outputOf(source, { under })).toEqual([3 << 20]);
  }));

describe("the participant after the last", () => {
  const waiting = (name: string): string =>
    `const pool = BufferPool.open(${JSON.stringify(name)});
    pool.acquire(1);
    say("in");
    await heard();
    // The pool is in use until here, so that the engine does not collect it.
    pool.close();`;
  const opening = (name: string): string =>
    `say([codeOf(() => BufferPool.open(${JSON.stringify(name)}).close())])`;

  test("is refused with TOO_MANY_PARTICIPANTS among processes, until one is killed", () =>
    withPool({ capacity: 8, bufferSize: 64, maxParticipants: 4 }, async (pool, name) => {
      const children = [1, 2, 3].map(() => script(waiting(name)));
      for (const child of children) expect(await child.line()).toBe("in");
      expect(await outputOf(opening(name), {})).toEqual([["TOO_MANY_PARTICIPANTS"]]);
      expect(BufferPool.inspect(name).participants.length).toBe(4);
      children[0]?.kill("SIGKILL");
      await children[0]?.ended;
      // The process that wants a row recovers that row, and the hold with it.
      expect(await outputOf(opening(name), {})).toEqual([["none"]]);
      expect(pool.stats().used).toBe(2);
      for (const child of children.slice(1)) await child.rest();
      pool.reclaim();
      expect(pool.stats().used).toBe(0);
    }));

  test(
    "is refused with TOO_MANY_PARTICIPANTS among 64 Workers, until one is terminated",
    () =>
      withPool({ capacity: 80, bufferSize: 64 }, async (pool, name) => {
        const source = `import { BufferPool } from ${JSON.stringify(`${import.meta.dir}/../src/index.ts`)};
        try {
          const pool = BufferPool.open(${JSON.stringify(name)});
          pool.acquire(1);
          postMessage("in");
          // The pool stays in use, so that the engine does not collect it.
          onmessage = () => postMessage(pool.name);
        } catch (error) {
          postMessage(error.code);
          onmessage = () => {};
        }`;
        const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
        const begin = async (): Promise<{ worker: Worker; said: string }> => {
          const worker = new Worker(url);
          const { promise, resolve } = Promise.withResolvers<string>();
          worker.onmessage = (event: MessageEvent) => resolve(event.data);
          return { worker, said: await promise };
        };
        const end = async (worker: Worker): Promise<void> => {
          const { promise, resolve } = Promise.withResolvers<void>();
          worker.addEventListener("close", () => resolve());
          worker.terminate();
          await promise;
        };
        const workers: Worker[] = [];
        // This thread has a row, too.
        while (workers.length < 63) {
          const { worker, said } = await begin();
          expect(said).toBe("in");
          workers.push(worker);
        }
        const extra = await begin();
        expect(extra.said).toBe("TOO_MANY_PARTICIPANTS");
        expect(await outputOf(opening(name), {})).toEqual([["TOO_MANY_PARTICIPANTS"]]);
        await end(extra.worker);
        await end(workers.pop() as Worker);
        const late = await begin();
        expect(late.said).toBe("in");
        workers.push(late.worker);
        expect(pool.stats().used).toBe(63);
        for (const worker of workers) await end(worker);
        pool.reclaim();
        expect(pool.stats().used).toBe(0);
        expect(pool.stats().participants.length).toBe(1);
      }),
    60_000,
  );
});
