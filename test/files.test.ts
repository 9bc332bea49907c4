// A pool is one file: where it lies, which users may open it, what else may lie there, and what
// takes it away.

import { expect, test } from "bun:test";
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { BufferPool } from "../src/index.ts";
import { codeOf, errorOf } from "./codes.ts";
import { inPoolFolder } from "./folders.ts";
import { start } from "./processes.ts";
import { script } from "./scripts.ts";

const small = { capacity: 2, bufferSize: 64 };

test("a pool is one file in the folder that XMEM_DIR names, and nothing else is made", () =>
  inPoolFolder(async (dir) => {
    using pool = BufferPool.create("one", { ...small, channels: 4 });
    const held = [pool.acquire(), pool.acquire()];
    const wait = pool.acquireAsync(1);
    expect(() => pool.acquireBlocking(1, { timeout: 1 })).toThrow();
    for (const guard of held) guard.release();
    (await wait).release();
    pool.preallocate(64, 2);
    pool.reclaim();
    expect(readdirSync(dir)).toEqual(["xmem.one"]);
    expect(BufferPool.list().map(({ path }) => path)).toEqual([join(dir, "xmem.one")]);
    pool.close();
    expect(readdirSync(dir)).toEqual(["xmem.one"]);
    expect(pool.unlink()).toBe(true);
    expect(readdirSync(dir)).toEqual([]);
  }));

test("pools of other folders are not seen", () =>
  inPoolFolder((dir) => {
    using _pool = BufferPool.create("here", small);
    process.env["XMEM_DIR"] = join(dir, "none");
    expect(BufferPool.list()).toEqual([]);
    expect(codeOf(() => BufferPool.open("here"))).toBe("POOL_NOT_FOUND");
    expect(BufferPool.unlink("here")).toBe(false);
    for (const make of [BufferPool.create, BufferPool.openOrCreate]) {
      expect(codeOf(() => make("here", small))).toBe("SYSTEM");
    }
  }));

test("a folder that does not exist is SYSTEM to every call by name", () =>
  inPoolFolder((dir) => {
    writeFileSync(join(dir, "file"), "");
    process.env["XMEM_DIR"] = join(dir, "file");
    const { create, open, openOrCreate, unlink, inspect, list, prune } = BufferPool;
    for (const call of [create, open, openOrCreate, unlink, inspect]) {
      const wrong = (): unknown => Reflect.apply(call, BufferPool, ["any"]);
      expect([call.name, codeOf(wrong)]).toEqual([call.name, "SYSTEM"]);
    }
    for (const call of [list, prune]) {
      const wrong = (): unknown => Reflect.apply(call, BufferPool, []);
      expect([call.name, codeOf(wrong)]).toEqual([call.name, "SYSTEM"]);
    }
  }));

test("the file's permissions are `mode`, whatever the umask", () =>
  inPoolFolder((dir) => {
    const before = process.umask();
    try {
      for (const umask of [0, 0o027, 0o777]) {
        process.umask(umask);
        for (const mode of [undefined, 0, 0o400, 0o600, 0o640, 0o666, 0o777]) {
          const pool = BufferPool.create("mode", { ...small, mode });
          const found = statSync(join(dir, "xmem.mode")).mode & 0o7777;
          expect([umask, mode, found]).toEqual([umask, mode, mode ?? 0o600]);
          pool.close();
          pool.unlink();
        }
      }
    } finally {
      process.umask(before);
    }
  }));

test("another user is refused by the file's mode, and let in by it", () =>
  inPoolFolder((dir) => {
    const { seteuid } = process as { seteuid?: (uid: number) => void };
    if (process.geteuid?.() !== 0 || seteuid === undefined) {
      console.log("skipped: only root can become somebody else");
      return;
    }
    chmodSync(dir, 0o755);
    BufferPool.create("private", small).close();
    BufferPool.create("public", { ...small, mode: 0o666 }).close();
    seteuid(12_345);
    try {
      expect(codeOf(() => BufferPool.open("private"))).toBe("PERMISSION_DENIED");
      expect(codeOf(() => BufferPool.inspect("private"))).toBe("PERMISSION_DENIED");
      const infos = BufferPool.list().map(({ name, problem }) => [name, problem?.slice(0, 17)]);
      expect(infos).toEqual([
        ["private", "PERMISSION_DENIED"],
        ["public", undefined],
      ]);
      // Its owner is root, who is trusted.
      using pool = BufferPool.open("public");
      pool.acquire(8).bytes[0] = 1;
      expect(codeOf(() => BufferPool.unlink("public"))).toBe("PERMISSION_DENIED");
      expect(codeOf(() => BufferPool.create("mine", small))).toBe("PERMISSION_DENIED");
    } finally {
      seteuid(0);
    }
  }));

