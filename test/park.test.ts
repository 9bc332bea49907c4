// One buffer at a time outside of memory: in a directory, and in a real S3.

import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { XmemError } from "../src/index.ts";
import {
  defaultStore,
  directoryStore,
  type ParkingStore,
  park,
  type S3StoreOptions,
  s3Store,
  unpark,
} from "../src/park/index.ts";
import {
  bucketStore,
  codeOf,
  FaultyProxy,
  failureOf,
  newFolder,
  newPool,
  s3,
  sourceOf,
  stores,
  theGateway,
  withGateway,
} from "./park/stores.ts";
import { script, unshare, until } from "./scripts.ts";

withGateway();

function pattern(bytes: Uint8Array, seed: number): Uint8Array {
  for (let at = 0; at < bytes.length; at++) bytes[at] = ((at * 31) ^ (at >> 7) ^ seed) & 255;
  return bytes;
}

for (const [where, open] of Object.entries(stores)) {
  describe(`one buffer in ${where}`, () => {
    test.each([false, true])(
      "comes back with all that its description says, compressed %p",
      async (compress) => {
        using pool = newPool();
        const store = open();
        const described = [
          {},
          { dtype: "float32", shape: [2, 3], strides: [12, 4] },
          { dtype: "float32", shape: [2, 3], strides: [4, 8] },
          { shape: [], strides: [] },
          { strides: [7] },
          { dtype: "float64", shape: [3], timestamp: 2 ** 53 - 1, sequence: 7 },
          { contentType: "größe: 10 %\r\n", producer: " é " },
        ];
        for (const [at, fields] of described.entries()) {
          using guard = pool.acquire(24);
          pattern(guard.bytes, at);
          Object.assign(guard.meta, fields);
          const result = await park(guard, { key: `a/${at}`, store, compress });
          expect(result).toMatchObject({ key: `a/${at}`, size: 24 });
          using back = await unpark(pool, `a/${at}`, { store });
          expect(back.bytes).toEqual(guard.bytes);
          expect(back.meta.toJSON()).toEqual(guard.meta.toJSON());
        }
      },
    );

    test.each([false, true])("has any size, compressed %p", async (compress) => {
      using pool = newPool({ bufferSize: 20 << 20 });
      const store = open();
      for (const size of [0, 1, 65_535, 65_536, 262_100, 1 << 20, (1 << 20) + 1, 20 << 20]) {
        using guard = pool.acquire(size);
        pattern(guard.bytes, size);
        const { stored } = await park(guard, { key: "k", store, compress });
        const [object] = await store.list("k");
        expect(object?.size).toBe(stored);
        using back = await unpark(pool, "k", { store });
        expect(back.size).toBe(size);
        expect(Buffer.compare(back.bytes, guard.bytes)).toBe(0);
      }
    });

    test("is replaced, listed, removed, and not found then", async () => {
      using pool = newPool();
      const store = open();
      for (const sequence of [1, 2]) {
        using guard = pool.acquire(10);
        guard.meta.sequence = sequence;
        await park(guard, { key: "x/y z ü", store });
      }
      expect((await store.list("x/")).map(({ key }) => key)).toEqual(["x/y z ü"]);
      expect(await store.list("other/")).toEqual([]);
      {
        using back = await unpark(pool, "x/y z ü", { store, remove: true });
        expect(back.meta.sequence).toBe(2);
      }
      expect(await codeOf(unpark(pool, "x/y z ü", { store }))).toBe("BUFFER_NOT_FOUND");
      await store.remove("x/y z ü");
      expect(pool.stats().used).toBe(0);
    });

    test("that is none, or is cut off, or is too large, is refused", async () => {
      using pool = newPool();
      using small = newPool({ bufferSize: 1000 });
      const store = open();
      async function* pieces(...all: Uint8Array[]): AsyncGenerator<Uint8Array> {
        yield* all;
      }
      using guard = pool.acquire(200_000);
      await park(guard, { key: "good", store });
      const whole = new Uint8Array(200_200);
      const length = await store.read("good", 0, whole);
      await store.write("cut", pieces(whole.subarray(0, length - 1)));
      await store.write("foreign", pieces(new TextEncoder().encode("a text of somebody else's")));
      await store.write("empty", pieces());
      expect(await codeOf(unpark(pool, "cut", { store }))).toBe("INCOMPLETE");
      expect(await codeOf(unpark(pool, "foreign", { store }))).toBe("INVALID_ARGUMENT");
      expect(await codeOf(unpark(pool, "empty", { store }))).toBe("INCOMPLETE");
      expect(await codeOf(unpark(small, "good", { store }))).toBe("TOO_LARGE");
      expect(pool.stats().used + small.stats().used).toBe(1);
    });
  });
}

