// Requests and replies: a reply reaches the asker of just that request, and an asker that gets none is
// told why.

import { expect, test } from "bun:test";
import type { BufferGuard, BufferPool, Channel } from "../src/index.ts";
import { codeOf, codeOfLater } from "./codes.ts";
import { withPool } from "./processes.ts";
import { type Script, script, until } from "./scripts.ts";

const options = { capacity: 16, bufferSize: 64 };

/**
 * A process that answers with the first byte, plus one. 100: it releases the request without a reply.
 * 101: it says so and keeps the request for ever. 102: it answers with the request's own buffer. 103: it hands
 * the request off, so that nobody is told. 104: it answers when the test says so.
 */
function answerer(name: string): Script {
  return script(`
    const pool = BufferPool.open(${JSON.stringify(name)});
    const kept = [];
    say("ready");
    for await (const request of pool.channel("jobs").requests()) {
      const [first] = request.guard.bytes;
      if (first === 104) { say("has it"); await heard(); }
      if (first === 100) request[Symbol.dispose]();
      else if (first === 101) { kept.push(request); say("has it"); }
      else if (first === 103) { pool.unref(request.guard.handOff()); request[Symbol.dispose](); }
      else {
        const answer = first === 102 ? request.guard : pool.acquire(1);
        answer.bytes[0] = first + 1;
        request.reply(answer);
      }
    }`);
}

function ask(
  pool: BufferPool,
  channel: Channel,
  byte: number,
  given?: { timeout?: number; signal?: AbortSignal },
): Promise<BufferGuard> {
  const guard = pool.acquire(8);
  guard.bytes[0] = byte;
  return channel.request(guard, given);
}

async function answerTo(pool: BufferPool, channel: Channel, byte: number): Promise<number> {
  using reply = await ask(pool, channel, byte);
  return reply.bytes[0] ?? -1;
}

function withAnswerer(
  body: (pool: BufferPool, channel: Channel, first: Script, name: string) => Promise<unknown>,
): Promise<void> {
  return withPool(options, async (pool, name) => {
    using channel = pool.channel("jobs");
    const first = answerer(name);
    expect(await first.line()).toBe("ready");
    await body(pool, channel, first, name);
    first.kill("SIGKILL");
    await first.ended;
    pool.reclaim();
    // Nothing stays: neither requests nor replies, answered or not.
    for (let rest = channel.tryReceive(); rest !== null; rest = channel.tryReceive())
      rest.release();
    expect(pool.stats().used).toBe(0);
  });
}

test("each of many askers at once gets the reply to its own request", () =>
  withAnswerer(async (pool, channel, _, name) => {
    const asking = `
      const pool = BufferPool.open(${JSON.stringify(name)});
      const channel = pool.channel("jobs");
      const wrong = [];
      await Promise.all([1, 2].map(async (row) => {
        for (let i = 0; i < 50; i++) {
          const guard = pool.acquire(1);
          guard.bytes[0] = (i * row) % 90;
          using reply = await channel.request(guard);
          if (reply.bytes[0] !== (i * row) % 90 + 1) wrong.push(i);
        }
      }));
      say(wrong);`;
    const others = [script(asking), script(asking)];
    const own = Array.from({ length: 5 }, (_, byte) => answerTo(pool, channel, byte));
    expect(await Promise.all(own)).toEqual([1, 2, 3, 4, 5]);
    for (const other of others) expect(await other.rest()).toEqual(["[]"]);
  }));

test("the request's own buffer can be the reply", () =>
  withAnswerer(async (pool, channel) => {
    expect(await answerTo(pool, channel, 102)).toBe(103);
  }));

test("a request that is disposed of without a reply ends its asker's wait", () =>
  withAnswerer(async (pool, channel) => {
    expect(await codeOfLater(() => ask(pool, channel, 100))).toBe("RELEASED");
    expect(await answerTo(pool, channel, 1)).toBe(2);
  }));

test("a request that nobody has any more ends its asker's wait", () =>
  withAnswerer(async (pool, channel) => {
    expect(await codeOfLater(() => ask(pool, channel, 103))).toBe("PEER_DIED");
  }));

test("a receiver that is killed with the request ends its asker's wait, and no other", () =>
  withAnswerer(async (pool, channel, first, name) => {
    const lost = codeOfLater(() => ask(pool, channel, 101));
    expect(await first.line()).toBe("has it");
    first.kill("SIGKILL");
    await first.ended;
    const queued = answerTo(pool, channel, 5);
    expect(await lost).toBe("PEER_DIED");
    const second = answerer(name);
    expect(await queued).toBe(6);
    second.kill("SIGKILL");
    await second.ended;
  }));

