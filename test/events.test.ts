// pool.on(): what a pool tells those who listen, whoever caused it.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  BufferPool,
  type PoolEvent,
  type PoolEvents,
  type PoolEventType,
  type PoolOptions,
} from "../src/index.ts";
import { start, withPool } from "./processes.ts";
import { type ProgramFile, programFile } from "./program_files.ts";
import { untilStopped } from "./scripts.ts";

const options = { capacity: 2, bufferSize: 4096 };

/** The next event of a type. */
function next<Type extends PoolEventType>(pool: BufferPool, type: Type): Promise<PoolEvent<Type>> {
  return new Promise((resolve) => pool.once(type, resolve));
}

/** Collects every event of these types. */
function collect(pool: BufferPool, ...types: PoolEventType[]): PoolEvent[] {
  const found: PoolEvent[] = [];
  for (const type of types) pool.on(type, (event) => found.push(event as PoolEvent));
  return found;
}

/** A look later everything has been told. */
const looked = (): Promise<void> => Bun.sleep(400);

test.concurrent("a child that is killed while it holds buffers is named, and what it held comes back", () =>
  withPool(options, async (pool, name) => {
    const found = collect(pool, "dead-participant", "recovered");
    const child = programFile(
      `const pool = BufferPool.open("${name}", { participantName: "encoder" });
      globalThis.held = [pool.acquire(1), pool.acquire(1)];
      say("held");
      setInterval(() => {}, 1000);`,
    );
    await child.lineOf("held");
    const { tid } = pool.stats().participants.find(({ name: each }) => each === "encoder") ?? {};
    const death = next(pool, "dead-participant");
    await child.end();
    expect(await death).toEqual({
      type: "dead-participant",
      pool: name,
      pid: child.pid,
      tid: tid ?? 0,
      name: "encoder",
    });
    const recovery = next(pool, "recovered");
    using _one = pool.acquire(1);
    using _two = pool.acquire(1);
    using _three = pool.tryAcquire(1);
    expect(await recovery).toEqual({
      type: "recovered",
      pool: name,
      recoveries: 1,
      participants: 1,
      references: 2,
      buffers: 2,
    });
    await looked();
    // Each is told once.
    expect(found.map(({ type }) => type)).toEqual(["dead-participant", "recovered"]);
  }));

test.concurrent("a death that a recovery tidied up before anybody looked is told, too", () =>
  withPool({ ...options, participantName: "watcher" }, async (pool, name) => {
    const before = start(name, "hoard");
    await before.line();
    const found = collect(pool, "dead-participant", "recovered");
    before.kill("SIGKILL");
    await before.exited;
    pool.reclaim();
    await looked();
    // One that came after the look and took the same row, too.
    const after = programFile(
      `BufferPool.open("${name}", { participantName: "brief" });
      say("open");
      setInterval(() => {}, 1000);`,
    );
    await after.lineOf("open");
    await after.end();
    pool.reclaim();
    await looked();
    const dead = found.flatMap((event) => (event.type === "dead-participant" ? event.name : []));
    expect(dead).toEqual(["child hoard", "brief"]);
    const buffers = found.map((event) => (event.type === "recovered" ? event.buffers : 0));
    expect(buffers.reduce((sum, each) => sum + each, 0)).toBe(2);
  }));

/** A participant that goes on until it is killed. */
const staying = (pool: string, participant: string): ProgramFile =>
  programFile(
    `BufferPool.open("${pool}", { participantName: "${participant}" }).tryAcquire(1);
    say("open");
    setInterval(() => {}, 1000);`,
  );