const moduleOf = (file: string): string => JSON.stringify(join(import.meta.dir, "../src", file));

for (const where of Object.keys(stores)) {
  test.each([false, true])(
    `a buffer of 256 MiB goes to ${where} and back without a second copy of it, compressed %p`,
    async (compress) => {
      const { store, env } = sourceOf(where);
      const size = 256 << 20;
      const process = script(
        `const { readFileSync } = require("node:fs");
        const { park, unpark, s3Store, directoryStore } = await import(${moduleOf("park/index.ts")});
        const { BufferPool } = await import(${moduleOf("index.ts")});
        // What is the process's own: the pool's memory is shared.
        const own = () =>
          Number(/RssAnon:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
        const pool = BufferPool.create("park.large." + process.pid,
          { capacity: 2, bufferSize: ${size}, ephemeral: true });
        const store = ${store};
        {
          using guard = pool.acquire(${size});
          const words = guard.view("uint32");
          for (let at = 0; at < words.length; at++) words[at] = Math.imul(at, 2654435761) >>> 12;
          const before = own();
          let most = 0;
          const looking = setInterval(() => { most = Math.max(most, own()); }, 2);
          await park(guard, { key: "large", store, compress: ${compress} });
          console.log(most - before);
          guard.bytes.fill(0);
          guard.release();
          most = 0;
          using back = await unpark(pool, "large", { store, remove: true });
          console.log(most - before);
          clearInterval(looking);
          let wrong = 0;
          const found = back.view("uint32");
          for (let at = 0; at < found.length; at++) {
            if (found[at] !== Math.imul(at, 2654435761) >>> 12) wrong++;
          }
          console.log(wrong);
        }
        pool.close();`,
        { env },
      );
      const [parked, unparked, wrong] = (await process.rest()).map(Number);
      expect(await process.ended).toBe(0);
      expect(wrong).toBe(0);
      expect(parked as number).toBeLessThan(size / 2);
      expect(unparked as number).toBeLessThan(size / 2);
    },
  );

  test(`a process that dies while it parks in ${where} leaves nothing that a sweep does not find`, async () => {
    const { store, env } = sourceOf(where);
    const child = script(
      `const { s3Store, directoryStore } = await import(${moduleOf("park/index.ts")});
      const store = ${store};
      await store.write("half", (async function* () {
        for (let at = 0; at < 20; at++) yield new Uint8Array(1 << 20);
        console.log("begun");
        await new Promise(() => {});
      })());`,
      { env },
    );
    expect(await child.line()).toBe("begun");
    child.kill("SIGKILL");
    await child.ended;
    const own = where === "S3" ? bucketStore({ prefix: "" }) : directoryStore(folderIn(store));
    expect(await own.list("half")).toEqual([]);
    expect(await own.sweep(Date.now() - 60_000)).toEqual([]);
    const swept = await own.sweep(Date.now() + 60_000);
    expect(swept.length).toBe(1);
    expect(swept[0]).toStartWith("half");
    expect(await own.sweep(Date.now() + 60_000)).toEqual([]);
  });
}

function folderIn(source: string): string {
  return JSON.parse(source.slice(source.indexOf("(") + 1, -1));
}

test("files of a directory are this user's alone", async () => {
  using pool = newPool();
  using guard = pool.acquire(10);
  const path = newFolder();
  await park(guard, { key: "a/b", store: directoryStore(path) });
  const modes = [path, join(path, "a"), join(path, "a/b.parked")].map(
    (each) => statSync(each).mode & 0o777,
  );
  expect(modes).toEqual([0o700, 0o700, 0o600]);
  expect(readdirSync(join(path, "a"))).toEqual(["b.parked"]);
});