test("a reply that comes after a timeout or an abort goes back to the pool", () =>
  withAnswerer(async (pool, channel, first) => {
    const late = codeOfLater(() => ask(pool, channel, 104, { timeout: 20 }));
    expect(await first.line()).toBe("has it");
    expect(await late).toBe("TIMEOUT");
    first.tell("now");
    expect(await answerTo(pool, channel, 1)).toBe(2);
    const reason = new Error("no longer");
    const aborting = new AbortController();
    const aborted = ask(pool, channel, 104, { signal: aborting.signal }).catch((error) => error);
    expect(await first.line()).toBe("has it");
    aborting.abort(reason);
    expect(await aborted).toBe(reason);
    first.tell("now");
    // Also where nobody asks again.
    await until(() => pool.stats().used === 0);
    expect(await answerTo(pool, channel, 2)).toBe(3);
  }));

test("a process whose request nobody answers any more ends by itself", () =>
  withPool(options, async (pool, name) => {
    using channel = pool.channel("jobs");
    const asker = script(`
      const pool = BufferPool.open(${JSON.stringify(name)});
      const job = pool.acquire(1);
      await pool.channel("jobs").request(job, { timeout: 10 }).catch(({ code }) => say(code));`);
    expect(await asker.rest()).toEqual(["TIMEOUT"]);
    expect(await asker.ended).toBe(0);
    channel.tryReceive()?.release();
  }));

test("the reply to an asker that is dead goes back to the pool", () =>
  withAnswerer(async (pool, channel, first, name) => {
    const asker = script(`
      const pool = BufferPool.open(${JSON.stringify(name)});
      const guard = pool.acquire(1);
      guard.bytes[0] = 104;
      await pool.channel("jobs").request(guard);`);
    expect(await first.line()).toBe("has it");
    asker.kill("SIGKILL");
    await asker.ended;
    pool.reclaim();
    first.tell("now");
    expect(await answerTo(pool, channel, 1)).toBe(2);
    await until(() => pool.stats().used === 0);
  }));

test("a request that was not sent stays its caller's, as it was", () =>
  withPool(options, async (pool) => {
    using channel = pool.channel("jobs", { capacity: 1 });
    channel.send(pool.acquire(1));
    using guard = pool.acquire(1);
    expect(await codeOfLater(() => channel.request(guard, { timeout: 5 }))).toBe("TIMEOUT");
    expect(guard.bytes.length).toBe(1);
    channel.close();
    expect(await codeOfLater(() => channel.request(guard))).toBe("CHANNEL_CLOSED");
    expect(guard.bytes.length).toBe(1);
  }));

test("a buffer that was sent without a request has no asker, and stays usable", () =>
  withPool(options, async (pool) => {
    using channel = pool.channel("jobs");
    channel.send(pool.acquire(3));
    for await (using request of channel.requests()) {
      expect(request.guard.size).toBe(3);
      using answer = pool.acquire(1);
      expect(codeOf(() => request.reply(answer))).toBe("INVALID_ARGUMENT");
      expect(answer.size).toBe(1);
      break;
    }
    expect(pool.stats().used).toBe(0);
  }));

test("a second reply is refused, and so are requests of a broadcast and of guards that only read", () =>
  withPool(options, async (pool) => {
    using channel = pool.channel("jobs");
    const reply = ask(pool, channel, 1);
    for await (using request of channel.requests()) {
      request.reply(request.guard);
      using answer = pool.acquire(1);
      expect(codeOf(() => request.reply(answer))).toBe("INVALID_ARGUMENT");
      break;
    }
    (await reply).release();
    using broadcast = pool.channel("news", { mode: "broadcast" });
    using guard = pool.acquire(1);
    expect(await codeOfLater(() => broadcast.request(guard))).toBe("INVALID_ARGUMENT");
    expect(codeOf(() => broadcast.requests())).toBe("INVALID_ARGUMENT");
    using read = pool.get(guard.handle);
    expect(await codeOfLater(() => channel.request(read as BufferGuard))).toBe("READ_ONLY");
  }));

test("requests end with the channel, and their wait with its options", () =>
  withPool(options, async (pool) => {
    using channel = pool.channel("jobs");
    const waiting = (async () => {
      for await (using _ of channel.requests({ timeout: 5 })) throw new Error("there is none");
    })();
    expect(await codeOfLater(() => waiting)).toBe("TIMEOUT");
    const ending = (async () => {
      for await (using _ of channel.requests()) throw new Error("there is none");
      return "ended";
    })();
    channel.close();
    expect(await ending).toBe("ended");
  }));

test("askers that come and go leave the pool room for channels", () =>
  withPool({ ...options, channels: 3 }, async (pool, name) => {
    using channel = pool.channel("jobs");
    const answering = (async () => {
      for await (using request of channel.requests()) request.reply(request.guard);
    })();
    for (let asker = 0; asker < 4; asker++) {
      const asking = script(`
        using pool = BufferPool.open(${JSON.stringify(name)});
        using reply = await pool.channel("jobs").request(pool.acquire(1));
        say("answered");`);
      expect(await asking.rest()).toEqual(["answered"]);
      await asking.ended;
    }
    channel.close();
    await answering;
  }));
