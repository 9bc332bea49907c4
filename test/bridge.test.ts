// Buffers that travel from one pool to another through a real server of NATS.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  type StreamConfig,
} from "@nats-io/jetstream";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import {
  type BridgeEvent,
  exportChannel,
  exportRequests,
  importChannel,
  importRequests,
} from "../src/bridge/index.ts";
import { BufferPool, type Channel, type ChannelOptions, XmemError } from "../src/index.ts";
import { transfer } from "./bridge/machines.ts";
import { freePorts, NatsServer, Servers, serverProgram } from "./bridge/servers.ts";
import { expectPrinted, programsOf } from "./pages.ts";
import { until } from "./scripts.ts";

const program = serverProgram();
const frameBytes = (1280 * 720 * 3) / 2;

let made = 0;

/** A pool with a channel, in this process. */
function place(options: { capacity?: number; bufferSize?: number; channel?: ChannelOptions } = {}) {
  const { capacity = 16, bufferSize = 2 * 1024 * 1024 } = options;
  const name = `bridge.${process.pid}.${++made}`;
  const pool = BufferPool.create(name, { capacity, bufferSize, ephemeral: true });
  const channel = pool.channel("frames", options.channel);
  return { pool, channel, [Symbol.dispose]: () => pool.close() };
}

const redelivering = { capacity: 8, redeliver: true } as const;

async function sendText(pool: BufferPool, channel: Channel, text: string): Promise<void> {
  const guard = await pool.acquireAsync(text.length);
  guard.bytes.set(new TextEncoder().encode(text));
  await channel.sendAsync(guard);
}

async function receiveText(channel: Channel): Promise<string> {
  using guard = await channel.receive();
  return new TextDecoder().decode(guard.bytes);
}

