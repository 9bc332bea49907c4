// What each program has: the pool of the machine that it runs on, the server, and a clock.

import { appendFileSync } from "node:fs";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { BufferPool } from "../../src/index.ts";

/** On the machine that XMEM_DIR stands for. */
export const openPool = (): BufferPool => BufferPool.open("pool");

/** Waits for the server whenever it is not there. */
export const connectToServer = (): Promise<NatsConnection> =>
  connect({
    ...JSON.parse(process.env["NATS"] ?? ""),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    waitOnFirstConnect: true,
  });

/** Where a frame's way can be timed. */
export type Place = "captured" | "exported" | "stored" | "imported" | "detected" | "back";

/** Microseconds since 1970. Both machines have one clock here; real ones need PTP or NTP. */
const now = (): number => Math.round((performance.timeOrigin + performance.now()) * 1000);

/** Notes that a frame was there, in a file that survives whoever is killed. */
export function passed(place: Place, sequence: number, at: number = now(), more = ""): void {
  appendFileSync(process.env["PLACES"] ?? "", `${place} ${sequence} ${at} ${more}\n`);
}

/** Tells frames apart that differ in a single byte. */
export const checksum = (bytes: Uint8Array): string => Bun.hash(bytes).toString(16);
