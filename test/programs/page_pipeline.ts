// A stage of a pipeline for the page of `xmem serve`: a camera, encoders that keep some frames, and an
// archive. Called with the pool, the stage and its name.

import { type BufferGuard, BufferPool } from "../../src/index.ts";

const [poolName = "", stage = "", participantName = stage] = process.argv.slice(2);
const options = { capacity: 96, bufferSize: 2 ** 20, leaseTimeout: 3000, participantName };
const pool = BufferPool.openOrCreate(poolName, options);
const frames = pool.channel("frames", { capacity: 20 });
const packets = pool.channel("packets", { capacity: 12 });

/** Slow and quick times, so that there is something to see. */
function pace(): number {
  return 5 + 4 * Math.sin(Date.now() / 9000) + 2 * Math.sin(Date.now() / 2100);
}

async function film(): Promise<never> {
  for (let sequence = 1; ; sequence++) {
    const frame = await pool.acquireAsync(150_000 + 1000 * (sequence % 60));
    frame.meta.contentType = "image/raw";
    frame.meta.producer = participantName;
    frame.meta.sequence = sequence;
    // Now and then nobody takes one.
    if (sequence % 150 === 0) frame.handOff();
    else await frames.sendAsync(frame);
    await Bun.sleep(pace());
  }
}

async function encode(): Promise<void> {
  const kept: BufferGuard[] = [];
  for await (const frame of frames) {
    kept.push(frame);
    await Bun.sleep(6);
    while (kept.length > 9 + 7 * Math.sin(Date.now() / 5000)) {
      const packet = kept.shift();
      if (packet === undefined) break;
      if (packet.index % 3 > 0) packet.release();
      else await packets.sendAsync(packet);
    }
  }
}

async function archive(): Promise<void> {
  const batch: BufferGuard[] = [];
  for await (const packet of packets) {
    batch.push(packet);
    if (batch.length < 6) continue;
    await Bun.sleep(40);
    for (const each of batch.splice(0)) each.release();
  }
}

const stages: Record<string, () => Promise<void>> = { camera: film, encoder: encode, archive };
console.log("ready");
await stages[stage]?.();
