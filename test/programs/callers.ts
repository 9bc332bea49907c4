// Makes every public function fail and says, a line of JSON each, whether the error's stack begins
// where the function was called. It runs from source and from bundles, where the library's code is
// in the same file as this.

import { BufferPool, XmemError } from "../../src/index.ts";

const name = `callers.${process.pid}`;

function framesOf(error: Error): string[] {
  return (error.stack ?? "").split("\n").filter((line) => line.startsWith("    at "));
}

/** The stack from the function that calls `here` on. */
function here(): string[] {
  const mark = new Error("here");
  Error.captureStackTrace(mark, here);
  return framesOf(mark);
}

/** The same but for the place within the first function, of which there are two calls. */
function report(tried: string, expected: string[], error: unknown): void {
  if (!(error instanceof XmemError)) throw error;
  const found = framesOf(error);
  const unplaced = (frame = ""): string => frame.replace(/(:\d+)+\)?$/, "");
  const begins = unplaced(found[0]) === unplaced(expected[0]);
  const rest = JSON.stringify(found.slice(1)) === JSON.stringify(expected.slice(1));
  const line = { tried, code: error.code, message: error.message, found, expected };
  console.log(JSON.stringify({ ...line, ok: found.length > 0 && begins && rest }));
}

/** `body` assigns here() and calls a public function, neither in a tail position. */
function fails(tried: string, body: (mark: (frames: string[]) => void) => unknown): void {
  let expected: string[] = [];
  const mark = (frames: string[]): void => {
    expected = frames;
  };
  try {
    body(mark);
  } catch (error) {
    report(tried, expected, error);
    return;
  }
  throw new Error(`${tried} did not fail`);
}

async function rejects(
  tried: string,
  body: (mark: (frames: string[]) => void) => Promise<unknown>,
): Promise<void> {
  let expected: string[] = [];
  const mark = (frames: string[]): void => {
    expected = frames;
  };
  try {
    await body(mark);
  } catch (error) {
    report(tried, expected, error);
    return;
  }
  throw new Error(`${tried} did not fail`);
}

type Loose = Record<string, (...argv: unknown[]) => unknown>;
const statics = BufferPool as unknown as Loose;

for (const method of ["create", "open", "openOrCreate", "unlink", "inspect"]) {
  fails(`BufferPool.${method}()`, (mark) => {
    mark(here());
    statics[method]?.("no/name");
  });
}
for (const method of ["create", "open", "openOrCreate"]) {
  fails(`BufferPool.${method}()`, (mark) => {
    mark(here());
    statics[method]?.(name, { views: 3 });
  });
}
for (const method of ["open", "inspect"]) {
  fails(`BufferPool.${method}()`, (mark) => {
    mark(here());
    statics[method]?.(`${name}.none`);
  });
}

const folder = process.env["XMEM_DIR"];
process.env["XMEM_DIR"] = process.execPath;
fails("BufferPool.list()", (mark) => {
  mark(here());
  BufferPool.list();
});
if (folder === undefined) delete process.env["XMEM_DIR"];
else process.env["XMEM_DIR"] = folder;

const pool = BufferPool.create(name, { capacity: 1, bufferSize: 64, ephemeral: true });
const loose = pool as unknown as Loose;
fails("BufferPool.create()", (mark) => {
  mark(here());
  BufferPool.create(name);
});
fails("BufferPool.openOrCreate()", (mark) => {
  mark(here());
  BufferPool.openOrCreate(name, { capacity: 2 });
});

const held = pool.acquire(7);
const byRef = ["get", "getMut", "take", "addRef", "unref", "release", "refCount", "setRefCount"];
byRef.push("tryRelease", "releaseBuffer");
const wrongCalls: [string, ...unknown[]][] = [
  ["acquire", -1],
  ["acquire", 65],
  ["acquire", 1],
  ["tryAcquire", -1],
  ["tryAcquire", 65],
  ["acquireBlocking", 1, { timeout: 1 }],
  ["acquireBlocking", 1, null],
  ["acquireBlocking", 65, { timeout: 1 }],
  ["preallocate", 1, -1],
  ["preallocate", 65, 1],
  ["unref", held.handle],
  ["take", held.handle],
  ["setRefCount", held.handle, 0],
  ["releaseBuffer", held.handle],
  ...byRef.map((method): [string, ...unknown[]] => [method, -1, 1]),
  ...byRef.map((method): [string, ...unknown[]] => [method, 1, 1]),
  ...byRef.map((method): [string, ...unknown[]] => [method, 2 ** 52, 1]),
];
for (const [method, ...argv] of wrongCalls) {
  fails(`${method}()`, (mark) => {
    mark(here());
    loose[method]?.(...argv);
  });
}

