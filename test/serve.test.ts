// The server of `xmem serve`: who is let in, and what its streams say. test/serve_browser.test.ts has
// its page.

import { describe, expect, spyOn, test } from "bun:test";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Feed } from "../src/command/serve/feed.ts";
import { PageServer } from "../src/command/serve/server.ts";
import { cellsMost, mapOf } from "../src/command/serve/slot_map.ts";
import { streamed } from "../src/command/serve/stream.ts";
import { type BufferInfo, BufferPool } from "../src/index.ts";
import { xmem } from "./commands.ts";
import { inPoolFolder } from "./folders.ts";
import { programFile } from "./program_files.ts";
import { until } from "./scripts.ts";
import { events, Serving, shown } from "./serve/serving.ts";

describe("who is let in", () => {
  test("only those who have the token, ask by a name of this machine, and read", () =>
    inPoolFolder(async () => {
      await using serving = await Serving.start();
      const { url, port, token } = serving;
      expect(token).toMatch(/^[0-9a-f]{32}$/);
      expect(url).toBe(`http://127.0.0.1:${port}/${token}/`);
      const root = `http://127.0.0.1:${port}`;
      const status = async (path: string, init: RequestInit = {}): Promise<number> =>
        (await fetch(`${root}${path}`, { redirect: "manual", ...init })).status;
      for (const path of ["", "/page.css", "/page.js", "/icon.svg"].map((each) => each || "/")) {
        expect([path, await status(`/${token}${path}`)]).toEqual([path, 200]);
        expect([path, await status(path)]).toEqual([path, 403]);
      }
      const other = token.replace(/^./, token.startsWith("0") ? "1" : "0");
      for (const wrong of [other, token.slice(1), `${token}0`, "", "undefined"]) {
        expect([wrong, await status(`/${wrong}/events`)]).toEqual([wrong, 403]);
      }
      expect(await status(`/${token}`)).toBe(302);
      for (const nothing of [
        "nothing",
        "toString",
        "__proto__",
        "constructor",
        "page.js/",
        "%zz",
      ]) {
        expect([nothing, await status(`/${token}/${nothing}`)]).toEqual([nothing, 404]);
      }
      expect(await status(`/${token}/../page.js`)).toBe(403);
      for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"]) {
        expect([method, await status(`/${token}/`, { method })]).toEqual([method, 405]);
        expect([method, await status(`/${token}`, { method })]).toEqual([method, 405]);
      }
      for (const host of ["evil.example", `evil.example:${port}`, "127.0.0.1.evil.example", ""]) {
        const refused = await status(`/${token}/`, { headers: { Host: host } });
        expect([host, refused]).toEqual([host, 403]);
      }
      const noPort = { headers: { Host: "localhost:70000" } };
      expect(await status(`/${token}/`, noPort)).toBe(400);
      // As a forwarded port has it.
      expect(await status(`/${token}/`, { headers: { Host: "localhost:1234" } })).toBe(200);
    }));

  test("it listens on 127.0.0.1 alone, and every answer forbids other sources and caches", () =>
    inPoolFolder(async () => {
      await using serving = await Serving.start();
      const elsewhere = Bun.connect({
        hostname: "127.0.0.2",
        port: serving.port,
        socket: { data() {} },
      });
      expect(elsewhere).rejects.toThrow();
      const streamed = new AbortController();
      for (const path of ["", "page.js", "events", "nothing", "../wrong"]) {
        const { headers } = await fetch(serving.url + path, { signal: streamed.signal });
        expect(headers.get("Cache-Control")).toBe("no-store");
        expect(headers.get("Referrer-Policy")).toBe("no-referrer");
        const policy = headers.get("Content-Security-Policy") ?? "";
        expect(policy).toStartWith("default-src 'none'; ");
        expect(policy).not.toMatch(/unsafe|\*|https?:/);
      }
      streamed.abort();
    }));
});

