// The server behind the page: its files, and the streams of what pools look like.

import type { LookOptions } from "../../index.ts";
import { Feed, type Subject } from "./feed.ts";
import { admitted, headers, plain } from "./gate.ts";
import { files } from "./page/files.ts";
import { cellsMost } from "./slot_map.ts";
import { streamed } from "./stream.ts";
import { FolderSubject, PoolSubject } from "./subjects.ts";

export interface ServerOptions {
  port: number;
  token: string;
  interval: number;
  look: LookOptions;
}

/** Feeds that nobody looks at keep the last minutes of so many pools. */
const feedsMost = 64;

export class PageServer implements Disposable {
  readonly #options: ServerOptions;
  readonly #folder: Feed<FolderSubject>;
  readonly #pools = new Map<string, Feed<PoolSubject>>();
  readonly #server: Bun.Server<undefined>;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#folder = new Feed(new FolderSubject(options.look), options.interval);
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: options.port,
      development: false,
      // Without this, and outside development, Bun shares a port that another program listens on.
      reusePort: false,
      fetch: (request) => this.#answer(request),
      error: () => plain(500, "This failed."),
    });
  }

  get port(): number {
    return this.#server.port ?? 0;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/${this.#options.token}/`;
  }

  /** Ends each stream with a word that it has ended, so that no page tries to come back. */
  async close(): Promise<void> {
    for (const feed of [this.#folder, ...this.#pools.values()]) feed.end();
    await Bun.sleep(0);
    await this.#server.stop();
  }

  [Symbol.dispose](): void {
    void this.#server.stop(true);
  }

  #answer(request: Request): Response {
    const url = admitted(request, this.#options.token);
    if (url instanceof Response) return url;
    const path = url.pathname.slice(1);
    const pool = url.searchParams.get("pool");
    if (path === "events") return this.#stream(request, this.#feed(pool));
    if (path === "slots" && pool !== null) {
      return this.#slots(pool, url.searchParams.get("cell") ?? "");
    }
    const file = Object.hasOwn(files, path) ? files[path] : undefined;
    if (file === undefined) return plain(404, "There is nothing of that name.");
    return new Response(file.text, { headers: { ...headers, "Content-Type": file.type } });
  }

  #feed(pool: string | null): Feed<Subject> {
    if (pool === null) return this.#folder;
    const known = this.#pools.get(pool);
    if (known !== undefined) return known;
    for (const [name, { viewers }] of this.#pools) {
      if (this.#pools.size < feedsMost) break;
      if (viewers === 0) this.#pools.delete(name);
    }
    const { look, interval } = this.#options;
    const feed = new Feed(new PoolSubject(pool, look), interval);
    this.#pools.set(pool, feed);
    return feed;
  }

  /** What is behind a cell of the map, by the last look at a pool that somebody looks at. */
  #slots(pool: string, cell: string): Response {
    if (!/^\d{1,4}$/.test(cell)) return plain(400, `A cell is a number below ${cellsMost}.`);
    const details = this.#pools.get(pool)?.subject.details(Number(cell)) ?? null;
    if (details === null) return plain(404, "Nobody looks at a pool of that name.");
    return new Response(JSON.stringify(details), {
      headers: { ...headers, "Content-Type": "application/json" },
    });
  }

  #stream(request: Request, feed: Feed<Subject>): Response {
    // The time between two looks may be longer than an idle connection lasts.
    this.#server.timeout(request, 0);
    return streamed(request, feed.join());
  }
}
