// `xmem serve` as a shell runs it, and the streams of its pages.

import { join } from "node:path";
import { Lines } from "../lines.ts";

const first = join(import.meta.dir, "../../src/command/xmem.js");

/** A sample of a pool or of the folder, as far as tests read it. */
export interface Shown {
  name: string;
  problem: string;
  stats?: { used: number; capacity: number; queued: number; inFlight: number };
  participants: { number: number; name: string; pid: number; alive: boolean; holds: number }[];
  channels: { name: string; queued: number }[];
  map: { per: number; states: string; holders: number[]; fill?: string } | null;
  history?: [number, number, number][];
  pools: { name: string; used?: number; problem?: string }[];
}

export class Serving implements AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly token: string;
  readonly #child: Bun.Subprocess;

  private constructor(child: Bun.Subprocess, said: { url: string; port: number; token: string }) {
    this.#child = child;
    this.url = said.url;
    this.port = said.port;
    this.token = said.token;
  }

  static async start(...given: string[]): Promise<Serving> {
    const often = given.includes("--interval") ? [] : ["--interval", "40"];
    const command = [process.execPath, first, "serve", "--json", ...often, ...given];
    const child = Bun.spawn(command, {
      env: process.env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const line = await new Lines(child.stdout).next();
    if (line === null) throw new Error(`xmem serve ended with ${await child.exited}`);
    return new Serving(child, JSON.parse(line));
  }

  /** Ends it by a signal, and returns the exit code. */
  async end(signal: NodeJS.Signals): Promise<number> {
    this.#child.kill(signal);
    return await this.#child.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}

/** What a stream says; null once the server has said that it has ended. */
export async function* events(url: string, pool?: string): AsyncGenerator<Shown | null> {
  const query = pool === undefined ? "" : `?pool=${encodeURIComponent(pool)}`;
  const leaving = new AbortController();
  const { body } = await fetch(`${url}events${query}`, { signal: leaving.signal });
  if (body === null) throw new Error("the stream has no body");
  const lines = new Lines(body);
  try {
    while (true) {
      const line = await lines.next();
      if (line === null) return;
      if (line === "event: end") yield null;
      if (line.startsWith("data: {")) yield JSON.parse(line.slice("data: ".length)) as Shown;
    }
  } finally {
    leaving.abort();
  }
}

/** The first sample that is so. */
export async function shown(
  url: string,
  pool: string | undefined,
  is: (sample: Shown) => boolean,
): Promise<Shown> {
  for await (const sample of events(url, pool)) {
    if (sample !== null && is(sample)) return sample;
  }
  throw new Error("the stream ended before it");
}
