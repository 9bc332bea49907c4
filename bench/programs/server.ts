// A whole application: an HTTP server whose worker processes do the work. A request's body is a picture
// of 1 MiB; a worker changes every word of it, and the response has the result. Arguments: by what
// bodies travel to the workers ("xmem", "ipc", or "alone", where the server works by itself), and how
// many requests. Not by tinybench: a run is one figure, and its processor and memory count as well.

import { BufferPool } from "../../src/index.ts";
import { answer } from "../suite/loop.ts";
import { add, check, fill } from "./frames.ts";
import { type Usage, usage } from "./usage.ts";

const [by = "", text = "0", role = "server", name = ""] = process.argv.slice(2);
const requests = Number(text);
const size = 2 ** 20;
const workers = 2;
const atOnce = 8;
const passes = 8;

/** Some tenths of a millisecond of work. */
function work(bytes: Uint8Array): void {
  for (let pass = 0; pass < passes; pass++) add(bytes, 1);
}

type Handle = (body: Uint8Array) => Promise<Uint8Array | Response>;

interface Workers {
  handle: Handle;
  children: Bun.Subprocess[];
  end: () => void;
}

function spawn(ipc?: (message: unknown, child: Bun.Subprocess) => void): Bun.Subprocess {
  return Bun.spawn([process.execPath, import.meta.path, by, text, "worker", name || poolName], {
    stdio: ["ignore", "inherit", "inherit"],
    ...(ipc === undefined ? {} : { serialization: "advanced", ipc }),
  });
}

const poolName = `bench.server.${process.pid}`;

async function byXmem(): Promise<Workers> {
  const pool = BufferPool.create(poolName, {
    ...{ capacity: 4 * atOnce, bufferSize: size, ephemeral: true },
  });
  const jobs = pool.channel("jobs");
  const children = Array.from({ length: workers }, () => spawn());
  while (jobs.stats().openBy < workers + 1) await Bun.sleep(1);
  return {
    children,
    handle: async (body) => {
      const guard = await pool.acquireAsync(body.length);
      guard.bytes.set(body);
      using reply = await jobs.request(guard);
      return new Response(reply.bytes);
    },
    end: () => {
      jobs.close();
      pool.close();
    },
  };
}

async function workByXmem(): Promise<void> {
  using pool = BufferPool.open(name);
  for await (using request of pool.channel("jobs").requests()) {
    work(request.guard.bytes);
    request.reply(request.guard);
  }
}

interface Job {
  id: number;
  bytes: Uint8Array;
}

async function byIpc(): Promise<Workers> {
  const waiting = new Map<number, (bytes: Uint8Array) => void>();
  const ready = Promise.withResolvers<void>();
  let arrived = 0;
  let id = 0;
  const children = Array.from({ length: workers }, () =>
    spawn((message) => {
      if (message === "ready") {
        if (++arrived === workers) ready.resolve();
        return;
      }
      const { id: of, bytes } = message as Job;
      waiting.get(of)?.(bytes);
      waiting.delete(of);
    }),
  );
  await ready.promise;
  return {
    children,
    handle: (bytes) =>
      new Promise((resolve) => {
        id++;
        waiting.set(id, resolve);
        children[id % workers]?.send({ id, bytes });
      }),
    end: () => {
      for (const child of children) child.disconnect();
    },
  };
}

function workByIpc(): void {
  process.on("message", ({ id, bytes }: Job) => {
    work(bytes);
    process.send?.({ id, bytes });
  });
  process.on("disconnect", () => process.exit(0));
  process.send?.("ready");
}

function alone(): Workers {
  return {
    children: [],
    handle: async (body) => {
      work(body);
      return body;
    },
    end: () => {},
  };
}

/** The clients are a process of their own, which does not count. */
async function request(url: string): Promise<void> {
  const body = new Uint8Array(size);
  fill(body, 3);
  let sent = 0;
  const client = async (): Promise<void> => {
    while (sent++ < requests) {
      const response = await fetch(url, { method: "POST", body });
      check(new Uint8Array(await response.arrayBuffer()), 3 + passes);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, client));
}

async function serve(): Promise<Usage> {
  const { handle, children, end } =
    by === "xmem" ? await byXmem() : by === "ipc" ? await byIpc() : alone();
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async (incoming) => {
      const result = await handle(new Uint8Array(await incoming.arrayBuffer()));
      return result instanceof Response ? result : new Response(result as Uint8Array<ArrayBuffer>);
    },
  });
  const argv = [by, text, "client", String(server.url)];
  const client = Bun.spawn([process.execPath, import.meta.path, ...argv], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const seconds = Number(await client.stdout.text());
  await client.exited;
  await server.stop(true);
  end();
  await Promise.all(children.map(({ exited }) => exited));
  return usage(seconds, children);
}

if (role === "client") {
  const start = Bun.nanoseconds();
  await request(name);
  console.log((Bun.nanoseconds() - start) / 1e9);
  process.exit(0);
} else if (role === "worker") {
  if (by === "xmem") await workByXmem();
  else workByIpc();
} else {
  answer({ ...(await serve()) });
}