test.concurrent("each of several that are killed at once is told once, by its own name and id", () =>
  withPool({ ...options, capacity: 8 }, async (pool, name) => {
    const found = collect(pool, "dead-participant");
    const dying = ["a", "b", "c", "d"].map((participant) => staying(name, participant));
    await Promise.all(dying.map((each) => each.lineOf("open")));
    await Promise.all(dying.map((each) => each.end()));
    while (found.length < 4) await Bun.sleep(5);
    pool.reclaim();
    await looked();
    const told = found.map((event) => event.type === "dead-participant" && [event.name, event.pid]);
    expect(told.sort()).toEqual(dying.map(({ pid }, place) => ["abcd"[place] ?? "", pid]));
  }));

test.concurrent("a death is told by its name where another has its row before the next look", () =>
  withPool({ ...options, maxParticipants: 2 }, async (pool, name) => {
    const found = collect(pool, "dead-participant");
    const victim = staying(name, "victim");
    await victim.lineOf("open");
    await looked();
    await victim.end();
    // No other row is free, and this process looks again only when it waits next.
    const heir = Bun.spawnSync([
      ...[process.execPath, "-e"],
      `import { BufferPool } from ${JSON.stringify(join(import.meta.dir, "../src/index.ts"))};
      BufferPool.open("${name}", { participantName: "heir" });
      process.kill(process.pid, "SIGKILL");`,
    ]);
    expect(heir.signalCode).toBe("SIGKILL");
    await looked();
    const told = found.map((event) => event.type === "dead-participant" && event.name);
    expect(told.sort()).toEqual(["heir", "victim"]);
  }));

test.concurrent("a listener that closes its pool is told nothing more, not of the same look either", () =>
  withPool(options, async (pool, name) => {
    const told: string[] = [];
    const closing = BufferPool.open(name);
    closing.on("full", () => {
      told.push("full");
      closing.close();
    });
    closing.on("full", () => told.push("full, after close"));
    closing.on("timeout", () => told.push("timeout"));
    closing.on("flushing", () => told.push("flushing"));
    const guards = [pool.acquire(1), pool.acquire(1)];
    expect(() => pool.acquireBlocking(1, { timeout: 1 })).toThrow();
    pool.flush();
    while (told.length === 0) await Bun.sleep(5);
    await looked();
    expect(told).toEqual(["full"]);
    for (const guard of guards) guard.release();
  }));

test.concurrent("a listener that comes later is told of what comes after it, in a row that nobody had", () =>
  withPool(options, async (pool, name) => {
    collect(pool, "full");
    await looked();
    const found = collect(pool, "dead-participant");
    const dying = start(name, "hoard");
    await dying.line();
    dying.kill("SIGKILL");
    await dying.exited;
    pool.reclaim();
    await looked();
    expect(found).toMatchObject([{ name: "child hoard" }]);
  }));

test.concurrent("a participant that leaves is not called dead", () =>
  withPool(options, async (pool, name) => {
    const found = collect(pool, "dead-participant", "recovered");
    BufferPool.open(name).close();
    const child = programFile(`BufferPool.open("${name}").close(); say("left");`);
    await child.lineOf("left");
    await child.end();
    await looked();
    expect(found).toEqual([]);
  }));

/** What makes each of the other events, and what the event says. */
const causes: {
  [Type in PoolEventType]?: {
    options?: PoolOptions;
    cause: (pool: BufferPool) => unknown;
    says: PoolEvents[Type];
  };
} = {
  full: {
    cause: (pool) => {
      pool.acquire(1);
      pool.acquire(1);
      expect(pool.tryAcquire(1)).toBeNull();
      expect(() => pool.acquire(1)).toThrow();
      return pool.acquireAsync(1, { timeout: 1 }).catch(() => {});
    },
    says: { refused: 2, waits: 1 },
  },
  timeout: {
    cause: (pool) => {
      pool.acquire(1);
      pool.acquire(1);
      expect(() => pool.acquireBlocking(1, { timeout: 0 })).toThrow();
    },
    says: { waits: 1 },
  },
  "out-of-memory": {
    options: { maxCommitted: 4096 },
    cause: (pool) => {
      pool.acquire(1);
      expect(() => pool.acquire(1)).toThrow();
    },
    says: { refused: 1 },
  },
  flushing: { cause: (pool) => pool.flush(), says: { flushing: true } },
  "lease-expired": {
    options: { leaseTimeout: 1 },
    cause: async (pool) => {
      pool.acquire(1).handOff();
      await Bun.sleep(30);
      pool.reclaim();
    },
    says: { references: 1 },
  },
  dropped: {
    cause: (pool) => {
      const channel = pool.channel("frames", { capacity: 1, overflow: "drop-newest" });
      channel.send(pool.acquire(1));
      expect(channel.send(pool.acquire(1))).toBe(false);
    },
    says: { channel: "frames", buffers: 1 },
  },
};

