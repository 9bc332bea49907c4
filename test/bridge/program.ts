// An exporter or an importer in a process of its own, which a test kills: its first argument is what
// it is to do. It prints its counts when its input ends, and ends.

import { connect } from "@nats-io/transport-node";
import {
  type Exporter,
  exportChannel,
  type Importer,
  importChannel,
} from "../../src/bridge/index.ts";
import { BufferPool, type ChannelOptions } from "../../src/index.ts";

export interface Task {
  servers: Parameters<typeof connect>[0];
  pool: string;
  channel: string;
  /** As the channel was made. */
  channelOptions?: ChannelOptions;
  export?: Parameters<typeof exportChannel>[2];
  import?: Parameters<typeof importChannel>[1];
}

if (import.meta.main) {
  const task = JSON.parse(process.argv[2] ?? "") as Task;
  const nats = await connect(task.servers);
  const pool = BufferPool.open(task.pool);
  const channel = pool.channel(task.channel, task.channelOptions);
  let bridge: Exporter | Importer | undefined;
  if (task.export !== undefined) bridge = exportChannel(channel, nats, task.export);
  if (task.import !== undefined) bridge = importChannel(nats, task.import, channel);
  if (bridge === undefined) throw new Error("nothing to do");
  if (process.env["XMEM_BRIDGE_LOG"]) {
    bridge.on((event) => console.error(process.pid, task.export ? "export" : "import", event));
  }
  console.log("started");
  const ended = bridge.done.catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
  for await (const _ of Bun.stdin.stream());
  await bridge.close();
  await ended;
  console.log(JSON.stringify(bridge.stats()));
  await nats.close();
  pool.close();
}
