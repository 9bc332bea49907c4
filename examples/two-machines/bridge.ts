// One end of a bridge: `bridge.ts export frames`, on the machine that has them, and `bridge.ts import
// frames` on the other. The same two for the results, the other way round.

import { exportChannel, importChannel } from "../../src/bridge/index.ts";
import type { BufferGuard, Channel } from "../../src/index.ts";
import { connectToServer, openPool, passed } from "./machine.ts";

const [direction, name = ""] = process.argv.slice(2);
const channel = openPool().channel(name);
if (name === "frames") time(channel);
const nats = await connectToServer();
const stream = name.toUpperCase();
const bridge =
  direction === "export"
    ? exportChannel(channel, nats, { stream, subject: name })
    : importChannel(nats, { stream, consumer: "other-machine" }, channel);
process.on("SIGTERM", () => void bridge.close());
await bridge.done;
await nats.close();

/** A stop watch at the channel. The bridge itself needs nothing of this. */
function time(channel: Channel): void {
  const { tryReceive, receive, trySend } = channel;
  const exported = <Guard extends BufferGuard | null>(frame: Guard): Guard => {
    if (frame !== null) passed("exported", frame.meta.sequence);
    return frame;
  };
  channel.tryReceive = () => exported(tryReceive.call(channel));
  channel.receive = async (options) => exported(await receive.call(channel, options));
  channel.trySend = (frame) => {
    passed("imported", frame.meta.sequence);
    return trySend.call(channel, frame);
  };
}
