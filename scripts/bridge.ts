// Sends buffers from one "machine" to another through real servers, while exporters, importers and
// servers are killed at random: none may be lost, come twice or be overtaken. CI runs it shortened;
// docs/bridge.md has the result of the whole.
//
//   bun scripts/bridge.ts [--messages N] [--frames N] [--cluster N] [--seed S]

import { parseArgs } from "node:util";
import { type Report, type Transfer, transfer } from "../test/bridge/machines.ts";
import { Servers } from "../test/bridge/servers.ts";
import { ensureNatsServer, natsServer } from "./nats_server.ts";
import { setup } from "./setup.ts";

export interface Amounts {
  /** Messages of 200 bytes. */
  messages: number;
  /** Frames of 720p. */
  frames: number;
  /** Messages through a cluster of three, whose leader is killed. */
  cluster: number;
  seed: number;
}

const frameBytes = (1280 * 720 * 3) / 2;

/** Throws where something was lost, doubled, damaged or overtaken. */
export async function carry({ messages, frames, cluster, seed }: Amounts): Promise<void> {
  if (!ensureNatsServer()) throw new Error("there is no nats-server, and none can be installed");
  const program = natsServer() ?? "";
  const everybody = ["exporter", "importer", "server"] as const;
  const runs: [string, 1 | 3, Omit<Transfer, "seed" | "log">][] = [
    ["messages of 200 bytes", 1, { messages, size: 200, kill: everybody, pause: 700 }],
    [
      "frames of 720p",
      1,
      {
        messages: frames,
        size: frameBytes,
        kill: everybody,
        pause: 900,
        stream: { max_bytes: 64 * 1024 * 1024, discard: "new" },
        import: { ackOnRelease: true },
      },
    ],
    [
      "messages of 200 bytes through a cluster of three",
      3,
      { messages: cluster, size: 200, kill: ["leader", "exporter", "importer"], pause: 1500 },
    ],
  ];
  for (const [name, servers, options] of runs) {
    if (options.messages === 0) continue;
    await using started = await Servers.start(program, servers);
    const log = (line: string): void => console.log(`  ${line}`);
    console.log(`${options.messages} ${name}, seed ${seed}`);
    const report: Report = await transfer(started, { ...options, seed, log });
    console.log(`ok: ${JSON.stringify(report)}`);
  }
}

if (import.meta.main) {
  setup();
  const { values } = parseArgs({
    options: {
      messages: { type: "string", default: "1000000" },
      frames: { type: "string", default: "10000" },
      cluster: { type: "string", default: "100000" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
    },
  });
  const amounts = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, Number(value)]),
  );
  await carry(amounts as unknown as Amounts);
}
