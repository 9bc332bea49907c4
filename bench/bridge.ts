// Buffers through a real server of NATS, from one pool to another, beside the bare client with the
// same payloads: a process that publishes and one that consumes. What counts is the time from the
// first message to the last one's arrival; the two take turns, and each figure is the median.

import { mkdirSync, rmSync } from "node:fs";
import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { ensureNatsServer, natsServer } from "../scripts/nats_server.ts";
import { exportChannel, importChannel } from "../src/bridge/index.ts";
import { BufferPool, type Channel } from "../src/index.ts";
import { Servers } from "../test/bridge/servers.ts";

export interface Round {
  servers: Parameters<typeof connect>[0];
  stream: string;
  count: number;
  size: number;
  window: number;
}

const capacity = 512;

type Role = (nats: NatsConnection, round: Round) => Promise<void>;

async function barePublish(nats: NatsConnection, round: Round): Promise<void> {
  const { stream, count, size, window } = round;
  const client = jetstream(nats);
  const body = new Uint8Array(size).fill(7);
  const most = nats.info?.max_payload ?? 0;
  let flying = 0;
  let wake: (() => void) | undefined;
  const publish = async (part: Uint8Array): Promise<void> => {
    while (flying >= window) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    flying += 1;
    void client.publish(`${stream}.x`, part).then(() => {
      flying -= 1;
      wake?.();
    });
  };
  for (let i = 0; i < count; i++) {
    // What does not fit into a message is cut, here as there.
    for (let at = 0; at < size; at += most) await publish(body.subarray(at, at + most));
  }
  while (flying > 0) await Bun.sleep(1);
}

async function bareConsume(nats: NatsConnection, { stream, count, size }: Round): Promise<void> {
  const consumer = await jetstream(nats).consumers.get(stream, "bare");
  const parts = Math.ceil(size / (nats.info?.max_payload ?? size));
  let left = count * parts;
  for await (const message of await consumer.consume({ max_messages: 256 })) {
    message.ack();
    left -= 1;
    if (left === 0) return;
  }
}

function placed(size: number): { pool: BufferPool; channel: Channel } {
  const options = {
    capacity: size > 100_000 ? 64 : capacity * 2,
    bufferSize: Math.max(4096, size),
  };
  const pool = BufferPool.create("pool", options);
  const room = size > 100_000 ? 16 : capacity;
  return { pool, channel: pool.channel("frames", { capacity: room, redeliver: true }) };
}

async function bridgeExport(nats: NatsConnection, round: Round): Promise<void> {
  const { stream, count, size, window } = round;
  const { pool, channel } = placed(size);
  const exporter = exportChannel(channel, nats, { stream, subject: `${stream}.x`, window });
  for (let i = 0; i < count; i++) {
    const guard = pool.tryAcquire(size) ?? (await pool.acquireAsync(size));
    guard.bytes[0] = i;
    if (!channel.trySend(guard)) await channel.sendAsync(guard);
  }
  channel.close();
  await exporter.done;
  pool.close();
}

async function bridgeImport(nats: NatsConnection, { stream, count, size }: Round): Promise<void> {
  const { pool, channel } = placed(size);
  const importer = importChannel(nats, { stream, consumer: "bridge" }, channel);
  for (let i = 0; i < count; i++) {
    using guard = channel.tryReceive() ?? (await channel.receive());
    if (guard.bytes[0] !== (i & 255)) throw new Error(`buffer ${i} is another one`);
  }
  await importer.close();
  pool.close();
}

const roles: Record<string, Role> = { barePublish, bareConsume, bridgeExport, bridgeImport };

export interface Run {
  /** From the first message to the arrival of the last. */
  seconds: number;
  /** The processor's time of the one that publishes and of the one that consumes, in seconds. */
  cpu: [number, number];
}

export async function run(first: string, last: string, round: Round): Promise<Run> {
  const folders = [first, last].map((role) => `/dev/shm/xmem-bench-${process.pid}-${role}`);
  const children = [first, last].map((role, at) => {
    const folder = folders[at] as string;
    mkdirSync(folder, { recursive: true });
    const command = [process.execPath, import.meta.path, role, JSON.stringify(round)];
    return Bun.spawn(command, {
      env: { ...process.env, XMEM_DIR: folder },
      stdio: ["pipe", "pipe", "inherit"],
    });
  });
  const [source, sink] = children as [(typeof children)[0], (typeof children)[0]];
  const readers = children.map((child) => child.stdout.getReader());
  // Each says when it is ready.
  for (const reader of readers) await reader.read();
  sink.stdin.write("go\n");
  sink.stdin.flush();
  const began = performance.now();
  source.stdin.write("go\n");
  source.stdin.flush();
  const ended = readers.map(async (reader) =>
    new TextDecoder().decode((await reader.read()).value),
  );
  await ended[1];
  const seconds = (performance.now() - began) / 1000;
  const [ofSource = Number.NaN, ofSink = Number.NaN] = (await Promise.all(ended)).map(Number);
  for (const child of children) if ((await child.exited) !== 0) throw new Error("a role failed");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  return { seconds, cpu: [ofSource / 1e6, ofSink / 1e6] };
}

export function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

async function compare(name: string, count: number, size: number, rounds: number): Promise<void> {
  const took: Record<"bare" | "bridge", number[]> = { bare: [], bridge: [] };
  for (let round = 0; round < rounds; round++) {
    for (const kind of ["bare", "bridge"] as const) {
      await using servers = await Servers.start(natsServer() ?? "");
      const nats = await servers.connect();
      const manager = await jetstreamManager(nats);
      await manager.streams.add({ name: "S", subjects: ["S.>"] });
      await manager.consumers.add("S", { durable_name: kind, ack_policy: AckPolicy.Explicit });
      // As many bytes on their way as the bridge has.
      const window = size > 100_000 ? 24 : 256;
      const options = { servers: servers.connectOptions, stream: "S", count, size, window };
      const [first, last] =
        kind === "bare" ? ["barePublish", "bareConsume"] : ["bridgeExport", "bridgeImport"];
      took[kind].push((await run(first as string, last as string, options)).seconds);
    }
  }
  const bare = median(took.bare);
  const bridge = median(took.bridge);
  const rate = (seconds: number): string => `${Math.round(count / seconds).toLocaleString("en")}/s`;
  const ratio = Math.round((100 * bare) / bridge);
  console.log(`${name}: bridge ${rate(bridge)}, bare client ${rate(bare)}: ${ratio} %`);
}

const [role, argument] = import.meta.main ? process.argv.slice(2) : ["--imported"];
if (role === undefined || role === "--brief") {
  if (!ensureNatsServer()) throw new Error("there is no nats-server, and none can be installed");
  const brief = role === "--brief";
  await compare("messages of 200 bytes", brief ? 2000 : 100_000, 200, brief ? 1 : 5);
  await compare("frames of 720p", brief ? 20 : 500, (1280 * 720 * 3) / 2, brief ? 1 : 5);
} else if (role !== "--imported") {
  const round = JSON.parse(argument ?? "") as Round;
  const nats = await connect(round.servers);
  await nats.flush();
  process.stdout.write("ready\n");
  for await (const _ of Bun.stdin.stream()) break;
  const before = process.cpuUsage();
  await (roles[role] as Role)(nats, round);
  const { user, system } = process.cpuUsage(before);
  process.stdout.write(`${user + system}\n`);
  await nats.close();
  process.exit(0);
}
