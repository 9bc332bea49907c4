// Two "machines" with a stream between them: two folders of pools, a producer, exporters, servers,
// importers, a consumer. All but the producer and the consumer are killed at random; the consumer
// checks that each buffer comes once, whole, and in order.

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type JetStreamManager, jetstreamManager, type StreamConfig } from "@nats-io/jetstream";
import { whenInterrupted } from "../../scripts/interrupted.ts";
import { BufferPool, type ChannelOptions } from "../../src/index.ts";
import type { Task } from "./program.ts";
import type { Servers } from "./servers.ts";

const program = join(import.meta.dir, "program.ts");

export interface Transfer {
  messages: number;
  size: number;
  /** Which of them are killed. */
  kill: readonly ("exporter" | "importer" | "server" | "leader")[];
  /** Milliseconds between two kills, on average. */
  pause: number;
  seed: number;
  stream?: Partial<StreamConfig>;
  import?: { ackOnRelease?: boolean };
  log?: (line: string) => void;
}

export interface Report {
  received: number;
  kills: Record<string, number>;
  seconds: number;
}

class Machine implements Disposable {
  readonly folder: string;
  readonly pool: BufferPool;
  readonly #forget: () => void;

  constructor(name: string, options: { capacity: number; bufferSize: number }) {
    this.folder = `/dev/shm/xmem-bridge-${process.pid}-${name}`;
    mkdirSync(this.folder, { recursive: true });
    this.#forget = whenInterrupted(() => rmSync(this.folder, { recursive: true, force: true }));
    this.pool = this.#within(() => BufferPool.create("pool", options));
  }