test("a directory that others could write to is refused, and so is a link to one", () => {
  const open = newFolder();
  mkdirSync(open, { recursive: true });
  chmodSync(open, 0o777);
  const link = newFolder();
  symlinkSync(newFolder(), link);
  for (const path of [open, link]) {
    expect(() => directoryStore(path)).toThrow(/only this user|EEXIST/);
  }
});

test("without a bucket in the environment the default is a directory", async () => {
  const path = newFolder();
  const source = `const { defaultStore } = await import(${moduleOf("park/index.ts")});
    console.log(defaultStore().name);`;
  const none = { S3_BUCKET: "", AWS_BUCKET: "", XMEM_PARKING: "" };
  const nameWith = async (env: Record<string, string>): Promise<string> =>
    await script(source, { env: { ...none, ...env } }).line();
  expect(await nameWith({ XMEM_PARKING: path })).toBe(`the directory ${path}`);
  expect(await nameWith({})).toBe(`the directory /var/tmp/xmem-parking-${process.getuid?.()}`);
  const s3Name = await nameWith({ AWS_BUCKET: "b", S3_ENDPOINT: "http://there" });
  expect(s3Name).toBe("bucket b at http://there");
  expect(defaultStore().name).not.toBe("");
});

test("options that are wrong are refused before anything is done", async () => {
  using pool = newPool();
  using guard = pool.acquire(10);
  const store = directoryStore(newFolder());
  const bad: object[] = [
    ...[
      "",
      "/a",
      "a/",
      "a//b",
      "../a",
      "a/../b",
      ".parking/a",
      "a.part",
      "a\0b",
      "x".repeat(901),
      7,
    ].map((key) => ({ key, store })),
    { store },
    { key: "a", store: {} },
    { key: "a", store, bucket: "b" },
    { key: "a", bucket: 5 },
    { key: "a", store, compress: "gzip" },
    { key: "a", store, tries: 0 },
    { key: "a", store, signal: null },
    { key: "a", store, other: 1 },
  ];
  for (const options of bad) {
    expect([options, await codeOf(park(guard, options as never))]).toEqual([
      options,
      "INVALID_ARGUMENT",
    ]);
  }
  expect(await codeOf(park({} as never, { key: "a", store }))).toBe("INVALID_ARGUMENT");
  expect(await codeOf(unpark({} as never, "a", { store }))).toBe("INVALID_ARGUMENT");
  expect(await codeOf(unpark(pool, "a", { store, remove: 1 } as never))).toBe("INVALID_ARGUMENT");
  for (const options of [
    { bucket: 1 },
    { bucket: "b", timeout: 0 },
    { bucket: "b", timeout: "" },
    // Each would lead to another bucket, or to another place in this one.
    ...["a", "/", "//", "/a/", "a//", "../", "./", "a/../", "a/./b/", "a\\..\\/", "a\n/"].map(
      (prefix) => ({ bucket: "b", prefix }),
    ),
    { bucket: "b", prefix: `${"a".repeat(124)}/` },
    { bucket: "b", prefix: "\ud800/" },
    ...["", ".", "..", "b/", "b/../c", "b c", "b?c", "-b", "a".repeat(256)].map((bucket) => ({
      bucket,
    })),
    ...["", "localhost:9000", "ftp://x", "http://", "http://u:p@x", "http://x/?a", "x y"].map(
      (endpoint) => ({ bucket: "b", endpoint }),
    ),
    { bucket: "b", accessKeyId: "" },
    { bucket: "b", sessionToken: "" },
  ]) {
    const refused = await codeOf((async () => void s3Store(options as S3StoreOptions))());
    expect([options, refused]).toEqual([options, "INVALID_ARGUMENT"]);
  }
  for (const prefix of ["", "a/", ".a/..b/", "\u00e9/%2e%2e/", `${"a".repeat(123)}/`]) {
    s3Store({ bucket: "b", prefix });
  }
  expect(() => directoryStore(newFolder(), { sync: "no" as never })).toThrow(XmemError);
  expect(await store.list("")).toEqual([]);
  guard.release();
  expect(await codeOf(park(guard, { key: "a", store }))).toBe("RELEASED");
});

