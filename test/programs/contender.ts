// A process that takes the one buffer of a pool again and again, and says at its end how often it had
// it and for how long it waited. Arguments: pool, how it acquires, milliseconds that it holds the
// buffer, milliseconds that it goes on.

import { BufferPool, XmemError } from "../../src/index.ts";
import { heard, say } from "./script.ts";

type Guard = ReturnType<BufferPool["acquire"]>;

const [name = "", kind = "", hold = "1", duration = "1000"] = process.argv.slice(2);
const pool = BufferPool.open(name, { participantName: kind });

/** Tries again and again without a wait, so that it never waits for its turn. */
function grab(): Guard {
  for (;;) {
    try {
      return pool.acquire(1);
    } catch (error) {
      if (!(error instanceof XmemError) || error.code !== "POOL_FULL") throw error;
    }
  }
}

const ways: Record<string, () => Guard | Promise<Guard>> = {
  grab,
  blocking: () => pool.acquireBlocking(1, { timeout: 60_000 }),
  async: () => pool.acquireAsync(1, { timeout: 60_000 }),
};
const acquire = ways[kind];
if (acquire === undefined) throw new Error(`no such way to acquire: ${kind}`);

say("ready");
await heard();
let turns = 0;
let longest = 0;
const end = performance.now() + Number(duration);
while (performance.now() < end) {
  const asked = performance.now();
  const guard = await acquire();
  const served = performance.now();
  turns++;
  longest = Math.max(longest, served - asked);
  while (performance.now() < served + Number(hold));
  guard.release();
}
pool.close();
say({ kind, turns, longest });
process.exit(0);
