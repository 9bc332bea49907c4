// Requests between C and Bun, in both directions.

import { afterAll, beforeAll, expect, test } from "bun:test";
import type { BufferPool, Channel } from "../src/index.ts";
import { CPrograms } from "./c_programs.ts";
import { codeOfLater } from "./codes.ts";
import { withPool } from "./processes.ts";
import { until } from "./scripts.ts";

let programs: CPrograms<"requests">;

beforeAll(() => {
  programs = new CPrograms({ requests: "test/programs/c_requests.c" });
}, 600_000);

afterAll(() => programs[Symbol.dispose]());

const options = { capacity: 16, bufferSize: 64 };

function filled(pool: BufferPool, byte: number) {
  const guard = pool.acquire(8);
  guard.bytes.fill(byte);
  return guard;
}

async function answerTo(pool: BufferPool, jobs: Channel, byte: number): Promise<number> {
  using reply = await jobs.request(filled(pool, byte), { timeout: 20_000 });
  return reply.bytes[0] ?? -1;
}

/** A C program that answers, and what it has said so far. */
async function startAnswering(name: string) {
  const child = programs.start("requests", "answer", name);
  const lines = child.stdout.getReader();
  const decoder = new TextDecoder();
  let said = "";
  const hears = async (text: string): Promise<void> => {
    while (!said.includes(text)) said += decoder.decode((await lines.read()).value);
  };
  await hears("ready");
  return { child, hears };
}

test("C answers requests of Bun, with another buffer, with the request, or not at all", async () => {
  await withPool(options, async (pool, name) => {
    using jobs = pool.channel("jobs");
    const { child } = await startAnswering(name);
    const bytes = [1, 2, 3, 102, 4, 5];
    const answers = await Promise.all(bytes.map((byte) => answerTo(pool, jobs, byte)));
    expect(answers).toEqual(bytes.map((byte) => byte + 1));
    expect(await codeOfLater(() => answerTo(pool, jobs, 100))).toBe("RELEASED");
    expect(await codeOfLater(() => answerTo(pool, jobs, 103))).toBe("PEER_DIED");
    // An asker that waits no more.
    const late = codeOfLater(() => jobs.request(filled(pool, 104), { timeout: 20 }));
    expect(await late).toBe("TIMEOUT");
    expect(await answerTo(pool, jobs, 7)).toBe(8);
    jobs.close();
    expect(await child.exited).toBe(0);
    await until(() => pool.stats().used === 0);
  });
}, 60_000);

test("a C program that is killed with a request ends its asker's wait, and no other", async () => {
  await withPool(options, async (pool, name) => {
    using jobs = pool.channel("jobs");
    const first = await startAnswering(name);
    const lost = codeOfLater(() => answerTo(pool, jobs, 101));
    await first.hears("has it");
    first.child.kill("SIGKILL");
    await first.child.exited;
    const queued = answerTo(pool, jobs, 5);
    expect(await lost).toBe("PEER_DIED");
    const second = await startAnswering(name);
    expect(await queued).toBe(6);
    jobs.close();
    expect(await second.child.exited).toBe(0);
    expect(pool.stats().used).toBe(0);
  });
}, 60_000);

test("Bun answers requests of C, and of each only the one that was asked", async () => {
  await withPool(options, async (pool, name) => {
    using jobs = pool.channel("jobs");
    const asked = [
      { byte: 10, answer: "11" },
      { byte: 20, answer: "21" },
      { byte: 100, answer: "RELEASED" },
      { byte: 103, answer: "PEER_DIED" },
    ];
    const askers = asked.map(({ byte }) =>
      programs.outputOf("requests", "ask", name, "5", String(byte)),
    );
    const answering = (async () => {
      for await (using request of jobs.requests()) {
        const [first = 0] = request.guard.bytes;
        if (first === 103) pool.unref(request.guard.handOff());
        if (first === 100 || first === 103) continue;
        const reply = filled(pool, first + 1);
        request.reply(reply);
      }
    })();
    for (const [place, { answer }] of asked.entries()) {
      expect(await askers[place]).toBe(`${answer}\n`.repeat(5));
    }
    jobs.close();
    await answering;
    expect(pool.stats().used).toBe(0);
  });
}, 60_000);