test.each(Object.entries(stores))(
  "no key leads out of %s, whoever calls the store",
  async (_, open) => {
    const store = open();
    const pieces = async function* (): AsyncGenerator<Uint8Array> {};
    for (const key of ["", "../a", "a/../b", "./a", "a//b", "/a", "a/", "..", "a\\..\\b"]) {
      const calls: [string, () => Promise<unknown>][] = [
        ["write", () => store.write(key, pieces())],
        ["read", () => store.read(key, 0, new Uint8Array(1))],
        ["remove", () => store.remove(key)],
      ];
      for (const [name, call] of calls) {
        expect([key, name, await codeOf(call())]).toEqual([key, name, "INVALID_ARGUMENT"]);
      }
    }
    expect(await store.list("")).toEqual([]);
  },
);

test("a directory lists nothing outside of itself", async () => {
  const path = newFolder();
  const store = directoryStore(path);
  const outside = directoryStore(newFolder());
  await outside.write("a", (async function* () {})());
  for (const prefix of ["../", "../../", "a/../../", "./", "/"]) {
    expect([prefix, await codeOf(store.list(prefix))]).toEqual([prefix, "INVALID_ARGUMENT"]);
  }
});

test("where a directory was and is not any more, nothing is known of what is parked", async () => {
  const path = newFolder();
  const store = directoryStore(path);
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(3);
  };
  await store.write("a", pieces());
  renameSync(path, `${path}.gone`);
  const calls: [string, () => Promise<unknown>][] = [
    ["list", () => store.list("")],
    ["read", () => store.read("a", 0, new Uint8Array(3))],
    ["write", () => store.write("b", pieces())],
    ["remove", () => store.remove("a")],
    ["sweep", () => store.sweep(Date.now())],
  ];
  for (const [name, call] of calls) expect([name, await codeOf(call())]).toEqual([name, "SYSTEM"]);
  // One that was made again is as good.
  mkdirSync(path, { mode: 0o700 });
  expect(await store.list("")).toEqual([]);
  await store.remove("nothing");
  expect(await codeOf(store.read("a", 0, new Uint8Array(3)))).toBe("BUFFER_NOT_FOUND");
});

const mounts = unshare("--mount");
if (mounts !== null) {
  test("where an empty mount point is left, nothing is known of what is parked, until the disk is back", async () => {
    const path = newFolder();
    const process = script(
      `const { mkdirSync, readdirSync } = require("node:fs");
      const { directoryStore } = await import(${moduleOf("park/index.ts")});
      const path = ${JSON.stringify(path)};
      const disk = path + ".disk";
      for (const each of [path, disk]) mkdirSync(each, { recursive: true, mode: 0o700 });
      const mount = (...words) => Bun.spawnSync(words).exitCode;
      console.log(mount("mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", disk));
      console.log(mount("mount", "--bind", disk, path));
      const store = directoryStore(path);
      const pieces = async function* () { yield new Uint8Array(3); };
      await store.write("a", pieces());
      console.log(mount("umount", path));
      for (const call of [
        () => store.list(""),
        () => store.read("a", 0, new Uint8Array(3)),
        () => store.write("b", pieces()),
        () => store.remove("a"),
        () => store.sweep(Date.now()),
      ]) {
        console.log(await call().then(() => "none", ({ code }) => code));
      }
      console.log(readdirSync(path).length);
      console.log(mount("mount", "--bind", disk, path));
      console.log(await store.read("a", 0, new Uint8Array(3)));`,
      { under: mounts },
    );
    const failed = Array.from({ length: 5 }, () => "SYSTEM");
    expect(await process.rest()).toEqual(["0", "0", "0", ...failed, "0", "0", "3"]);
  });
}

