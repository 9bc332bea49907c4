// A process that waits for the one buffer of a pool, again and again, until the tally says stop.
// Arguments: pool, path of the tally, its place, how it waits, a seed.

import { BufferPool, XmemError } from "../../src/index.ts";
import { Random } from "../soak/random.ts";
import { Tally, type WaiterKind, waiterKinds } from "../wait_tally.ts";

const [name = "", path = "", place = "0", kindName = "", seed = "1"] = process.argv.slice(2);
const kind = kindName as WaiterKind;
if (!waiterKinds.includes(kind)) throw new Error(`no such kind of waiter: ${kindName}`);
const tally = new Tally(path);
const own = tally.of(Number(place));
const random = new Random(Number(seed));
const pool = BufferPool.open(name, { participantName: `${kind} waiter ${place}` });
/** Longer than any run: a wait that reaches it means that a released buffer was lost. */
const patienceMs = 120_000;
const timeout = (): number => (kind.startsWith("patient") ? patienceMs : random.below(70));

type Guard = ReturnType<BufferPool["acquire"]>;

function served(guard: Guard): void {
  own.serve(tally.take(Number(place)));
  Bun.sleepSync(random.below(6));
  tally.letGo();
  guard.release();
}

function failed(error: unknown, signal?: AbortSignal): void {
  if (error instanceof XmemError && error.code === "TIMEOUT") own.timedOut++;
  else if (signal !== undefined && error === signal.reason) own.aborted++;
  else throw error;
}

function waitBlocking(): void {
  own.asked++;
  let guard: Guard | null = null;
  try {
    guard = pool.acquireBlocking(1, { timeout: timeout() });
  } catch (error) {
    failed(error);
  }
  if (guard !== null) served(guard);
}

async function waitAsync(): Promise<void> {
  const controller = new AbortController();
  const { signal } = controller;
  const aborts = kind === "hasty async" && random.chance(0.5);
  const timer = aborts ? setTimeout(() => controller.abort("enough"), random.below(70)) : undefined;
  own.asked++;
  let guard: Guard | null = null;
  try {
    guard = await pool.acquireAsync(1, { timeout: timeout(), signal });
  } catch (error) {
    failed(error, signal);
  }
  clearTimeout(timer);
  if (guard !== null) served(guard);
}

async function loop(wait: () => void | Promise<void>): Promise<void> {
  while (!tally.stopped) {
    await wait();
    await Bun.sleep(random.below(3));
  }
}

const blocking = kind.endsWith("blocking");
await Promise.all(blocking ? [loop(waitBlocking)] : [loop(waitAsync), loop(waitAsync)]);
pool.close();