test("a file that is no pool is listed with its problem, refused, and kept by openOrCreate", () =>
  inPoolFolder((dir) => {
    const path = (name: string): string => join(dir, `xmem.${name}`);
    BufferPool.create("real", small).close();
    mkdirSync(path("folder"));
    symlinkSync(path("real"), path("link"));
    symlinkSync(path("nowhere"), path("dangling"));
    symlinkSync("/dev/zero", path("device"));
    writeFileSync(path("empty"), "");
    writeFileSync(path("zeros"), Buffer.alloc(65_536));
    writeFileSync(path("text"), "not a pool\n".repeat(1000));
    const odd = ["dangling", "device", "empty", "folder", "link", "text", "zeros"];
    if (Bun.spawnSync(["mkfifo", path("fifo")]).exitCode === 0) odd.push("fifo");
    const names = readdirSync(dir);
    const problems = BufferPool.list().filter(({ problem }) => problem !== undefined);
    expect(problems.map(({ name }) => name)).toEqual([...odd].sort());
    for (const info of problems) {
      expect(info.problem).toStartWith("POOL_CORRUPT: ");
      expect(info).toMatchObject({ path: path(info.name), capacity: 0, participants: 0 });
      expect(info.createdAt).toBeInstanceOf(Date);
    }
    for (const name of odd) {
      const calls = [BufferPool.open, BufferPool.inspect, BufferPool.openOrCreate];
      const codes = calls.map((call) => codeOf(() => call(name)));
      expect([name, ...codes]).toEqual([name, "POOL_CORRUPT", "POOL_CORRUPT", "POOL_CORRUPT"]);
      const replace = (): unknown => BufferPool.openOrCreate(name, { replaceAbandoned: true });
      expect([name, codeOf(replace)]).toEqual([name, "POOL_CORRUPT"]);
      const refused = errorOf(() => BufferPool.create(name, small));
      expect([name, refused.code]).toEqual([name, "POOL_EXISTS"]);
      // The advice names neither open nor unlink, since neither would help.
      if (["dangling", "device", "folder", "link", "fifo"].includes(name))
        expect(refused.message).toMatch(/ is a .* regular file \(EEXIST\); choose another name/);
    }
    expect(readdirSync(dir)).toEqual(names);
    for (const name of odd) {
      if (name === "folder") continue;
      expect([name, BufferPool.unlink(name)]).toEqual([name, true]);
    }
    // xmem does not remove a folder.
    expect(codeOf(() => BufferPool.unlink("folder"))).toBe("POOL_CORRUPT");
    expect(BufferPool.open("real").capacity).toBe(2);
  }));

test("list survives names that no pool can have", () =>
  inPoolFolder((dir) => {
    BufferPool.create("real", small).close();
    for (const name of ["xmem.", "xmem.é", "xmem.a b", "xmem...", "other", "xmem"]) {
      writeFileSync(join(dir, name), "");
    }
    const infos = BufferPool.list();
    expect(infos.filter(({ problem }) => problem === undefined).map(({ name }) => name)).toEqual([
      "real",
    ]);
    for (const { name, problem } of infos) {
      if (name !== "real") expect([name, problem]).toEqual([name, expect.any(String)]);
    }
  }));

test("a second name of a pool leads to the same pool", () =>
  inPoolFolder((dir) => {
    using pool = BufferPool.create("first", small);
    linkSync(join(dir, "xmem.first"), join(dir, "xmem.second"));
    using other = BufferPool.open("second");
    other.acquire(1);
    expect(pool.stats()).toMatchObject({ used: 1, participants: [{ pid: process.pid }] });
    expect(other.unlink()).toBe(true);
    expect(pool.stats().linked).toBe(true);
  }));

test("a handle of one pool is stale in another", () =>
  inPoolFolder(() => {
    using one = BufferPool.create("one", small);
    using two = BufferPool.create("two", small);
    const { handle } = one.acquire(1);
    two.acquire(1);
    expect(codeOf(() => two.get(handle))).toBe("STALE_HANDLE");
  }));

test("openOrCreate by several at once makes one pool", () =>
  inPoolFolder(async () => {
    const source = `
      const pool = BufferPool.openOrCreate("race", { capacity: 8, bufferSize: 64 });
      const guard = pool.acquire(1);
      say([entries(), guard.index]);
      await heard();
      guard.release();`;
    const children = Array.from({ length: 4 }, () => script(source));
    const seen = await Promise.all(children.map(async (child) => JSON.parse(await child.line())));
    expect(seen.map(([files]) => files)).toEqual(Array(4).fill(["xmem.race"]));
    expect(seen.map(([, index]) => index).sort()).toEqual([0, 1, 2, 3]);
    for (const child of children) await child.rest();
    await Promise.all(children.map(({ ended }) => ended));
  }));

