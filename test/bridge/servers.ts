// Real servers of NATS for tests: each with a folder and credentials of its own, on loopback, alone or
// three in a cluster. Where the program is not installed, tests say so and are left out; CI installs it.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect, type NatsConnection } from "@nats-io/transport-node";
import { whenInterrupted } from "../../scripts/interrupted.ts";
import { natsServer } from "../../scripts/nats_server.ts";
import { untilStopped } from "../scripts.ts";

/** The program, or null where it is not there; then the reason is printed, once. */
export function serverProgram(): string | null {
  const program = natsServer();
  if (program === null && !wasSaid) {
    wasSaid = true;
    console.log(
      "left out, for want of nats-server: the tests of xmem/bridge; `bun scripts/nats_server.ts` installs it",
    );
  }
  return program;
}

let wasSaid = false;

/** Ports that nobody listens on just now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => {
          server.listen(0, "127.0.0.1", () => {
            const address = server.address();
            resolve(typeof address === "object" && address !== null ? address.port : 0);
          });
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

export class NatsServer {
  readonly name: string;
  readonly port: number;
  readonly #folder: string;
  readonly #config: string;
  readonly #program: string;
  #child: Bun.Subprocess | undefined;
  readonly #forget: () => void;

  constructor(
    program: string,
    { name, port, config, domain }: { name: string; port: number; config: string; domain?: string },
  ) {
    this.name = name;
    this.port = port;
    this.#program = program;
    this.#folder = mkdtempSync(join(tmpdir(), "xmem-nats-"));
    this.#config = join(this.#folder, "server.conf");
    const store = join(this.#folder, "store");
    const of = domain === undefined ? "" : `, domain: ${domain}`;
    const own = `server_name: ${name}\nlisten: 127.0.0.1:${port}\njetstream { store_dir: "${store}"${of} }\n`;
    writeFileSync(this.#config, own + config, { mode: 0o600 });
    this.#forget = whenInterrupted(() => {
      this.#child?.kill("SIGKILL");
      rmSync(this.#folder, { recursive: true, force: true });
    });
  }

  start(): void {
    const log = join(this.#folder, "log");
    this.#child = Bun.spawn([this.#program, "-c", this.#config, "-l", log], {
      stdio: ["ignore", "ignore", "ignore"],
    });
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get log(): string {
    return join(this.#folder, "log");
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null;
  }

  /** SIGKILL, by its own id. */
  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#child?.exited;
    this.#child = undefined;
  }

  /** SIGSTOP. Resolves once it stands still: until then it may store what it is sent. */
  async stop(): Promise<void> {
    if (this.#child === undefined) throw new Error(`server ${this.name} does not run`);
    this.#child.kill("SIGSTOP");
    await untilStopped(this.#child.pid);
  }

  /** SIGCONT. */
  goOn(): void {
    this.#child?.kill("SIGCONT");
  }

  async remove(): Promise<void> {
    this.#forget();
    await this.kill();
    if (existsSync(this.#folder)) rmSync(this.#folder, { recursive: true, force: true });
  }
}

export class Servers implements AsyncDisposable {
  readonly all: NatsServer[];
  readonly login: { user: string; pass: string };
  readonly #connections: NatsConnection[] = [];

  /** One, or three in a cluster. `extra` is added to each configuration. */
  static async start(program: string, count: 1 | 3 = 1, extra = ""): Promise<Servers> {
    const servers = new Servers(program, await freePorts(count * 2), extra);
    for (const server of servers.all) server.start();
    const nats = await servers.connect({ waitOnFirstConnect: true });
    await nats.flush();
    return servers;
  }

  private constructor(program: string, ports: number[], extra: string) {
    const secret = (): string => crypto.randomUUID().replaceAll("-", "");
    this.login = { user: `u${secret()}`, pass: secret() };
    const { user, pass } = this.login;
    const count = ports.length / 2;
    const cluster = { user: `c${secret()}`, pass: secret() };
    const routes = ports
      .slice(count)
      .map((port) => `nats-route://${cluster.user}:${cluster.pass}@127.0.0.1:${port}`);
    this.all = Array.from({ length: count }, (_, at) => {
      const join =
        count === 1
          ? ""
          : `cluster { name: c, listen: 127.0.0.1:${ports[count + at]}, routes: [${routes.join(", ")}]
              authorization { user: ${cluster.user}, password: ${cluster.pass} } }\n`;
      const config = `authorization { user: ${user}, password: ${pass} }\n${join}${extra}\n`;
      return new NatsServer(program, { name: `s${at}`, port: ports[at] ?? 0, config });
    });
  }

  get addresses(): string[] {
    return this.all.map(({ port }) => `127.0.0.1:${port}`);
  }

  /** Closed with the servers. */
  async connect(options: ConnectionOptions = {}): Promise<NatsConnection> {
    const nats = await connect({ ...this.connectOptions, ...options });
    this.#connections.push(nats);
    return nats;
  }

  /** What a child process needs to connect. */
  get connectOptions(): ConnectionOptions {
    return {
      servers: this.addresses,
      ...this.login,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
      waitOnFirstConnect: true,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const nats of this.#connections) await nats.close();
    for (const server of this.all) await server.remove();
  }
}