if (program !== null) {
  describe("the bridge", () => {
    let servers: Servers;
    let nats: NatsConnection;
    let manager: JetStreamManager;
    let stream = "";
    let subject = "";

    beforeAll(async () => {
      servers = await Servers.start(program, 1, "max_payload: 65536");
      nats = await servers.connect();
      manager = await jetstreamManager(nats);
    });

    afterAll(() => servers[Symbol.asyncDispose]());

    /** A stream of the test's own. */
    async function newStream(config: object = {}): Promise<void> {
      stream = `S${++made}`;
      subject = `${stream}.frames`;
      await manager.streams.add({ name: stream, subjects: [`${stream}.>`], ...config });
    }

    test("a buffer arrives with all that its description says", async () => {
      await newStream();
      using near = place({ channel: redelivering });
      using far = place();
      await using _exporter = exportChannel(near.channel, nats, { stream, subject });
      await using _importer = importChannel(nats, { stream, consumer: "far" }, far.channel);
      const sent = [
        { dtype: "float32", shape: [2, 3], strides: [12, 4] },
        { dtype: "float32", shape: [2, 3], strides: [4, 8] },
        { dtype: "int16", shape: [12], strides: [-2] },
        { dtype: "uint8", shape: [], strides: [] },
        { dtype: "float64", shape: [3], strides: [8], timestamp: 2 ** 53 - 1, sequence: 7 },
        {
          dtype: "uint8",
          shape: [24],
          strides: [1],
          contentType: "größe: 10 %\r\n",
          producer: " é ",
        },
      ] as const;
      for (const fields of sent) {
        const guard = near.pool.acquire(24);
        guard.bytes.fill(9);
        Object.assign(guard.meta, fields);
        await near.channel.sendAsync(guard);
      }
      const plain = { timestamp: 0, sequence: 0, contentType: "", producer: "" };
      for (const fields of sent) {
        using guard = await far.channel.receive();
        expect(guard.meta.toJSON() as object).toEqual({ ...plain, ...fields });
        expect(guard.bytes).toEqual(new Uint8Array(24).fill(9));
      }
    });

    test("bodies of any size arrive whole, in order, in as many parts as they need", async () => {
      await newStream();
      using near = place({ channel: redelivering });
      using far = place({ capacity: 4 });
      await using exporter = exportChannel(near.channel, nats, { stream, subject });
      await using importer = importChannel(nats, { stream, consumer: "far" }, far.channel);
      const cut = 65536 - 1536;
      const sizes = [0, 1, cut - 1, cut, cut + 1, 2 * cut, frameBytes, 3, frameBytes];
      const pattern = (size: number): Uint8Array => {
        const bytes = new Uint8Array(size);
        for (let at = 0; at < size; at++) bytes[at] = (at * 31 + size) & 255;
        return bytes;
      };
      const producing = (async () => {
        for (const size of sizes) {
          const guard = await near.pool.acquireAsync(size);
          guard.bytes.set(pattern(size));
          await near.channel.sendAsync(guard);
        }
      })();
      for (const size of sizes) {
        using guard = await far.channel.receive();
        expect(guard.size).toBe(size);
        expect(Buffer.compare(guard.bytes, pattern(size))).toBe(0);
      }
      await producing;
      await exporter.close();
      const { exported, messages, bytes } = exporter.stats();
      const parts = sizes.reduce((sum, size) => sum + Math.max(1, Math.ceil(size / cut)), 0);
      const total = sizes.reduce((sum, size) => sum + size, 0);
      expect({ exported, messages, bytes }).toEqual({
        exported: sizes.length,
        messages: parts,
        bytes: total,
      });
      await importer.close();
      expect(importer.stats().imported).toBe(sizes.length);
      expect(near.pool.stats().used + far.pool.stats().used).toBe(0);
    });

    test("what is no message of xmem's, or fits no buffer, is refused, ended and counted", async () => {
      await newStream({ retention: "workqueue" });
      using near = place({ channel: redelivering });
      using far = place({ bufferSize: 100_000 });
      const js = jetstream(nats);
      const publish = async (lines: Record<string, string>, body: string): Promise<void> => {
        const head = headers();
        for (const [name, value] of Object.entries(lines)) head.set(name, value);
        await js.publish(subject, body, { headers: head });
      };
      await js.publish(subject, "without headers");
      const bad: [Record<string, string>, string][] = [
        [{ Other: "1" }, "other headers"],
        [{ "Xmem-Size": "5" }, "six so"],
        [{ "Xmem-Size": "-3" }, "abc"],
        [{ "Xmem-Size": "1e0" }, "a"],
        [{ "Xmem-Size": "99999999999999999999" }, "a"],
        [{ "Xmem-Size": "1", "Xmem-Dtype": "toString" }, "a"],
        [{ "Xmem-Size": "1", "Xmem-Shape": "1,2,3,4,5,6,7,8,9" }, "a"],
        [{ "Xmem-Size": "1", "Xmem-Shape": "-1" }, "a"],
        [{ "Xmem-Size": "1", "Xmem-Strides": "1,x" }, "a"],
        [{ "Xmem-Size": "1", "Xmem-Timestamp": "-1" }, "a"],
        [{ "Xmem-Size": "1", "Xmem-Producer": "%" }, "a"],
        [{ "Xmem-Size": "1", "Xmem-Producer": "x".repeat(32) }, "a"],
        [{ "Xmem-Size": "1", "Xmem-Content-Type": "a%00b" }, "a"],
        [{ "Xmem-Size": "1", "Xmem-Part": "0,1,0", "Xmem-Whole": "w" }, "a"],
        [{ "Xmem-Size": "1", "Xmem-Part": "1,1,1", "Xmem-Whole": "w" }, "a"],
        [{ "Xmem-Size": "1", "Xmem-Part": "0,9,1", "Xmem-Whole": "w" }, "a"],
        [{ "Xmem-Size": "1", "Xmem-Part": "0,1,1" }, "a"],
        [{ "Xmem-Size": "2", "Xmem-Part": "1,2,1", "Xmem-Whole": "never begun" }, "a"],
        [{ "Xmem-Size": "2", "Xmem-Part": "0,2,1", "Xmem-Whole": "w" }, "too long"],
      ];
      for (const [lines, body] of bad) await publish(lines, body);
      await using exporter = exportChannel(near.channel, nats, { stream, subject });
      const large = near.pool.acquire(300_000);
      await near.channel.sendAsync(large);
      await sendText(near.pool, near.channel, "good");
      await using importer = importChannel(nats, { stream, consumer: "far" }, far.channel);
      const events: BridgeEvent[] = [];
      importer.on((event) => events.push(event));
      expect(await receiveText(far.channel)).toBe("good");
      await exporter.close();
      const parts = exporter.stats().messages - 1;
      expect(importer.stats()).toMatchObject({ imported: 1, refused: bad.length + 1 + parts });
      expect(events.filter(({ type }) => type === "refused").length).toBe(bad.length + 1 + parts);
      // The stream keeps none of them.
      await importer.close();
      await until(async () => (await manager.streams.info(stream)).state.messages === 0);
      expect(far.pool.stats().used).toBe(0);
    });

    test("a full stream stops the producer, and goes on when there is room", async () => {
      await newStream({ max_msgs: 5, discard: "new", retention: "workqueue" });
      using near = place({ capacity: 8, channel: { capacity: 2, redeliver: true } });
      using far = place({ channel: { capacity: 64 } });
      await using exporter = exportChannel(near.channel, nats, { stream, subject, window: 3 });
      let sent = 0;
      const sending = (async () => {
        for (; sent < 30; sent++) {
          const guard = await near.pool.acquireAsync(10);
          guard.meta.sequence = sent;
          await near.channel.sendAsync(guard);
        }
      })();
      await until(() => exporter.stats().full > 0 && near.pool.tryAcquire(1) === null);
      expect(exporter.stats()).toMatchObject({ state: "waiting", exported: 5 });
      expect(sent).toBeLessThan(15);
      await using _importer = importChannel(nats, { stream, consumer: "far" }, far.channel);
      for (let sequence = 0; sequence < 30; sequence++) {
        using guard = await far.channel.receive();
        expect(guard.meta.sequence).toBe(sequence);
      }
      await sending;
      await until(() => exporter.stats().exported === 30);
      expect(exporter.stats().state).toBe("running");
    });

    test("a full channel, and a full pool, stop the pull", async () => {
      await newStream();
      using near = place({ channel: redelivering });
      for (const far of [
        place({ capacity: 64, channel: { capacity: 3 } }),
        place({ capacity: 4, channel: { capacity: 64 } }),
      ]) {
        using _far = far;
        await using _exporter = exportChannel(near.channel, nats, { stream, subject });
        await using importer = importChannel(
          nats,
          { stream, consumer: `far${made}`, window: 5 },
          far.channel,
        );
        for (let i = 0; i < 20; i++) await sendText(near.pool, near.channel, `${i}`);
        await until(() => importer.stats().state === "blocked");
        await until(() => importer.stats().inFlight >= 4);
        expect(importer.stats()).toMatchObject({ imported: 3 });
        expect(importer.stats().messages).toBeLessThan(10);
        for (let i = 0; i < 20; i++) expect(await receiveText(far.channel)).toBe(`${i}`);
        await until(() => importer.stats().inFlight === 0);
        await importer.close();
        await manager.streams.purge(stream);
      }
    });

    test("with ackOnRelease a message is acknowledged once everybody released its buffer", async () => {
      await newStream();
      using near = place({ channel: redelivering });
      using far = place();
      await using _exporter = exportChannel(near.channel, nats, { stream, subject });
      const options = { stream, consumer: "far", ackOnRelease: true };
      await using importer = importChannel(nats, options, far.channel);
      for (const text of ["a", "b", "c"]) await sendText(near.pool, near.channel, text);
      const guards = [];
      for (let i = 0; i < 3; i++) guards.push(await far.channel.receive());
      const pending = async (): Promise<number> =>
        (await manager.consumers.info(stream, "far")).num_ack_pending;
      expect(await pending()).toBe(3);
      const clone = guards[1]?.clone();
      guards[1]?.release();
      guards[0]?.release();
      await until(async () => (await pending()) === 2);
      // Its successor finds what is not released yet, and does not send it again.
      await importer.close();
      await using successor = importChannel(nats, options, far.channel);
      await until(() => successor.stats().duplicates === 2);
      await sendText(near.pool, near.channel, "d");
      expect(await receiveText(far.channel)).toBe("d");
      clone?.release();
      guards[2]?.release();
      await until(async () => (await pending()) === 0);
      expect(successor.stats()).toMatchObject({ imported: 1, duplicates: 2 });
    });

    test("a second importer waits, and goes on where the first ended", async () => {
      await newStream();
      using near = place({ channel: redelivering });
      using far = place();
      await using _exporter = exportChannel(near.channel, nats, { stream, subject });
      const first = importChannel(nats, { stream, consumer: "far" }, far.channel);
      await sendText(near.pool, near.channel, "one");
      expect(await receiveText(far.channel)).toBe("one");
      await using second = importChannel(nats, { stream, consumer: "far" }, far.channel);
      await sendText(near.pool, near.channel, "two");
      expect(await receiveText(far.channel)).toBe("two");
      expect(second.stats()).toMatchObject({ state: "standby", imported: 0 });
      await first.close();
      await sendText(near.pool, near.channel, "three");
      expect(await receiveText(far.channel)).toBe("three");
      expect(second.stats()).toMatchObject({ state: "running", imported: 1, duplicates: 0 });
      expect(far.channel.tryReceive()).toBeNull();
    });

    test("a stream that is deleted and made anew is gone on with", async () => {
      await newStream();
      using near = place({ channel: redelivering });
      using far = place();
      await using _exporter = exportChannel(near.channel, nats, { stream, subject });
      await using importer = importChannel(nats, { stream, consumer: "far" }, far.channel);
      for (const text of ["1", "2", "3"]) {
        await sendText(near.pool, near.channel, text);
        expect(await receiveText(far.channel)).toBe(text);
      }
      await until(() => importer.stats().inFlight === 0);
      await manager.streams.delete(stream);
      await sendText(near.pool, near.channel, "4");
      await manager.streams.add({ name: stream, subjects: [`${stream}.>`] });
      expect(await receiveText(far.channel)).toBe("4");
      expect(importer.stats()).toMatchObject({ imported: 4, duplicates: 0 });
    });

    test("where others send to the channel, too, an importer says so", async () => {
      await newStream();
      using near = place({ channel: redelivering });
      using far = place();
      await using _exporter = exportChannel(near.channel, nats, { stream, subject });
      await using importer = importChannel(nats, { stream, consumer: "far" }, far.channel);
      const events: string[] = [];
      importer.on(({ type }) => events.push(type));
      for (let i = 0; i < 40; i++) {
        await sendText(near.pool, near.channel, "from afar");
        await receiveText(far.channel);
        await sendText(far.pool, far.channel, "from here");
        await receiveText(far.channel);
      }
      expect(events.filter((type) => type === "shared").length).toBe(1);
    });

    test("two exporters of one stream keep the order of each", async () => {
      await newStream();
      const nears = [place({ channel: redelivering }), place({ channel: redelivering })];
      using far = place({ capacity: 64, channel: { capacity: 64 } });
      const exporters = nears.map(({ channel }) =>
        exportChannel(channel, nats, { stream, subject }),
      );
      await using _importer = importChannel(nats, { stream, consumer: "far" }, far.channel);
      const sending = nears.map(async ({ pool, channel }, producer) => {
        for (let sequence = 0; sequence < 200; sequence++) {
          const guard = await pool.acquireAsync(sequence % 10 === 0 ? 200_000 : 50);
          guard.meta.sequence = sequence;
          guard.meta.producer = String(producer);
          await channel.sendAsync(guard);
        }
      });
      const next = [0, 0];
      for (let i = 0; i < 400; i++) {
        using guard = await far.channel.receive();
        const producer = Number(guard.meta.producer);
        expect(guard.meta.sequence).toBe(next[producer] as number);
        next[producer] = guard.meta.sequence + 1;
      }
      await Promise.all(sending);
      for (const exporter of exporters) await exporter.close();
      for (const near of nears) near.pool.close();
    });

    test("no body is copied but by the client, and once into the pool", async () => {
      await newStream();
      const size = 20_000;
      const count = 50;
      using near = place({ channel: redelivering });
      using far = place({ capacity: 64, channel: { capacity: 64 } });
      const js = jetstream(nats);
      const published = await copies(size, async () => {
        const body = new Uint8Array(size);
        for (let i = 0; i < count; i++) await js.publish(subject, body);
      });
      await manager.streams.purge(stream);
      const exported = await copies(size, async () => {
        await using exporter = exportChannel(near.channel, nats, { stream, subject });
        for (let i = 0; i < count; i++) {
          await near.channel.sendAsync(await near.pool.acquireAsync(size));
        }
        await until(() => exporter.stats().exported === count);
      });
      const received = await copies(size, async () => {
        await manager.consumers.add(stream, { durable_name: "bare", ack_policy: "explicit" });
        const consumer = await js.consumers.get(stream, "bare");
        for await (const message of await consumer.fetch({ max_messages: count })) message.ack();
      });
      const imported = await copies(size, async () => {
        await using importer = importChannel(nats, { stream, consumer: "far" }, far.channel);
        await until(() => importer.stats().imported === count);
      });
      expect({ published, exported, received, imported }).toEqual({
        published: count,
        exported: count,
        received: 0,
        imported: count,
      });
    });

    test("what a request or a reply says is its own, also where its buffer is used again at once", async () => {
      using near = place({ channel: { capacity: 8 } });
      using far = place({ channel: { capacity: 8 } });
      await using exporter = exportRequests(near.channel, nats, { subject: "own", timeout: 5000 });
      await using importer = importRequests(nats, { subject: "own" }, far.channel);
      const useAgain = (): void => {
        const guards = [];
        for (let free = far.pool.tryAcquire(8); free !== null; free = far.pool.tryAcquire(8)) {
          free.bytes.fill(255);
          guards.push(free);
        }
        for (const guard of guards) guard.release();
      };
      const { publish } = nats;
      // It runs after what publishes, and before the client sends.
      nats.publish = (...said) => {
        queueMicrotask(useAgain);
        publish.apply(nats, said);
      };
      try {
        const answering = (async () => {
          for await (using request of far.channel.requests()) {
            using answer = far.pool.acquire(8);
            answer.bytes.set(request.guard.bytes);
            request.reply(answer);
          }
        })();
        for (let round = 0; round < 20; round++) {
          const job = near.pool.acquire(8);
          job.bytes.fill(round);
          using reply = await near.channel.request(job, { timeout: 10_000 });
          expect([...reply.bytes]).toEqual(Array(8).fill(round));
        }
        expect(exporter.stats()).toMatchObject({ replies: 20, failed: 0 });
        expect(importer.stats()).toMatchObject({ replies: 20, failed: 0 });
        far.channel.close();
        await answering;
      } finally {
        nats.publish = publish;
      }
    });

    test("a request gets its reply from another pool, whatever the sizes", async () => {
      using near = place({ channel: { capacity: 8 } });
      using far = place({ channel: { capacity: 8 } });
      await using exporter = exportRequests(near.channel, nats, { subject: "jobs", timeout: 5000 });
      await using importer = importRequests(nats, { subject: "jobs" }, far.channel);
      const answering = (async () => {
        for await (using request of far.channel.requests()) {
          const { size, meta } = request.guard;
          if (size === 3) continue; // Disposed of without a reply.
          using answer = far.pool.acquire(size * 2);
          answer.bytes.set(request.guard.bytes);
          answer.bytes.set(request.guard.bytes, size);
          answer.meta.sequence = meta.sequence + 1;
          request.reply(answer);
        }
      })();
      const sizes = [0, 1, 40_000, 70_000, 500_000];
      const asking = sizes.map(async (size, sequence) => {
        const job = near.pool.acquire(size);
        for (let at = 0; at < size; at++) job.bytes[at] = (at * 7) & 255;
        job.meta.sequence = sequence;
        const expected = Buffer.concat([job.bytes, job.bytes]);
        using reply = await near.channel.request(job, { timeout: 10_000 });
        expect(reply.size).toBe(2 * size);
        expect(Buffer.compare(reply.bytes, expected)).toBe(0);
        expect(reply.meta.sequence).toBe(sequence + 1);
      });
      await Promise.all(asking);
      expect(await codeOf(near.channel.request(near.pool.acquire(3)))).toBe("RELEASED");
      expect(exporter.stats()).toMatchObject({ requests: 6, replies: 5, failed: 1, pending: 0 });
      expect(importer.stats()).toMatchObject({ requests: 6, replies: 5, failed: 1, pending: 0 });
      nats.publish("jobs", "nonsense", { reply: "nowhere" });
      await until(() => importer.stats().refused === 1);
      await exporter.close();
      await importer.close();
      far.channel.close();
      await answering;
      expect(near.pool.stats().used + far.pool.stats().used).toBe(0);
    });

    test("a request that nobody answers ends its asker's wait", async () => {
      using near = place();
      await using exporter = exportRequests(near.channel, nats, { subject: "none", timeout: 300 });
      expect(await codeOf(near.channel.request(near.pool.acquire(8)))).toBe("RELEASED");
      expect(exporter.stats()).toMatchObject({ requests: 1, failed: 1 });
    });

    test("an exporter ends with its channel, and when it is told to, with nothing in hand", async () => {
      await newStream();
      using near = place({ channel: redelivering });
      const exporter = exportChannel(near.channel, nats, { stream, subject });
      for (let i = 0; i < 8; i++) await sendText(near.pool, near.channel, `${i}`);
      near.channel.close();
      await exporter.done;
      expect(exporter.stats()).toMatchObject({ state: "ended", exported: 8, inFlight: 0 });
      expect(near.pool.stats().used).toBe(0);
      using other = place({ channel: redelivering });
      const stopping = new AbortController();
      const { signal } = stopping;
      const second = exportChannel(other.channel, nats, { stream, subject, signal });
      await sendText(other.pool, other.channel, "x");
      await until(() => second.stats().exported === 1);
      stopping.abort();
      await second.done;
      await sendText(other.pool, other.channel, "stays");
      expect(other.channel.stats().queued).toBe(1);
    });

    test("a wrong argument is refused at once, a stream that is not there by `done`", async () => {
      await newStream();
      using near = place({ channel: redelivering });
      const { channel } = near;
      const wrong: (() => unknown)[] = [
        () => exportChannel(null as never, nats, { stream, subject }),
        () => exportChannel(channel, {} as never, { stream, subject }),
        () => exportChannel(channel, nats, { stream } as never),
        () => exportChannel(channel, nats, { stream, subject: "a b" }),
        () => exportChannel(channel, nats, { stream, subject: "a.*" }),
        () => exportChannel(channel, nats, { stream, subject, windows: 1 } as never),
        () => exportChannel(channel, nats, { stream, subject, window: 0 }),
        () => exportChannel(channel, nats, { stream, subject, signal: 1 as never }),
        () => importChannel(nats, { stream } as never, channel),
        () => importChannel(nats, { stream, consumer: "c" }, {} as never),
        () => importChannel(nats, { stream, consumer: "c", ackOnRelease: 1 as never }, channel),
        () => exportRequests(channel, nats, {} as never),
        () => importRequests(nats, { subject: "" }, channel),
      ];
      for (const call of wrong) {
        expect(call).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
      }
      const elsewhere = exportChannel(channel, nats, { stream, subject: "nobodys.subject" });
      expect(await codeOf(elsewhere.done)).toBe("INVALID_ARGUMENT");
      expect(elsewhere.stats().state).toBe("failed");
      await manager.consumers.add(stream, { durable_name: "all", ack_policy: "all" });
      const importer = importChannel(nats, { stream, consumer: "all" }, channel);
      expect(await codeOf(importer.done)).toBe("INVALID_ARGUMENT");
    });
  });

  test("both ends outlive their server, and say so", async () => {
    await using servers = await Servers.start(program);
    const nats = await servers.connect();
    const manager = await jetstreamManager(nats);
    await manager.streams.add({ name: "S", subjects: ["s"] });
    using near = place({ channel: redelivering });
    using far = place();
    await using exporter = exportChannel(near.channel, nats, { stream: "S", subject: "s" });
    await using importer = importChannel(nats, { stream: "S", consumer: "far" }, far.channel);
    const events: string[] = [];
    for (const bridge of [exporter, importer]) bridge.on(({ type }) => events.push(type));
    await sendText(near.pool, near.channel, "before");
    expect(await receiveText(far.channel)).toBe("before");
    await servers.all[0]?.kill();
    await until(() => exporter.stats().state === "waiting" && importer.stats().state === "waiting");
    await sendText(near.pool, near.channel, "while it is away");
    servers.all[0]?.start();
    expect(await receiveText(far.channel)).toBe("while it is away");
    await until(() => exporter.stats().inFlight === 0);
    expect(exporter.stats()).toMatchObject({ state: "running", exported: 2, reconnects: 1 });
    expect(importer.stats()).toMatchObject({ state: "running", imported: 2, reconnects: 1 });
    expect(events).toContain("disconnected");
    expect(events).toContain("reconnected");
  });

  test("a server that was stopped for a while loses nothing", async () => {
    await using servers = await Servers.start(program);
    const nats = await servers.connect();
    const manager = await jetstreamManager(nats);
    await manager.streams.add({ name: "S", subjects: ["s"] });
    using near = place({ channel: redelivering });
    using far = place();
    await using exporter = exportChannel(near.channel, nats, { stream: "S", subject: "s" });
    await using _importer = importChannel(nats, { stream: "S", consumer: "far" }, far.channel);
    await sendText(near.pool, near.channel, "before");
    expect(await receiveText(far.channel)).toBe("before");
    await until(() => exporter.stats().exported === 1);
    await servers.all[0]?.stop();
    for (const text of ["1", "2", "3"]) await sendText(near.pool, near.channel, text);
    // Longer than an acknowledgement may take, so that all are published once more.
    await until(() => exporter.stats().repeated > 0 || exporter.stats().exported > 1);
    expect(exporter.stats()).toMatchObject({ exported: 1, inFlight: 3 });
    servers.all[0]?.goOn();
    for (const text of ["1", "2", "3"]) expect(await receiveText(far.channel)).toBe(text);
    await until(() => exporter.stats().inFlight === 0);
    await Bun.sleep(100);
    expect(far.channel.tryReceive()).toBeNull();
  });

  test("buffers of a site arrive at a hub that mirrors the site's stream", async () => {
    const [ofHub = 0, ofSite = 0, ofLeaves = 0] = await freePorts(3);
    const login = { user: "u", pass: crypto.randomUUID() };
    const authorization = `authorization { user: ${login.user}, password: "${login.pass}" }`;
    const hubServer = new NatsServer(program, {
      name: "hub",
      port: ofHub,
      domain: "hub",
      config: `${authorization}\nleafnodes { listen: "127.0.0.1:${ofLeaves}", ${authorization} }`,
    });
    const remote = `nats-leaf://${login.user}:${login.pass}@127.0.0.1:${ofLeaves}`;
    const siteServer = new NatsServer(program, {
      name: "site",
      port: ofSite,
      domain: "site",
      config: `${authorization}\nleafnodes { remotes: [{ url: "${remote}" }] }`,
    });
    const options = { ...login, waitOnFirstConnect: true, reconnectTimeWait: 100 };
    try {
      hubServer.start();
      const hub = await connect({ servers: `127.0.0.1:${ofHub}`, ...options });
      siteServer.start();
      const site = await connect({ servers: `127.0.0.1:${ofSite}`, ...options });
      const hubManager = await jetstreamManager(hub);
      const siteManager = await jetstreamManager(site);
      await siteManager.streams.add({ name: "FRAMES", subjects: ["frames"], max_bytes: 2 ** 24 });
      await until(() => hubManager.streams.add(mirror("FRAMES")).then(Boolean, () => false));
      using near = place({ channel: redelivering });
      using far = place();
      const to = { stream: "FRAMES", subject: "frames" };
      await using exporter = exportChannel(near.channel, site, to);
      const from = { stream: "FRAMES_OF_SITE", consumer: "far" };
      await using importer = importChannel(hub, from, far.channel);
      for (const text of ["1", "2", "3"]) await sendText(near.pool, near.channel, text);
      for (const text of ["1", "2", "3"]) expect(await receiveText(far.channel)).toBe(text);
      await Promise.all([exporter.close(), importer.close()]);
      await Promise.all([hub.close(), site.close()]);
    } finally {
      await Promise.all([hubServer.remove(), siteServer.remove()]);
    }

    function mirror(name: string): Partial<StreamConfig> & { name: string } {
      const external = { api: "$JS.site.API", deliver: "" };
      return { name: "FRAMES_OF_SITE", mirror: { name, external } };
    }
  }, 30_000);

  test("the programs of the page about the bridge print what the page shows", async () => {
    await using servers = await Servers.start(program);
    const { user, pass } = servers.login;
    const env = { NATS_URL: servers.addresses[0] ?? "", NATS_USER: user, NATS_PASSWORD: pass };
    const all = programsOf("docs/bridge.md");
    expect(all.length).toBe(2);
    for (const { example, output } of all) {
      await expectPrinted(example, output, { env, packages: ["@nats-io"] });
    }
  });

  test("nothing is lost, doubled or overtaken while both ends and the server are killed", async () => {
    await using servers = await Servers.start(program);
    const kill = ["exporter", "importer", "server"] as const;
    const { received } = await transfer(servers, {
      messages: 5000,
      size: 200,
      kill,
      pause: 200,
      seed: Date.now(),
    });
    expect(received).toBe(5000);
  }, 120_000);
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    const value = await promise;
    if (typeof value === "object" && value !== null && Symbol.dispose in value) {
      (value as Disposable)[Symbol.dispose]();
    }
    return "none";
  } catch (error) {
    return error instanceof XmemError ? error.code : String(error);
  }
}