for (const [type, { options: special, cause, says }] of Object.entries(causes)) {
  test.concurrent(`"${type}" says what happened`, () =>
    withPool({ ...options, ...special }, async (pool, name) => {
      const found = collect(pool, type as PoolEventType);
      const other = BufferPool.open(name);
      await cause(other);
      while (found.length === 0) await Bun.sleep(5);
      expect(found[0]).toEqual({ type, pool: name, ...says } as PoolEvent);
      if (type === "flushing") {
        other.unflush();
        while (found.length === 1) await Bun.sleep(5);
        expect(found[1]).toMatchObject({ flushing: false });
      }
      await looked();
      expect(found.length).toBe(type === "flushing" ? 2 : 1);
      other.close();
    }));
}

test.concurrent('"redelivered" says that a message came back from the dead', () =>
  withPool(options, async (pool, name) => {
    const channel = pool.channel("jobs", { redeliver: true });
    channel.send(pool.acquire(1));
    const found = collect(pool, "redelivered");
    const child = programFile(
      `globalThis.held = BufferPool.open("${name}").channel("jobs").tryReceive();
      say("held");
      setInterval(() => {}, 1000);`,
    );
    await child.lineOf("held");
    await child.end();
    pool.reclaim();
    while (found.length === 0) await Bun.sleep(5);
    expect(found).toEqual([{ type: "redelivered", pool: name, channel: "jobs", buffers: 1 }]);
  }));

test.concurrent('"deferred" says that somebody stands still inside an operation', () =>
  withPool(options, async (pool, name) => {
    const found = collect(pool, "deferred");
    const stopped = programFile(
      `const pool = BufferPool.open("${name}");
      say("open");
      while (true) for (let i = 0; i < 1000; i++) pool.tryAcquire(1)?.release();`,
    );
    await stopped.lineOf("open");
    // A few stops meet it inside an operation. Each time somebody has died.
    while (found.length === 0) {
      const dying = start(name, "hoard");
      await dying.line();
      dying.kill("SIGKILL");
      await dying.exited;
      process.kill(stopped.pid, "SIGSTOP");
      await untilStopped(stopped.pid);
      pool.reclaim();
      process.kill(stopped.pid, "SIGCONT");
      await Bun.sleep(300);
    }
    expect(found[0]).toMatchObject({ type: "deferred", pool: name });
    await stopped.end();
  }));

test.concurrent("channels that a listener finds are not told of as news", () =>
  withPool(options, async (pool) => {
    const channel = pool.channel("frames", { capacity: 1, overflow: "drop-newest" });
    const send = (): void => void channel.send(pool.acquire(1));
    send();
    send();
    collect(pool, "full");
    const dropped = collect(pool, "dropped");
    await looked();
    expect(dropped).toEqual([]);
    send();
    while (dropped.length === 0) await Bun.sleep(5);
    expect(dropped).toMatchObject([{ buffers: 1 }]);
  }));

