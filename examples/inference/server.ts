// An HTTP server whose answers are computed by a pool of Python processes. An image goes from the
// request's body into a buffer of the pool, and a worker computes on it where it lies.
//
//   PORT=8080 WORKERS=2 CAPACITY=8 PYTHON=python3 bun examples/inference/server.ts

import { availableParallelism } from "node:os";
import { BufferPool, XmemError } from "../../src/index.ts";
import { BadImage, receiveImage } from "./ppm.ts";
import { Workers } from "./workers.ts";

const number = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise);

/** Images that are in work or wait for it, at most: one more is told to come again. */
const capacity = number("CAPACITY", 8);
const pool = BufferPool.create(`inference-${process.pid}`, {
  capacity,
  bufferSize: 16 * 1024 * 1024,
  ephemeral: true,
  participantName: "server",
});
// Never full: each image that waits has a buffer.
const jobs = pool.channel("jobs", { capacity });
const workers = new Workers(pool.name, number("WORKERS", availableParallelism()));

const labels = ["dark", "bright", "busy", "red", "blue"];

async function classify(request: Request): Promise<Response> {
  const passes = Number(new URL(request.url).searchParams.get("passes") ?? 1);
  if (!(Number.isInteger(passes) && passes >= 1 && passes <= 10_000)) {
    throw new BadImage(400, "passes is a whole number from 1 to 10000");
  }
  const image = await receiveImage(request, pool);
  image.meta.sequence = passes;
  // The image is the worker's from here on, and its buffer comes back with the answer in it.
  using reply = await jobs.request(image, { timeout: 60_000, signal: request.signal });
  const [red = 0, green = 0, blue = 0, ...scores] = reply.view("float32");
  const best = scores.indexOf(Math.max(...scores));
  return Response.json({ label: labels[best], scores, mean: [red, green, blue] });
}

/** What a client is told, by the code of what happened. */
const statuses: Record<string, number> = {
  POOL_FULL: 503, // Every buffer is in use.
  PEER_DIED: 503, // The worker that had the image was killed. Others go on.
  CHANNEL_CLOSED: 503, // The server ends.
  RELEASED: 500, // The worker failed with this image.
  TIMEOUT: 504,
};

function failed(request: Request, error: unknown): Response {
  // Nobody reads it.
  if (request.signal.aborted) return new Response(null, { status: 499 });
  if (error instanceof BadImage) return new Response(error.message, { status: error.status });
  const status = error instanceof XmemError ? statuses[error.code] : undefined;
  if (status === undefined) throw error;
  const headers = status === 503 ? { "Retry-After": "1" } : undefined;
  const { code } = error as XmemError;
  return Response.json({ error: code }, { status, ...(headers && { headers }) });
}

const server = Bun.serve({
  port: number("PORT", 8080),
  idleTimeout: 120,
  routes: {
    "/classify": { POST: (request) => classify(request).catch((error) => failed(request, error)) },
    "/stats": { GET: () => Response.json(pool.stats()) },
  },
});
console.log(`listening on ${server.url}`);

async function end(): Promise<void> {
  workers.end();
  await server.stop();
  // Workers answer what is left, and end.
  jobs.close();
  await workers.ended;
  pool.close();
}

process.once("SIGTERM", end);
process.once("SIGINT", end);