  /** What opens a pool here opens one of this machine's. */
  #within<T>(body: () => T): T {
    const before = process.env["XMEM_DIR"];
    process.env["XMEM_DIR"] = this.folder;
    try {
      return body();
    } finally {
      if (before === undefined) delete process.env["XMEM_DIR"];
      else process.env["XMEM_DIR"] = before;
    }
  }

  start(task: Task): Bun.Subprocess<"pipe", "pipe", "inherit"> {
    return Bun.spawn([process.execPath, program, JSON.stringify(task)], {
      env: { ...process.env, XMEM_DIR: this.folder },
      stdio: ["pipe", "pipe", "inherit"],
    });
  }

  [Symbol.dispose](): void {
    this.#forget();
    this.pool.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A process that is started again whenever it is killed. */
class Killed {
  readonly #begin: () => Bun.Subprocess<"pipe", "pipe", "inherit">;
  #child: Bun.Subprocess<"pipe", "pipe", "inherit">;

  constructor(begin: () => Bun.Subprocess<"pipe", "pipe", "inherit">) {
    this.#begin = begin;
    this.#child = begin();
  }

  async killAndStart(): Promise<void> {
    if (this.#child.exitCode !== null) throw new Error(`it ended with ${this.#child.exitCode}`);
    this.#child.kill("SIGKILL");
    await this.#child.exited;
    this.#child = this.#begin();
  }

  /** Its counts. */
  async end(): Promise<Record<string, unknown>> {
    this.#child.stdin.end();
    const text = await this.#child.stdout.text();
    if ((await this.#child.exited) !== 0) throw new Error(`it ended so: ${text}`);
    return JSON.parse(text.trim().split("\n").at(-1) ?? "");
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

/** A sequence of numbers from 0 to 1 that the seed repeats. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A cluster takes a while until it has a leader. */
export async function addStream(
  manager: JetStreamManager,
  config: Partial<StreamConfig> & { name: string },
): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await manager.streams.add(config);
      return;
    } catch (error) {
      if (tries === 30) throw error;
      await Bun.sleep(500);
    }
  }
}

/** Throws where a buffer is lost, comes twice, is damaged or overtaken. */
export async function transfer(servers: Servers, options: Transfer): Promise<Report> {
  const { messages, size, kill, pause, seed, log = () => {} } = options;
  const large = size > 100_000;
  const pools = { capacity: large ? 48 : 2048, bufferSize: Math.max(size, 4096) };
  using near = new Machine("near", pools);
  using far = new Machine("far", pools);
  const nats = await servers.connect();
  const manager = await jetstreamManager(nats, { timeout: 2000, checkAPI: false });
  await addStream(manager, {
    name: "TRANSFER",
    subjects: ["transfer.>"],
    num_replicas: servers.all.length,
    retention: "workqueue",
    ...options.stream,
  });
  const ofNear: ChannelOptions = {
    capacity: large ? 16 : 1024,
    redeliver: true,
    maxDeliveries: 500,
  };
  const ofFar: ChannelOptions = { capacity: large ? 16 : 1024 };
  using out = near.pool.channel("out", ofNear);
  using into = far.pool.channel("into", ofFar);
  const shared = { servers: servers.connectOptions, pool: "pool" };
  const exporter = new Killed(() =>
    near.start({
      ...shared,
      channel: "out",
      channelOptions: ofNear,
      export: { stream: "TRANSFER", subject: "transfer.one" },
    }),
  );
  const importer = new Killed(() =>
    far.start({
      ...shared,
      channel: "into",
      channelOptions: ofFar,
      import: { stream: "TRANSFER", consumer: "far", ...options.import },
    }),
  );
  const began = performance.now();
  const kills: Record<string, number> = {};
  let isOver = false;

  const produce = async (): Promise<void> => {
    let owed = 0;
    for (let sequence = 1; sequence <= messages; sequence++) {
      const guard = near.pool.tryAcquire(size) ?? (await near.pool.acquireAsync(size));
      stamp(guard.bytes, sequence);
      guard.meta.sequence = sequence;
      if (!out.trySend(guard)) await out.sendAsync(guard);
      if (sequence % 256 === 0) await Bun.sleep(0);
      // Each of them shall be killed while buffers travel, however fast they do.
      if (sequence < messages / 2 || kill.every((victim) => victim in kills)) continue;
      owed += (4 * pause * kill.length) / messages;
      if (owed < 4) continue;
      await Bun.sleep(owed);
      owed = 0;
    }
  };

  let received = 0;
  const consume = async (): Promise<void> => {
    while (received < messages) {
      using guard = into.tryReceive() ?? (await into.receive());
      const { sequence } = guard.meta;
      if (sequence !== received + 1) {
        throw new Error(
          `buffer ${sequence} came after ${received}, kills: ${JSON.stringify(kills)}`,
        );
      }
      if (guard.size !== size || !isStamped(guard.bytes, sequence)) {
        throw new Error(`buffer ${sequence} is damaged`);
      }
      received = sequence;
      if (received % 256 === 0) await Bun.sleep(0);
      if (received % Math.ceil(messages / 10) === 0) log(`${received} of ${messages}`);
    }
  };

  const forget = whenInterrupted(() => {
    exporter.kill();
    importer.kill();
  });
  const next = random(seed);
  const killing = async (): Promise<void> => {
    if (kill.length === 0) return;
    for (let round = 0; !isOver; round++) {
      await Bun.sleep(pause * (0.3 + 1.4 * next()));
      if (isOver) return;
      // First each once.
      const chosen = round < kill.length ? round : Math.floor(next() * kill.length);
      const victim = kill[chosen] as Transfer["kill"][number];
      kills[victim] = (kills[victim] ?? 0) + 1;
      if (victim === "exporter") await exporter.killAndStart();
      else if (victim === "importer") await importer.killAndStart();
      else await killServer(victim === "leader");
    }
  };
  const killServer = async (wantsLeader: boolean): Promise<void> => {
    let server = servers.all[Math.floor(next() * servers.all.length)];
    if (wantsLeader) {
      const info = await manager.streams.info("TRANSFER").catch(() => null);
      server = servers.all.find(({ name }) => name === info?.cluster?.leader) ?? server;
    }
    await server?.kill();
    await Bun.sleep(next() * 500);
    server?.start();
    // A majority of a cluster has to be there again before the next one goes.
    while (servers.all.length > 1 && !isOver) {
      const info = await manager.streams.info("TRANSFER").catch(() => null);
      const replicas = info?.cluster?.replicas ?? [];
      if (info?.cluster?.leader && replicas.every(({ current }) => current)) break;
      await Bun.sleep(100);
    }
  };

  try {
    await Promise.race([
      Promise.all([produce(), consume()]),
      killing().then(() => new Promise<never>(() => {})),
    ]);
    isOver = true;
    // What comes twice may come late.
    await Bun.sleep(500);
    const surplus = into.tryReceive();
    if (surplus !== null) throw new Error(`buffer ${surplus.meta.sequence} came once more`);
    const [sent, got] = await Promise.all([exporter.end(), importer.end()]);
    log(`exporter: ${JSON.stringify(sent)}`);
    log(`importer: ${JSON.stringify(got)}`);
    await until(() => near.pool.stats().used === 0 && far.pool.stats().used === 0);
  } finally {
    isOver = true;
    forget();
    exporter.kill();
    importer.kill();
  }
  return { received, kills, seconds: (performance.now() - began) / 1000 };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await Bun.sleep(20);
}

/** A pattern that tells the buffer, and in it each part. */
function stamp(bytes: Uint8Array, sequence: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + 8 <= bytes.length; at += stride(bytes.length)) {
    view.setUint32(at, sequence);
    view.setUint32(at + 4, at);
  }
}

function isStamped(bytes: Uint8Array, sequence: number): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + 8 <= bytes.length; at += stride(bytes.length)) {
    if (view.getUint32(at) !== sequence || view.getUint32(at + 4) !== at) return false;
  }
  return true;
}

function stride(length: number): number {
  return length > 4096 ? 4096 : 48;
}
