// Pools by name are made, found, refused, replaced and removed; and a file system may be too small.

import { expect, test } from "bun:test";
import {
  chownSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { LIMIT_DESCRIPTORS } from "../src/generated/constants.gen.ts";
import { BufferPool, type XmemError, type XmemErrorCode } from "../src/index.ts";
import { codeOf, errorOf } from "./codes.ts";
import { start } from "./processes.ts";

const dir = process.env["XMEM_DIR"] ?? "/dev/shm";
let made = 0;

function named(body: (name: string, path: string) => void): void {
  const name = `object.${process.pid}.${++made}`;
  try {
    body(name, join(dir, `xmem.${name}`));
  } finally {
    BufferPool.unlink(name);
  }
}

const small = { capacity: 2, bufferSize: 64 };

test("create of a taken name is POOL_EXISTS, open of a free name is POOL_NOT_FOUND", () =>
  named((name) => {
    expect(codeOf(() => BufferPool.open(name))).toBe("POOL_NOT_FOUND");
    BufferPool.create(name, small).close();
    expect(codeOf(() => BufferPool.create(name, small))).toBe("POOL_EXISTS");
  }));

test("openOrCreate opens a pool that is there and refuses one that is smaller than asked", () =>
  named((name) => {
    using pool = BufferPool.openOrCreate(name, small);
    using same = BufferPool.openOrCreate(name);
    expect(same.capacity).toBe(pool.capacity);
    expect(codeOf(() => BufferPool.openOrCreate(name, { capacity: 3 }))).toBe("OPTIONS_MISMATCH");
    expect(codeOf(() => BufferPool.openOrCreate(name, { bufferSize: 65 }))).toBe(
      "OPTIONS_MISMATCH",
    );
  }));

test("broken objects are refused with what was found, kept by openOrCreate, removed by unlink", () =>
  named((name, path) => {
    BufferPool.create(name, small).close();
    const whole = readFileSync(path);
    const otherVersion = Buffer.from(whole);
    otherVersion.writeUInt32LE(99, 8);
    const otherLibc = Buffer.from(whole);
    otherLibc.writeUInt32LE(otherLibc.readUInt32LE(12) === 2 ? 1 : 2, 12);
    const cases: [Uint8Array, XmemErrorCode, string][] = [
      [new Uint8Array(0), "POOL_CORRUPT", "0 bytes"],
      [new Uint8Array(10), "POOL_CORRUPT", "10 bytes"],
      [crypto.getRandomValues(new Uint8Array(8192)), "POOL_CORRUPT", "magic"],
      [whole.subarray(0, whole.length - 4096), "POOL_CORRUPT", "must have"],
      [otherVersion, "VERSION_MISMATCH", "version 99"],
      [otherLibc, "VERSION_MISMATCH", "musl"],
    ];
    for (const [bytes, code, found] of cases) {
      truncateSync(path, 0);
      writeFileSync(path, bytes);
      const error = errorOf(() => BufferPool.open(name));
      expect(error.code).toBe(code);
      expect(error.message).toContain(found);
      expect(codeOf(() => BufferPool.openOrCreate(name))).toBe(code);
      expect(codeOf(() => BufferPool.inspect(name))).toBe(code);
      expect(codeOf(() => BufferPool.create(name, small))).toBe("POOL_EXISTS");
      const info = BufferPool.list().find((each) => each.name === name);
      expect(info?.problem).toContain(code);
    }
    expect(BufferPool.unlink(name)).toBe(true);
    expect(BufferPool.unlink(name)).toBe(false);
  }));

test("list says what is wrong with a link to itself or to nowhere", () =>
  named((name, path) => {
    for (const target of [path, "/nowhere"]) {
      symlinkSync(target, path);
      const info = BufferPool.list().find((each) => each.name === name);
      expect(info?.problem).toContain("POOL_CORRUPT");
      expect(codeOf(() => BufferPool.open(name))).toBe("POOL_CORRUPT");
      unlinkSync(path);
    }
  }));

test("an object of another user is refused unless allowOwner names it", () =>
  named((name, path) => {
    if (process.geteuid?.() !== 0) {
      console.log("skipped: only root can give a file away");
      return;
    }
    BufferPool.create(name, small).close();
    chownSync(path, 12_345, 12_345);
    expect(codeOf(() => BufferPool.open(name))).toBe("PERMISSION_DENIED");
    using pool = BufferPool.open(name, { allowOwner: 12_345 });
    expect(pool.capacity).toBe(2);
  }));

test("an ephemeral pool goes with its last participant", () =>
  named((name) => {
    const pool = BufferPool.create(name, { ...small, ephemeral: true });
    const other = BufferPool.open(name);
    pool.close();
    expect(other.stats().linked).toBe(true);
    other.close();
    expect(codeOf(() => BufferPool.open(name))).toBe("POOL_NOT_FOUND");
  }));

test("replaceAbandoned replaces a pool of the dead, and no other", async () => {
  const name = `object.${process.pid}.abandoned`;
  BufferPool.create(name, { capacity: 3, bufferSize: 64 }).close();
  try {
    const child = start(name, "hoard");
    expect(await child.line()).toBe("held 3");
    const options = { ...small, capacity: 3, replaceAbandoned: true };
    BufferPool.openOrCreate(name, options).close();
    expect(BufferPool.inspect(name).used).toBe(3);
    child.kill("SIGKILL");
    await child.exited;
    using pool = BufferPool.openOrCreate(name, { ...options, capacity: 7 });
    expect(pool.capacity).toBe(7);
  } finally {
    BufferPool.unlink(name);
  }
});

test("one participant too many is TOO_MANY_PARTICIPANTS, and a place that became free is taken", () =>
  named((name) => {
    using pool = BufferPool.create(name, { ...small, maxParticipants: 1 });
    const source = `
      import { BufferPool } from ${JSON.stringify(join(import.meta.dir, "../src/index.ts"))};
      try { BufferPool.open(${JSON.stringify(name)}); console.log("opened"); }
      catch (error) { console.log(error.code); }`;
    const open = (): string =>
      Bun.spawnSync([process.execPath, "-e", source]).stdout.toString().trim();
    expect(open()).toBe("TOO_MANY_PARTICIPANTS");
    pool.close();
    expect(open()).toBe("opened");
    expect(open()).toBe("opened");
  }));

test(
  "one open too many of a process is TOO_MANY_PARTICIPANTS and says so, and open pools go on working",
  () =>
    named((name) => {
      using first = BufferPool.create(name, { capacity: 1, bufferSize: 64 });
      const opens = [first];
      let error: XmemError | undefined;
      while (error === undefined && opens.length <= LIMIT_DESCRIPTORS) {
        try {
          opens.push(BufferPool.open(name));
        } catch (thrown) {
          error = thrown as XmemError;
        }
      }
      // Other tests of this process may have some open.
      expect(opens.length).toBeGreaterThan(LIMIT_DESCRIPTORS - 100);
      expect(error?.code).toBe("TOO_MANY_PARTICIPANTS");
      expect(error?.message).toContain(`${LIMIT_DESCRIPTORS - 1} pools open`);
      opens.at(-1)?.acquire(1).release();
      opens.pop()?.close();
      using again = BufferPool.open(name);
      expect(again.stats().participants.length).toBe(1);
      for (const pool of opens) pool.close();
    }),
  60_000,
);

test("a full shared memory file system is OUT_OF_MEMORY, never a signal, and nothing is lost", () => {
  const source = `
    import { BufferPool } from ${JSON.stringify(join(import.meta.dir, "../src/index.ts"))};
    const code = (body) => { try { body(); return "none"; } catch (error) { return error.code; } };
    console.log(code(() => BufferPool.create("large", { capacity: 100_000, bufferSize: 64 })));
    console.log(BufferPool.list().length);
    const pool = BufferPool.create("small", { capacity: 8, bufferSize: 1 << 20 });
    const held = [];
    const last = code(() => { for (;;) { const g = pool.acquire(); g.bytes.fill(1); held.push(g); } });
    const { free, used, committedBytes } = pool.stats();
    console.log(last, held.length > 0, free + used, used === held.length, committedBytes === held.length << 20);
    held.pop().release();
    pool.acquire().bytes.fill(2);
    console.log("fits again");`;
  const script = 'mount -t tmpfs -o size=4m none /mnt && XMEM_DIR=/mnt exec "$0" -e "$1"';
  const argv = ["unshare", "-m", "sh", "-c", script, process.execPath, source];
  const child = Bun.spawnSync(argv);
  if (child.stderr.toString().includes("unshare")) {
    console.log("skipped: no mount namespaces here:", child.stderr.toString());
    return;
  }
  expect(child.stdout.toString().trim().split("\n")).toEqual([
    "OUT_OF_MEMORY",
    "0",
    "OUT_OF_MEMORY true 8 true true",
    "fits again",
  ]);
});
