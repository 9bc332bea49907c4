// Stores for tests: a directory of the test's own, and a bucket of a real S3 server, which may stand
// behind a proxy that fails.

import { afterAll, beforeAll } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Gateway, s3Server } from "../../scripts/s3_server.ts";
import { BufferPool, XmemError } from "../../src/index.ts";
import {
  directoryStore,
  type ParkingStore,
  type S3StoreOptions,
  s3Store,
} from "../../src/park/index.ts";

let made = 0;

export function newPool(options: { capacity?: number; bufferSize?: number } = {}): BufferPool {
  const name = `park.${process.pid}.${++made}`;
  const pool = { capacity: 32, bufferSize: 1 << 20, ...options };
  return BufferPool.create(name, { ...pool, ephemeral: true });
}

export const s3: string | null = s3Server();
let gateway: Gateway | undefined;
export const folder: string = mkdtempSync(join(tmpdir(), "xmem-park-"));

/** The server, as long as a file's tests run. */
export function withGateway(): void {
  beforeAll(async () => {
    if (s3 !== null) gateway = await Gateway.start(s3);
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await gateway?.[Symbol.asyncDispose]();
  });
  if (s3 !== null) return;
  const installs = "`bun scripts/s3_server.ts` installs it";
  console.log(`left out, for want of an S3 server: the tests of xmem/park with S3; ${installs}`);
}

export function theGateway(): Gateway {
  if (gateway === undefined) throw new Error("there is no S3 server");
  return gateway;
}

export function newFolder(): string {
  return join(folder, `${++made}`);
}

/** In the server's bucket, with a prefix of its own. */
export function bucketStore(options: S3StoreOptions = {}): ParkingStore {
  const { env } = theGateway();
  return s3Store({
    endpoint: env["S3_ENDPOINT"] ?? "",
    bucket: env["S3_BUCKET"] ?? "",
    accessKeyId: env["S3_ACCESS_KEY_ID"] ?? "",
    secretAccessKey: env["S3_SECRET_ACCESS_KEY"] ?? "",
    region: "us-east-1",
    prefix: `${++made}/`,
    ...options,
  });
}

/** The source of a store, for another process. */
export function sourceOf(where: string): { store: string; env: Record<string, string> } {
  if (where === "S3") return { store: "s3Store()", env: { ...theGateway().env } };
  return { store: `directoryStore(${JSON.stringify(newFolder())})`, env: {} };
}

/** Each kind of store that can be tested here. */
export const stores: Record<string, () => ParkingStore> = {
  "a directory": () => directoryStore(newFolder()),
  ...(s3 !== null && { S3: () => bucketStore() }),
};

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await failureOf(promise);
  return error instanceof XmemError ? error.code : String(error);
}

export function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => null,
    (reason: unknown) => reason,
  );
}

export type Fault = "none" | "hangs" | "says 503" | "cuts off";

/** Passes connections on to the server, or fails in the way that it was told. */
export class FaultyProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  #fault: Fault = "none";
  connections = 0;

  static async start(): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(new URL(theGateway().env["S3_ENDPOINT"] ?? ""));
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  private constructor({ hostname, port }: URL) {
    this.#server = createServer((near) => {
      this.connections += 1;
      this.#open.add(near);
      near.on("error", () => {});
      near.on("close", () => this.#open.delete(near));
      if (this.#fault === "hangs") return;
      if (this.#fault === "says 503") {
        const body = "<Error><Code>SlowDown</Code><Message>slow down</Message></Error>";
        const head = `HTTP/1.1 503 Slow Down\r\nContent-Length: ${body.length}`;
        near.once("data", () => near.end(`${head}\r\nConnection: close\r\n\r\n${body}`));
        return;
      }
      const far = connect(Number(port), hostname);
      far.on("error", () => near.destroy());
      near.on("close", () => far.destroy());
      far.on("close", () => near.destroy());
      if (this.#fault === "none") {
        near.pipe(far);
        far.pipe(near);
        return;
      }
      let left = 3000;
      const pass = (to: Socket) => (data: Buffer) => {
        to.write(data.subarray(0, left));
        left -= data.length;
        if (left < 0) near.destroy();
      };
      near.on("data", pass(far));
      far.on("data", pass(near));
    });
  }

  get url(): string {
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
  }

  /** From now on, also for connections that are open. */
  become(fault: Fault): void {
    this.#fault = fault;
    for (const socket of this.#open) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
