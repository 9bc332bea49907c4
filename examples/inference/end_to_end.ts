// The server and its workers under load, with a worker killed in the middle of an image, and with more
// images than there are buffers.
//
//   PYTHON=<a Python with numpy> bun test ./examples/inference/end_to_end.ts

import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { BufferPool, type ParticipantStats } from "../../src/index.ts";

const capacity = 8;
let server: Subprocess<"ignore", "pipe", "inherit">;
let url = "";

async function start(): Promise<void> {
  server = Bun.spawn([process.execPath, join(import.meta.dir, "server.ts")], {
    env: { ...process.env, PORT: "0", WORKERS: "2", CAPACITY: `${capacity}` },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  for await (const text of server.stdout.pipeThrough(new TextDecoderStream())) {
    said += text;
    if (said.includes("\n")) break;
  }
  url = said.slice("listening on ".length).trim();
  await until(async () => (await workers()).length === 2);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await Bun.sleep(5);
}

interface Stats {
  used: number;
  participants: ParticipantStats[];
}

const stats = async (): Promise<Stats> =>
  (await (await fetch(new URL("stats", url))).json()) as Stats;

async function workers(): Promise<ParticipantStats[]> {
  const { participants } = await stats();
  return participants.filter(({ name, alive }) => name === "worker" && alive);
}

/** An image of one colour. */
function plain(width: number, height: number, ...colour: [number, number, number]): Buffer {
  const header = Buffer.from(`P6\n# of one colour\n${width} ${height}\n255\n`);
  return Buffer.concat([header, Buffer.alloc(width * height * 3, Buffer.from(colour))]);
}

/** Black and white pixels in turn. */
function chequered(size: number): Buffer {
  const pixels = Buffer.alloc(size * size * 3);
  for (let at = 0; at < size * size; at++) {
    const isWhite = (at + Math.floor(at / size)) % 2 === 0;
    pixels.fill(isWhite ? 255 : 0, 3 * at, 3 * at + 3);
  }
  return Buffer.concat([Buffer.from(`P6 ${size} ${size} 255\n`), pixels]);
}

const post = (body: Buffer, query = ""): Promise<Response> =>
  fetch(new URL(`classify${query}`, url), { method: "POST", body });

interface Answer {
  label: string;
  mean: number[];
}

async function answerTo(body: Buffer): Promise<Answer> {
  const response = await post(body);
  expect(response.status).toBe(200);
  return (await response.json()) as Answer;
}

/** Takes a worker some seconds. */
const slow = (): Promise<Response> => post(plain(512, 512, 9, 9, 9), "?passes=1500");

beforeAll(start, 60_000);

afterAll(() => server.kill("SIGKILL"));

test("each image gets its label", async () => {
  const labels = await Promise.all(
    [
      plain(40, 30, 2, 2, 2),
      plain(40, 30, 250, 250, 250),
      plain(40, 30, 220, 10, 10),
      plain(40, 30, 10, 10, 220),
      chequered(64),
    ].map(async (image) => (await answerTo(image)).label),
  );
  expect(labels).toEqual(["dark", "bright", "red", "blue", "busy"]);
});

test("under load each of many requests gets the answer to its own image", async () => {
  let next = 0;
  const client = async (): Promise<void> => {
    while (next < 400) {
      const number = next++;
      const colour = [number % 256, (7 * number) % 256, (31 * number) % 256] as const;
      const { mean } = await answerTo(plain(4 + (number % 200), 4 + (number % 77), ...colour));
      expect(mean.map((each) => Math.round(each * 255))).toEqual([...colour]);
    }
  };
  await Promise.all(Array.from({ length: capacity }, client));
  expect((await stats()).used).toBe(0);
}, 120_000);

test("a worker that is killed costs the answer to its own image, and no other", async () => {
  const both = [slow(), slow()];
  await until(async () => (await workers()).every(({ holds }) => holds === 1));
  // These wait behind the slow ones.
  const waiting = Array.from({ length: 4 }, (_, red) => answerTo(plain(20, 20, red, 0, 0)));
  const [killed] = await workers();
  process.kill(killed?.pid ?? 0, "SIGKILL");
  const responses = await Promise.all(both);
  const [lost] = responses.filter(({ status }) => status !== 200);
  expect(responses.map(({ status }) => status).sort()).toEqual([200, 503]);
  expect(await lost?.json()).toEqual({ error: "PEER_DIED" });
  expect(lost?.headers.get("Retry-After")).toBe("1");
  const means = (await Promise.all(waiting)).map(({ mean }) => Math.round((mean[0] ?? 0) * 255));
  expect(means).toEqual([0, 1, 2, 3]);
  // Another one is started in its place, and no buffer is lost.
  await until(async () => (await workers()).length === 2);
  expect((await workers()).map(({ pid }) => pid)).not.toContain(killed?.pid ?? 0);
  expect((await stats()).used).toBe(0);
}, 120_000);

test("one image more than there are buffers is refused at once", async () => {
  const query = "?passes=100";
  const taken = Array.from({ length: capacity }, () => post(plain(512, 512, 1, 1, 1), query));
  await until(async () => (await stats()).used === capacity);
  const refused = await post(plain(20, 20, 1, 1, 1));
  expect(refused.status).toBe(503);
  expect(await refused.json()).toEqual({ error: "POOL_FULL" });
  const responses = await Promise.all(taken);
  expect(responses.map(({ status }) => status)).toEqual(Array(capacity).fill(200));
  expect((await post(plain(20, 20, 1, 1, 1))).status).toBe(200);
}, 120_000);

test("what is no image, or no whole one, is refused, and keeps no buffer", async () => {
  const whole = plain(20, 20, 1, 1, 1);
  const refused = [
    { body: Buffer.from("hello"), status: 415 },
    { body: Buffer.alloc(0), status: 400 },
    { body: whole.subarray(0, -1), status: 400 },
    { body: Buffer.concat([whole, Buffer.alloc(1)]), status: 400 },
    { body: plain(3, 3, 1, 1, 1), status: 400 },
    { body: Buffer.from("P6 40000 40000 255\n"), status: 413 },
  ];
  for (const { body, status } of refused) expect((await post(body)).status).toBe(status);
  expect((await post(whole, "?passes=0")).status).toBe(400);
  expect((await stats()).used).toBe(0);
});

test("a client that goes away leaves its buffer to the next one", async () => {
  const leaving = new AbortController();
  const body = plain(512, 512, 9, 9, 9);
  const left = fetch(new URL("classify?passes=200", url), {
    method: "POST",
    body,
    signal: leaving.signal,
  });
  await until(async () => (await stats()).used === 1);
  leaving.abort();
  await expect(left).rejects.toThrow();
  await until(async () => (await stats()).used === 0);
}, 60_000);

test("the server answers what is left, and ends with its workers and its pool", async () => {
  const pids = (await workers()).map(({ pid }) => pid);
  const last = post(plain(512, 512, 250, 250, 250), "?passes=200");
  await until(async () => (await stats()).used === 1);
  server.kill("SIGTERM");
  expect((await last).status).toBe(200);
  expect(await server.exited).toBe(0);
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow();
  const name = `inference-${server.pid}`;
  expect(BufferPool.list().filter((each) => each.name === name)).toEqual([]);
}, 60_000);

test("the workers of a server that is killed end, too", async () => {
  await start();
  const pids = (await workers()).map(({ pid }) => pid);
  server.kill("SIGKILL");
  await server.exited;
  const isAlive = (pid: number): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  await until(async () => !pids.some(isAlive));
}, 60_000);
