// The processor's time that a buffer takes in each process on its way from one pool to another: the
// exporter and its producer, the servers, the importer and its consumer. It says how much one core of
// each carries, and so which of them is full first. docs/scale.md has the result.
//
//   bun bench/hops.ts [--brief]

import { readFileSync } from "node:fs";
import { jetstreamManager, StorageType } from "@nats-io/jetstream";
import Table from "cli-table3";
import { ensureNatsServer, natsServer } from "../scripts/nats_server.ts";
import { addStream } from "../test/bridge/machines.ts";
import { Servers } from "../test/bridge/servers.ts";
import { median, run } from "./bridge.ts";

/** Clock ticks of /proc on Linux are hundredths of a second, whatever the kernel's own. */
function cpuOf(pid: number | undefined): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const [user, system] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13)
    .map(Number);
  return ((user ?? 0) + (system ?? 0)) / 100;
}

interface Way {
  name: string;
  size: number;
  count: number;
  servers: 1 | 3;
  storage: StorageType;
}

/** Microseconds for each buffer: of the exporter, the leader, each other server, the importer. */
async function measure({ size, count, servers: copies, storage }: Way): Promise<number[]> {
  await using servers = await Servers.start(natsServer() ?? "", copies);
  const nats = await servers.connect();
  const manager = await jetstreamManager(nats, { timeout: 2000, checkAPI: false });
  const config = { subjects: ["S.>"], retention: "workqueue" as const, num_replicas: copies };
  await addStream(manager, { name: "S", ...config, storage });
  const before = servers.all.map(({ pid }) => cpuOf(pid));
  const round = { servers: servers.connectOptions, stream: "S", count, size, window: 256 };
  const { seconds, cpu } = await run("bridgeExport", "bridgeImport", round);
  const ofServers = servers.all.map(({ pid }, at) => cpuOf(pid) - (before[at] ?? 0));
  const { cluster } = await manager.streams.info("S");
  const isLeader = servers.all.map(({ name }) => copies === 1 || name === cluster?.leader);
  const leader = ofServers.find((_, at) => isLeader[at]) ?? Number.NaN;
  const others = ofServers.filter((_, at) => !isLeader[at]);
  const other = others.reduce((sum, each) => sum + each, 0) / Math.max(1, others.length);
  return [cpu[0], leader, other, cpu[1], seconds].map((each) => (each / count) * 1e6);
}

if (!ensureNatsServer()) throw new Error("there is no nats-server, and none can be installed");
const isBrief = process.argv.includes("--brief");
const frame = (1280 * 720 * 3) / 2;
const [messages, frames, rounds] = isBrief ? [2000, 20, 1] : [50_000, 300, 3];
const ways: Way[] = [];
for (const [what, size, count] of [
  ["200 bytes", 200, messages],
  ["a frame of 720p", frame, frames],
] as const) {
  const { File, Memory } = StorageType;
  ways.push({ name: `${what}, one server, in memory`, size, count, servers: 1, storage: Memory });
  ways.push({ name: `${what}, one server, on disk`, size, count, servers: 1, storage: File });
  ways.push({ name: `${what}, three servers, on disk`, size, count, servers: 3, storage: File });
}
const head = ["us of a core for each", "exporter", "leader", "each other", "importer", "took"];
const table = new Table({ head, style: { head: [], border: [] } });
for (const way of ways) {
  const all: number[][] = [];
  for (let round = 0; round < rounds; round++) all.push(await measure(way));
  const column = (at: number): string => median(all.map((row) => row[at] ?? 0)).toPrecision(3);
  table.push([way.name, ...[0, 1, 2, 3, 4].map(column)]);
}
console.log(table.toString());
process.exit(0);