test("a park that is given up leaves nothing behind, and the guard stays", async () => {
  using pool = newPool({ bufferSize: 8 << 20 });
  using guard = pool.acquire(8 << 20);
  const path = newFolder();
  const stopping = new AbortController();
  const parking = park(guard, { key: "a", store: directoryStore(path), signal: stopping.signal });
  stopping.abort(new Error("enough"));
  expect(await codeOf(parking)).toBe("Error: enough");
  expect(readdirSync(path)).toEqual([]);
  expect(guard.bytes.length).toBe(8 << 20);
});

test("a key may be the beginning of another one, in a directory, too", async () => {
  using pool = newPool();
  const store = directoryStore(newFolder());
  const keys = ["k", "k/b", "k/b/c", "k.d", "K"];
  for (const [at, key] of keys.entries()) {
    using guard = pool.acquire(10);
    guard.meta.sequence = at;
    await park(guard, { key, store });
  }
  expect((await store.list("k")).map(({ key }) => key).sort()).toEqual(keys.slice(0, 4).sort());
  expect((await store.list("k/b")).map(({ key }) => key).sort()).toEqual(["k/b", "k/b/c"]);
  for (const [at, key] of keys.entries()) {
    using back = await unpark(pool, key, { store, remove: true });
    expect([key, back.meta.sequence]).toEqual([key, at]);
  }
  expect(await store.list("")).toEqual([]);
});

test("a directory's sweep removes folders that are empty, and a write makes them again", async () => {
  using pool = newPool();
  using guard = pool.acquire(10);
  const path = newFolder();
  const store = directoryStore(path);
  await park(guard, { key: "a/b/c", store });
  await park(guard, { key: "d/e", store });
  await store.remove("a/b/c");
  await store.sweep(Date.now() - 60_000);
  expect(readdirSync(path).sort()).toEqual(["a", "d"]);
  await store.sweep(Date.now() + 60_000);
  await store.sweep(Date.now() + 60_000);
  expect(readdirSync(path)).toEqual(["d"]);
  let isOver = false;
  const sweeping = (async () => {
    while (!isOver) await store.sweep(Date.now() + 60_000);
  })();
  for (let count = 0; count < 100; count++) {
    await park(guard, { key: "x/y/z", store, tries: 1 }).catch((error: unknown) => {
      // Its own temporary file was swept.
      expect(error).toMatchObject({ cause: { code: "ENOENT" } });
    });
    await store.remove("x/y/z");
  }
  isOver = true;
  await sweeping;
  (await unpark(pool, "d/e", { store })).release();
});

test("a key that leads out of a directory is refused by the store itself", async () => {
  const path = newFolder();
  const store = directoryStore(join(path, "in"));
  for (const key of ["../out", "a/../../out", "", "a//b", "a.parked/b", "a\0b"]) {
    const pieces = (async function* () {
      yield new Uint8Array(1);
    })();
    expect([key, await codeOf(store.write(key, pieces))]).toEqual([key, "INVALID_ARGUMENT"]);
    expect(await codeOf(store.read(key, 0, new Uint8Array(1)))).toBe("INVALID_ARGUMENT");
    expect(await codeOf(store.remove(key))).toBe("INVALID_ARGUMENT");
  }
  expect(readdirSync(path)).toEqual(["in"]);
});

test("a directory that fails says why, and what was there stays", async () => {
  using pool = newPool();
  using guard = pool.acquire(10);
  const path = newFolder();
  const store = directoryStore(path);
  await park(guard, { key: "a", store });
  writeFileSync(join(path, "b"), "somebody else's");
  const error = await failureOf(park(guard, { key: "b/c", store, tries: 2 }));
  expect(error).toMatchObject({
    code: "SYSTEM",
    cause: { code: expect.stringMatching(/ENOTDIR|EEXIST/) },
  });
  utimesSync(join(path, "a.parked"), 0, 0);
  expect(await store.sweep(Date.now())).toEqual([]);
  (await unpark(pool, "a", { store })).release();
});

