// A producer or a consumer of a flood. Arguments: pool, account, role, place. It ends with code 0 when
// all is sent, or when the channel is closed and drained; a fault ends it with another one.

import { type BufferGuard, BufferPool, type Channel, XmemError } from "../../src/index.ts";
import { Account, handful, producers } from "./account.ts";

const [name = "", path = "", role = "", place = "0"] = process.argv.slice(2);
const account = new Account(path);

function produce(pool: BufferPool, channel: Channel, producer: number): void {
  for (let message = account.begin(producer); message !== null; message = account.begin(producer)) {
    const guard = pool.acquireBlocking(16, { timeout: 60_000 });
    const words = guard.view("uint32");
    words[0] = message;
    words[1] = ~message;
    channel.sendBlocking(guard, { timeout: 60_000 });
    account.end(producer);
  }
}

function consume(channel: Channel): void {
  /** Per producer, the last message that came for the first time. */
  const last = new Int32Array(producers).fill(-1);
  const held: [message: number, guard: BufferGuard][] = [];
  const finish = (): void => {
    const [message, guard] = held.shift() ?? [];
    if (message === undefined) return;
    account.finish(message);
    guard?.release();
  };
  for (;;) {
    let guard: BufferGuard;
    try {
      guard = channel.receiveBlocking({ timeout: 60_000 });
    } catch (error) {
      while (held.length > 0) finish();
      throw error;
    }
    const [message = 0, inverse = 0] = guard.view("uint32");
    if (inverse !== ~message >>> 0) throw new Error(`message ${message} is torn`);
    const times = account.receive(message);
    const { deliveries } = guard;
    if (times > Math.max(deliveries, 1))
      throw new Error(`message ${message} is received for the ${times}th time, says ${deliveries}`);
    const producer = Math.floor(message / account.perProducer);
    if (deliveries < 2) {
      const before = last[producer] ?? -1;
      // What a dead receiver had taken, and nobody had received, is older than what came since.
      if (message <= before && !channel.redeliver)
        throw new Error(`message ${message} comes after ${before}`);
      last[producer] = Math.max(before, message);
    }
    held.push([message, guard]);
    if (held.length > handful) finish();
  }
}

using pool = BufferPool.open(name);
using channel = pool.channel("flood");
try {
  if (role === "producer") produce(pool, channel, Number(place));
  else consume(channel);
} catch (error) {
  if (!(error instanceof XmemError && error.code === "CHANNEL_CLOSED")) throw error;
}