test.concurrent("a listener that throws is an uncaught error, and the others are told", () =>
  withPool(options, async (_pool, name) => {
    const child = programFile(
      `process.on("uncaughtException", ({ message }) => say(message));
      const pool = BufferPool.open("${name}");
      pool.on("flushing", () => { throw new Error("thrown by a listener"); });
      pool.on("flushing", () => say("told"));
      pool.flush();
      setInterval(() => {}, 1000);`,
    );
    const lines = [await child.line(), await child.line()];
    expect(lines.sort()).toEqual(["thrown by a listener", "told"]);
    await child.end();
  }));

test.concurrent("who listens does not keep the process alive", () =>
  withPool(options, async (_pool, name) => {
    const child = programFile(
      `BufferPool.open("${name}").on("full", () => {});
      process.on("exit", () => say("the end"));`,
    );
    expect(await child.line()).toBe("the end");
    await child.end();
  }));

test.concurrent("a listener is told while nothing but the library reaches its pool", () =>
  withPool({ capacity: 1, bufferSize: 64 }, async (pool, name) => {
    const child = programFile(
      `(() => { BufferPool.open("${name}").on("full", ({ refused }) => say(refused)); })();
      setInterval(() => Bun.gc(true), 20);
      setTimeout(() => say("ready"), 300);`,
    );
    await child.lineOf("ready");
    using _held = pool.acquire(1);
    expect(pool.tryAcquire(1)).toBeNull();
    expect(await child.line()).toBe("1");
    await child.end();
  }));

test.concurrent("off, once and close end a listener's events", () =>
  withPool({ capacity: 1, bufferSize: 64 }, async (pool, name) => {
    using _held = pool.acquire(1);
    const told: string[] = [];
    const removed = (): unknown => told.push("removed");
    const twice = (): unknown => told.push("twice");
    const always = (): unknown => told.push("always");
    pool.on("full", always).once("full", always);
    const closed = BufferPool.open(name);
    closed.on("full", () => told.push("closed"));
    pool.on("full", removed).off("full", removed);
    pool.once("full", () => told.push("once"));
    pool.on("full", twice).on("full", twice);
    closed.close();
    for (let round = 0; round < 2; round++) {
      expect(pool.tryAcquire(1)).toBeNull();
      await looked();
    }
    expect(told.sort()).toEqual(["always", "always", "once", "twice", "twice"]);
    expect(closed.off("full", removed)).toBe(closed);
    expect(() => closed.on("full", removed)).toThrow(
      expect.objectContaining({ code: "POOL_CLOSED" }),
    );
  }));

test.concurrent("docs/operations.md lists every event, with what it says", () =>
  withPool(options, (pool) => {
    const page = readFileSync(join(import.meta.dir, "../docs/operations.md"), "utf8");
    const rows = page.matchAll(/^\| `([a-z-]+)` +\| ((?:`\w+`(?:, )?)+) +\| [a-z]/gm);
    const documented = new Map<string, string[] | undefined>(
      Array.from(rows, ([, type = "", says = ""]) => [type, says.match(/\w+/g)?.sort()]),
    );
    let message = "";
    try {
      pool.on("none" as PoolEventType, () => {});
    } catch (error) {
      message = String(error);
    }
    const known = /one of (.*)/.exec(message)?.[1]?.match(/[a-z-]+(?=")/g) ?? [];
    expect([...documented.keys()].sort()).toEqual([...known].sort());
    for (const [type, each] of Object.entries(causes)) {
      expect([type, documented.get(type)]).toEqual([type, Object.keys(each.says).sort()]);
    }
  }));

test.concurrent("an event that does not exist, and a listener that is no function, are refused", () =>
  withPool(options, (pool) => {
    const wrong = pool as unknown as Record<string, (...given: unknown[]) => unknown>;
    for (const method of ["on", "once", "off"]) {
      for (const given of [
        ["ful", () => {}],
        ["toString", () => {}],
        [7, () => {}],
        ["full", 7],
      ]) {
        expect(() => wrong[method]?.(...given)).toThrow(
          expect.objectContaining({ code: "INVALID_ARGUMENT" }),
        );
      }
    }
  }));