if (s3 !== null) {
  describe("an S3 that fails", () => {
    async function parks(store: ParkingStore, tries = 2): Promise<unknown> {
      using pool = newPool({ bufferSize: 12 << 20 });
      using guard = pool.acquire(12 << 20);
      const error = await failureOf(park(guard, { key: "k", store, tries }));
      expect(guard.bytes.length).toBe(12 << 20);
      return error;
    }

    test.each([
      ["hangs", undefined],
      ["says 503", "SlowDown"],
      ["cuts off", expect.any(String)],
    ] as const)("and %s ends a park with SYSTEM, after some tries", async (fault, code) => {
      await using proxy = await FaultyProxy.start();
      const store = bucketStore({ endpoint: proxy.url, timeout: 300 });
      using pool = newPool();
      using guard = pool.acquire(100_000);
      await park(guard, { key: "there", store });
      proxy.become(fault);
      const error = await failureOf(park(guard, { key: "k", store, tries: 2 }));
      expect(error).toMatchObject({ code: "SYSTEM", cause: code === undefined ? {} : { code } });
      expect((error as XmemError).message).toContain("storing k in bucket parking at");
      expect(await parks(store)).toMatchObject({ code: "SYSTEM" });
      expect(await codeOf(unpark(pool, "there", { store, tries: 2 }))).toBe("SYSTEM");
      if (fault !== "cuts off") {
        expect(await codeOf(store.list(""))).toBe("SYSTEM");
        expect(await codeOf(store.remove("there"))).toBe("SYSTEM");
        expect(await codeOf(store.sweep(0))).toBe("SYSTEM");
      }
      proxy.become("none");
      await park(guard, { key: "k", store });
      for (const key of ["k", "there"]) (await unpark(pool, key, { store })).release();
    });

    test("for a moment only is no failure", async () => {
      await using proxy = await FaultyProxy.start();
      const store = bucketStore({ endpoint: proxy.url, timeout: 300 });
      using pool = newPool();
      using guard = pool.acquire(100_000);
      proxy.become("says 503");
      const parking = park(guard, { key: "k", store, tries: 50 });
      await until(() => proxy.connections > 2);
      proxy.become("none");
      expect(await parking).toMatchObject({ size: 100_000 });
      proxy.become("hangs");
      const unparking = unpark(pool, "k", { store, tries: 50 });
      await until(() => proxy.connections > 6);
      proxy.become("none");
      using back = await unparking;
      expect(back.size).toBe(100_000);
    });

    test("since nobody is there, or nobody may, says so in words that help", async () => {
      const known = { tries: 2, key: "k" };
      using pool = newPool();
      using guard = pool.acquire(100);
      const cases: [S3StoreOptions, RegExp][] = [
        [{ endpoint: "http://127.0.0.1:1" }, /ConnectionRefused.*see endpoint/],
        [{ secretAccessKey: "another-one" }, /SignatureDoesNotMatch.*see accessKeyId/],
        [{ accessKeyId: "somebody" }, /XAdminUserNotFound.*see accessKeyId/],
        [{ bucket: "nowhere" }, /NoSuchBucket.*make the bucket first/],
      ];
      for (const [options, message] of cases) {
        const store = bucketStore(options);
        const error = await failureOf(park(guard, { ...known, store }));
        expect(error).toMatchObject({ code: "SYSTEM" });
        expect((error as XmemError).message).toMatch(message);
        expect(await codeOf(unpark(pool, "k", { store, tries: 1 }))).toBe("SYSTEM");
      }
    });

    test("for want of a login is noticed, though Bun's client says nothing", async () => {
      const { S3_ENDPOINT = "" } = theGateway().env;
      const source = `const { park, s3Store } = await import(${moduleOf("park/index.ts")});
        const { BufferPool } = await import(${moduleOf("index.ts")});
        using pool = BufferPool.create("park.login." + process.pid, { capacity: 2, ephemeral: true });
        using guard = pool.acquire(10);
        const store = s3Store({ bucket: "parking", endpoint: ${JSON.stringify(S3_ENDPOINT)} });
        await park(guard, { key: "k", store, tries: 1 }).catch((error) => console.log(error.message));`;
      const names = ["S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"];
      const none = [...names, ...names.map((name) => name.replace("S3", "AWS"))];
      const env = Object.fromEntries(none.map((name) => [name, ""]));
      expect(await script(source, { env }).line()).toContain("stored 0 of");
    });
  });
}