test("openOrCreate checks only what was asked, and says both numbers", () =>
  inPoolFolder(() => {
    using _pool = BufferPool.create("existing", { capacity: 4, bufferSize: 100 });
    for (const fits of [
      { capacity: 4 },
      { bufferSize: 100 },
      { capacity: 1, bufferSize: 1 },
      { leaseTimeout: 1, maxParticipants: 4096, zeroOnRelease: true, mode: 0o777 },
    ]) {
      using other = BufferPool.openOrCreate("existing", fits);
      expect(other).toMatchObject({ capacity: 4, bufferSize: 100 });
    }
    expect(() => BufferPool.openOrCreate("existing", { capacity: 5 })).toThrow(
      /capacity is 4, smaller than the 5/,
    );
    expect(() => BufferPool.openOrCreate("existing", { bufferSize: 101 })).toThrow(
      /bufferSize is 100, smaller than the 101/,
    );
  }));

test("an ephemeral pool outlives its creator, and goes with the last process to leave", () =>
  inPoolFolder(async (dir) => {
    const pool = BufferPool.create("ephemeral", { ...small, ephemeral: true });
    const child = start("ephemeral", "hoard", 1);
    expect(await child.line()).toBe("held 2");
    pool.close();
    const seen = readdirSync(dir);
    expect(await child.line()).toBe("released");
    expect(await child.exited).toBe(0);
    // The child may have been gone before the look.
    expect(seen.length).toBeLessThanOrEqual(1);
    expect(readdirSync(dir)).toEqual([]);
  }));

test("a process that finds only dead participants of an ephemeral pool removes its name", () =>
  inPoolFolder(async (dir) => {
    const again = { ...small, capacity: 3, ephemeral: true };
    for (const find of [
      () => codeOf(() => BufferPool.open("ephemeral")),
      () => codeOf(() => BufferPool.openOrCreate("ephemeral", again).close()),
      () => codeOf(() => BufferPool.create("ephemeral", again).close()),
    ]) {
      const pool = BufferPool.create("ephemeral", { ...small, ephemeral: true });
      const child = start("ephemeral", "hoard");
      expect(await child.line()).toBe("held 2");
      pool.close();
      expect(readdirSync(dir)).toEqual(["xmem.ephemeral"]);
      expect(codeOf(() => BufferPool.create("ephemeral", small))).toBe("POOL_EXISTS");
      child.kill("SIGKILL");
      await child.exited;
      expect(["POOL_NOT_FOUND", "none"]).toContain(find());
      expect(readdirSync(dir)).toEqual([]);
    }
  }));

test("a pool that is not ephemeral stays when its last participant leaves or dies", () =>
  inPoolFolder(async (dir) => {
    BufferPool.create("lasting", small).close();
    const child = start("lasting", "hoard");
    expect(await child.line()).toBe("held 2");
    child.kill("SIGKILL");
    await child.exited;
    BufferPool.open("lasting").close();
    expect(readdirSync(dir)).toEqual(["xmem.lasting"]);
  }));

test("replaceAbandoned leaves a pool that anybody has, and replaces one that nobody has", () =>
  inPoolFolder(async (dir) => {
    const inode = (): number => statSync(join(dir, "xmem.abandoned")).ino;
    const larger = { capacity: 5, bufferSize: 64 };
    BufferPool.create("abandoned", small).close();
    const first = inode();
    expect(codeOf(() => BufferPool.openOrCreate("abandoned", larger))).toBe("OPTIONS_MISMATCH");
    {
      using pool = BufferPool.openOrCreate("abandoned", { ...larger, replaceAbandoned: true });
      expect([pool.capacity, inode() === first]).toEqual([5, false]);
      // This thread has it open now.
      const again = (): unknown =>
        BufferPool.openOrCreate("abandoned", { capacity: 6, replaceAbandoned: true });
      expect(codeOf(again)).toBe("OPTIONS_MISMATCH");
    }
    const child = start("abandoned", "hoard");
    expect(await child.line()).toBe("held 5");
    const second = inode();
    BufferPool.openOrCreate("abandoned", { replaceAbandoned: true }).close();
    expect(inode()).toBe(second);
    child.kill("SIGKILL");
    await child.exited;
    BufferPool.openOrCreate("abandoned", { ...small, replaceAbandoned: false }).close();
    expect(inode()).toBe(second);
    using third = BufferPool.openOrCreate("abandoned", { ...small, replaceAbandoned: true });
    expect([third.capacity, inode() === second]).toEqual([2, false]);
    expect(third.stats()).toMatchObject({ free: 2, counters: { acquired: 0 } });
  }));
