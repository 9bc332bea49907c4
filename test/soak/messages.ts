// The messages between the soak's processes and threads. Handles travel as messages through the
// parent, so that unread ones stay behind when a receiver dies.

import type { Stamp } from "./stamp.ts";

/** A buffer on its way to another thread. */
export interface Parcel {
  /** 0 or 1. */
  pool: number;
  handle: number;
  /** `exclusive` and `shared` come with a reference to take, `peek` with none. */
  kind: "exclusive" | "shared" | "peek";
  /** The stamp in the buffer. */
  stamp: Stamp;
  /** Before its reference was made, by the clock that leases go by. */
  sentAtMs: number;
  /** Of a shared one: when the first of its references was made. */
  sharedSinceMs: number;
}

/** `process`: 0 to processes - 1; `thread`: any number, modulo the threads that there are. */
export interface Address {
  process: number;
  thread: number;
}

export type FromProcess = { what: "send"; to: Address; parcel: Parcel };

export type ToProcess =
  | { what: "deliver"; thread: number; parcel: Parcel }
  | { what: "terminate"; worker: number }
  | { what: "end" };

export type FromWorker = { what: "send"; to: Address; parcel: Parcel };

export type ToWorker = { what: "deliver"; parcel: Parcel } | { what: "end" };

/** The task of a soak's thread. */
export interface ThreadTask {
  id: string;
  seed: number;
  directory: string;
  pools: string[];
  leaseMs: number;
  processes: number;
}

/** The task of a soak's process, which it gets at its start as JSON. */
export interface ProcessTask extends ThreadTask {
  workers: number;
  /** Whether SIGTERM makes it end orderly, or kills it. */
  heedsTerm: boolean;
}