describe("what a stream says", () => {
  test("each slot of a pool that another process uses, and what is behind one", () =>
    inPoolFolder(async () => {
      using _pool = BufferPool.create("frames", { capacity: 6, bufferSize: 4096 });
      const encoder = programFile(
        `const pool = BufferPool.open("frames", { participantName: "encoder" });
        globalThis.kept = [pool.acquire(100), pool.acquire(200)];
        kept[1].meta.contentType = "image/png";
        kept[1].meta.producer = "camera";
        pool.acquire(3).handOff();
        pool.channel("jobs").send(pool.acquire(4));
        say("ready");
        Bun.sleepSync(60_000);`,
        { env: { XMEM_TRACE: "1" } },
      );
      try {
        await encoder.lineOf("ready");
        await using serving = await Serving.start();
        const { url } = serving;
        const sample = await shown(url, "frames", () => true);
        expect(sample.map).toEqual({ per: 1, states: "hhiq..", holders: [1, 1] });
        expect(sample.stats).toMatchObject({ used: 4, capacity: 6, queued: 1, inFlight: 1 });
        expect(sample.participants[1]).toMatchObject({ number: 1, name: "encoder", holds: 2 });
        expect(sample.history?.length).toBe(1);
        const looking = events(url, "frames");
        await looking.next();
        const behind = (await (await fetch(`${url}slots?pool=frames&cell=1`)).json()) as {
          buffers: BufferInfo[];
        };
        expect(behind).toMatchObject({ first: 1, last: 1, counts: { held: 1 } });
        expect(behind.buffers).toMatchObject([
          { size: 200, contentType: "image/png", producer: "camera", holders: [{ holds: 1 }] },
        ]);
        expect(behind.buffers[0]?.holders[0]?.traces[0]?.stack[0]).toContain("program.ts:3");
        await looking.return(undefined);
        expect((await fetch(`${url}slots?pool=other&cell=1`)).status).toBe(404);
        for (const cell of ["", "&cell=", "&cell=-1", "&cell=1.5", "&cell=NaN", "&cell=99999"]) {
          expect([cell, (await fetch(`${url}slots?pool=frames${cell}`)).status]).toEqual([
            cell,
            400,
          ]);
        }
      } finally {
        await encoder.end();
      }
    }));

  test("numbers alone where too many buffers are in use to look at each", () =>
    inPoolFolder(async () => {
      using pool = BufferPool.create("crowded", { capacity: 100_001, bufferSize: 64 });
      const held = Array.from({ length: 100_000 }, () => pool.acquire(1));
      await using serving = await Serving.start();
      const { map } = await shown(serving.url, "crowded", () => true);
      expect(map?.per).toBe(25);
      held.push(pool.acquire(1));
      const crowded = await shown(serving.url, "crowded", ({ stats }) => stats?.used === 100_001);
      expect(crowded.map).toBeNull();
      for (const each of held) each.release();
    }));

  test("the folder's pools, also those that are broken", () =>
    inPoolFolder(async (dir) => {
      using pool = BufferPool.create("whole", { capacity: 3 });
      using _held = pool.acquire(1);
      writeFileSync(join(dir, "xmem.broken"), "no pool");
      await using serving = await Serving.start();
      const { pools } = await shown(serving.url, undefined, () => true);
      expect(pools.map(({ name, used }) => [name, used])).toEqual([
        ["broken", undefined],
        ["whole", 1],
      ]);
      expect(pools[0]?.problem).toStartWith("POOL_CORRUPT: ");
    }));

  test("what is wrong with a text that is no pool's name, in the library's words", () =>
    inPoolFolder(async () => {
      await using serving = await Serving.start();
      for (const name of ["\0", "a/b", "..", "", "x".repeat(5000), "\n", "\u{1f600}"]) {
        const { problem, stats } = await shown(serving.url, name, () => true);
        expect(stats).toBeUndefined();
        expect(problem).toStartWith("INVALID_ARGUMENT: BufferPool.inspect(): the name is ");
      }
    }));

  test("that a pool is missing, comes, vanishes, is damaged, and comes again", () =>
    inPoolFolder(async (dir) => {
      await using serving = await Serving.start();
      const path = join(dir, "xmem.brief");
      const stream = events(serving.url, "brief");
      const next = async (
        is: (sample: NonNullable<Awaited<ReturnType<typeof last>>>) => boolean,
      ) => {
        for (;;) {
          const sample = await last();
          if (sample !== null && is(sample)) return sample;
        }
      };
      const last = async () => (await stream.next()).value ?? null;
      expect((await next(() => true)).stats).toBeUndefined();
      const pool = BufferPool.create("brief", { capacity: 2 });
      const held = pool.acquire(1);
      await next(({ problem, stats }) => problem === "" && stats?.used === 1);
      pool.unlink();
      const gone = await next(({ problem }) => problem === "gone");
      expect(gone).toMatchObject({ stats: { used: 1, capacity: 2 }, map: { states: "h." } });
      writeFileSync(`${path}.new`, "no pool");
      renameSync(`${path}.new`, path);
      expect((await next(({ problem }) => problem !== "gone")).problem).toStartWith("POOL_CORRUPT");
      BufferPool.unlink("brief");
      held.release();
      pool.close();
      using _later = BufferPool.create("brief", { capacity: 8 });
      const later = await next(({ problem }) => problem === "");
      expect(later).toMatchObject({ stats: { capacity: 8 }, map: { states: "........" } });
      await stream.return(undefined);
    }));

  test("that it has ended, when SIGINT ends it with success", () =>
    inPoolFolder(async () => {
      const serving = await Serving.start();
      const stream = events(serving.url);
      await stream.next();
      const exitCode = serving.end("SIGINT");
      let newest = await stream.next();
      while (newest.value !== null) newest = await stream.next();
      expect(newest).toEqual({ done: false, value: null });
      expect(await exitCode).toBe(0);
      expect(await (await Serving.start()).end("SIGTERM")).toBe(128 + 15);
    }));
});