/**
 * How often a whole body of that size is copied meanwhile, in this thread. Pieces that come from a
 * socket have other sizes.
 */
async function copies(size: number, body: () => Promise<void>): Promise<number> {
  const typed = Object.getPrototypeOf(Uint8Array.prototype);
  let count = 0;
  const undo: (() => void)[] = [];
  const watch = (
    owner: object,
    name: string,
    isWhole: (self: unknown, given: unknown) => boolean,
  ) => {
    const original = Reflect.get(owner, name);
    Reflect.set(owner, name, function (this: unknown, ...given: unknown[]) {
      if (isWhole(this, given[0])) count += 1;
      return Reflect.apply(original, this, given);
    });
    undo.push(() => Reflect.set(owner, name, original));
  };
  const isBody = (value: unknown): boolean => value instanceof Uint8Array && value.length === size;
  watch(typed, "set", (_, source) => isBody(source));
  watch(typed, "slice", (self) => isBody(self));
  watch(Buffer.prototype, "copy", (self) => isBody(self));
  watch(Buffer.prototype, "slice", () => false);
  watch(Buffer, "from", (_, source) => isBody(source));
  watch(Buffer, "concat", (_, list) => Array.isArray(list) && list.some(isBody));
  try {
    await body();
  } finally {
    for (const each of undo) each();
  }
  return count;
}