await rejects("acquireAsync()", async (mark) => {
  mark(here());
  await pool.acquireAsync(-1);
});
await rejects("acquireAsync()", async (mark) => {
  mark(here());
  await pool.acquireAsync(1, { timeout: 0 });
});
await rejects("acquireAsync()", async (mark) => {
  mark(here());
  await pool.acquireAsync(1, { timeout: 1 });
});
await rejects("acquireAsync()", (mark) => {
  mark(here());
  const wait = pool.acquireAsync(1);
  pool.flush();
  pool.unflush();
  pool.flush();
  return wait;
});
pool.unflush();

const fields = ["dtype", "shape", "strides", "timestamp", "sequence", "contentType", "producer"];
const meta = held.meta as unknown as Record<string, unknown> & { toJSON(): unknown };
for (const field of fields) {
  fails(`setting meta.${field}`, (mark) => {
    mark(here());
    meta[field] = null;
  });
}
const reader = pool.get(held.handle);
const read = reader as unknown as typeof held;
for (const [field, value] of Object.entries(held.meta.toJSON())) {
  fails(`setting meta.${field}`, (mark) => {
    mark(here());
    (read.meta as unknown as Record<string, unknown>)[field] = value;
  });
}
fails("mutableBytes()", (mark) => {
  mark(here());
  read.mutableBytes();
});
fails("view()", (mark) => {
  mark(here());
  held.view("uint16");
});
reader.release();
held.release();
for (const field of fields) {
  fails(`meta.${field}`, (mark) => {
    mark(here());
    String(meta[field]);
  });
}
fails("meta.toJSON()", (mark) => {
  mark(here());
  meta.toJSON();
});
const guard = held as unknown as Loose;
for (const method of ["mutableBytes", "view", "clone", "share", "handOff", "forget"]) {
  fails(`${method}()`, (mark) => {
    mark(here());
    guard[method]?.("uint8");
  });
}
for (const field of ["bytes", "meta"]) {
  fails(field, (mark) => {
    mark(here());
    String(guard[field]);
  });
}

const channel = pool.channel("frames", { capacity: 1 });
const calls = channel as unknown as Loose;
fails("channel()", (mark) => {
  mark(here());
  pool.channel("");
});
fails("channel()", (mark) => {
  mark(here());
  pool.channel("frames", { capacity: 2 });
});
fails("BufferPool.waitAny()", (mark) => {
  mark(here());
  BufferPool.waitAny([channel], { timeout: 0 });
});
for (const method of ["send", "trySend", "sendBlocking"]) {
  fails(`${method}()`, (mark) => {
    mark(here());
    calls[method]?.(null, { timeout: 0 });
  });
}
fails("receiveBlocking()", (mark) => {
  mark(here());
  channel.receiveBlocking({ timeout: 0 });
});
for (const timeout of [0, 1]) {
  await rejects("receive()", async (mark) => {
    mark(here());
    await channel.receive({ timeout });
  });
}
const other = pool.acquire(7);
channel.close();
for (const method of ["send", "trySend", "sendBlocking", "tryReceive"]) {
  fails(`${method}()`, (mark) => {
    mark(here());
    calls[method]?.(other, { timeout: 0 });
  });
}
await rejects("sendAsync()", async (mark) => {
  mark(here());
  await channel.sendAsync(other);
});
other.release();
channel[Symbol.dispose]();
for (const method of ["close", "stats"]) {
  fails(`${method}()`, (mark) => {
    mark(here());
    calls[method]?.();
  });
}

const last = pool.acquire(7);
await rejects("acquireAsync()", (mark) => {
  mark(here());
  const wait = pool.acquireAsync(1);
  pool.close();
  return wait;
});
const closedMethods = ["acquire", "tryAcquire", "acquireBlocking", "preallocate", ...byRef];
for (const method of [
  ...closedMethods,
  "reclaim",
  "trim",
  "flush",
  "unflush",
  "stats",
  "channel",
]) {
  fails(`${method}()`, (mark) => {
    mark(here());
    loose[method]?.(0, { timeout: 0 });
  });
}
fails("bytes", (mark) => {
  mark(here());
  String(last.bytes);
});