describe("how often it looks", () => {
  test("not at all once every page has left, and once for all that look at the same pool", () =>
    inPoolFolder(async () => {
      using _pool = BufferPool.create("looked", { capacity: 4 });
      using server = new PageServer({ port: 0, token: "token", interval: 30, look: {} });
      const inspect = spyOn(BufferPool, "inspect");
      const buffers = spyOn(BufferPool, "buffers");
      try {
        const pages = [1, 2, 3].map(() => events(server.url, "looked"));
        for (const page of pages) await page.next();
        expect(buffers.mock.calls.length).toBe(1);
        for (let sample = 0; sample < 3; sample++) {
          await Promise.all(pages.map((page) => page.next()));
        }
        expect(buffers.mock.calls.length).toBeWithin(3, 8);
        for (const page of pages) await page.return(undefined);
        let looks = -1;
        await until(async () => {
          const before = looks;
          looks = inspect.mock.calls.length;
          await Bun.sleep(150);
          return before === looks;
        });
        await Bun.sleep(300);
        expect(inspect.mock.calls.length).toBe(looks);
        // The next page goes on where they left.
        expect((await shown(server.url, "looked", () => true)).history?.length).toBeGreaterThan(2);
      } finally {
        inspect.mockRestore();
        buffers.mockRestore();
      }
    }));

  test("a slow page gets the newest sample, and not those that it missed", async () => {
    let looks = 0;
    const subject = {
      look: () => void looks++,
      shown: () => ({ looks }),
      beginning: () => ({ looks, begins: true }),
    };
    const feed = new Feed(subject, 10);
    const [quick, slow] = [feed.join(), feed.join()];
    const of = async (viewing: typeof quick) => JSON.parse((await viewing.next()) ?? "null");
    expect(await of(quick)).toMatchObject({ looks: 1, begins: true });
    while (looks < 5) expect((await of(quick)).looks).toBe(looks);
    expect((await of(slow)).looks).toBe(looks);
    quick.leave();
    expect(await of(quick)).toBeNull();
    slow.leave();
    const last = looks;
    await Bun.sleep(100);
    expect(looks).toBe(last);
  });

  test("a page that does not read makes the server hold no samples for it", async () => {
    let [looks, taken] = [0, 0];
    const large = "x".repeat(2 ** 18);
    const subject = { look: () => void looks++, shown: () => ({ large }), beginning: () => ({}) };
    const feed = new Feed(subject, 1);
    using server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch(request) {
        const viewing = feed.join();
        const next = async (): Promise<string | null> => {
          taken++;
          return await viewing.next();
        };
        return streamed(request, { ...viewing, next });
      },
    });
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: server.port ?? 0,
      socket: { open: (it) => void it.pause(), data() {} },
    });
    socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // What the system holds for a connection is full after a few megabytes.
    let before = -1;
    await until(async () => {
      const [then, full] = [looks, before];
      before = taken;
      await until(() => looks > then + 30);
      return full === taken && taken > 1;
    });
    const then = looks;
    await until(() => looks > then + 50);
    expect(taken).toBe(before);
    socket.terminate();
    await until(() => feed.viewers === 0);
  });
});

function buffer(index: number, state: BufferInfo["state"], pid = 1, alive = true): BufferInfo {
  const holders =
    state === "held" ? [{ pid, tid: pid, alive, name: "", holds: 1, traces: [] }] : [];
  return { index, state, holders } as unknown as BufferInfo;
}

describe("the map", () => {
  const numberOf = ({ pid }: { pid: number }): number => pid;

  test("has a cell for each slot, and each state a letter of its own", () => {
    const all = (["held", "queued", "in-flight", "parked", "changing"] as const).map(
      (state, place) => buffer(place, state),
    );
    const { states, holders } = mapOf(8, [...all, buffer(6, "held", 3, false)], numberOf);
    expect(states).toBe("hqipc.x.");
    expect(holders).toEqual([1, 3]);
  });

  test("of a large pool has runs of slots, coloured by what most of the used ones are", () => {
    const per = Math.ceil(1_000_000 / cellsMost);
    const used = [
      ...[buffer(0, "queued"), buffer(1, "held", 2), buffer(2, "held", 2)],
      ...Array.from({ length: per }, (_, place) => buffer(per + place, "parked")),
      buffer(999_999, "in-flight"),
    ];
    const map = mapOf(1_000_000, used, numberOf);
    expect(map.per).toBe(per);
    expect(map.states.length).toBeLessThanOrEqual(cellsMost);
    expect(map.states).toMatch(/^hp\.+i$/);
    expect(map.holders).toEqual([2]);
    expect(map.fill).toMatch(/^190+1$/);
  });
});

test("wrong options are told, and a port that another one has", () =>
  inPoolFolder(async () => {
    await using serving = await Serving.start();
    for (const [code, exitCode, ...given] of [
      ["USAGE", 2, "--port", "65536"],
      ["USAGE", 2, "--port", "http"],
      ["USAGE", 2, "--interval", "0"],
      ["USAGE", 2, "--host", "0.0.0.0"],
      ["FAILED", 1, "--port", `${serving.port}`],
    ] as [string, number, ...string[]][]) {
      const { err, ...run } = await xmem("serve", ...given);
      expect([given, run]).toEqual([given, { exitCode, out: "" }]);
      expect(err).toMatch(new RegExp(`^xmem: ${code}: [^\n]+\n$`));
    }
  }));
