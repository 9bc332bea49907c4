// What a pool tells those who listen.

/** What each event says. Counts are of what happened since the last event of its kind. */
export interface PoolEvents {
  /** Somebody found no buffer free. */
  full: {
    /** Acquires that failed with POOL_FULL, or returned null. */
    refused: number;
    /** Waits for a buffer that began. */
    waits: number;
  };
  /** Waits for a buffer ended without one. */
  timeout: {
    /** How many. */
    waits: number;
  };
  /** Acquires failed for want of memory. */
  "out-of-memory": {
    /** How many. */
    refused: number;
  };
  /** Somebody called `flush()`, or the flush is over. */
  flushing: {
    /** Whether it is flushed now. */
    flushing: boolean;
  };
  /** A thread or a process ended without giving back what it had of the pool. */
  "dead-participant": {
    /** The process' id, in its own PID namespace. */
    pid: number;
    /** The thread's id, in its own PID namespace. */
    tid: number;
    /** The `participantName` that it opened the pool with; "" without one. */
    name: string;
  };
  /** A recovery gave back what dead participants and expired leases left. */
  recovered: {
    /** How many recoveries ran. */
    recoveries: number;
    /** Dead participants whose rows were emptied. */
    participants: number;
    /** Their holds and expired in-flight references that were dropped. */
    references: number;
    /** Buffers that became free. */
    buffers: number;
  };
  /** A recovery was put off: a live participant stands still inside an operation. */
  deferred: {
    /** How many. */
    recoveries: number;
  };
  /** A recovery dropped in-flight references whose leases had expired: nobody took them in time. */
  "lease-expired": {
    /** How many. */
    references: number;
  };
  /** A channel dropped buffers, by its overflow or after `maxDeliveries`. */
  dropped: {
    /** The channel's name. */
    channel: string;
    /** How many. */
    buffers: number;
  };
  /** Buffers came back to a channel that redelivers, after their receiver died. */
  redelivered: {
    /** The channel's name. */
    channel: string;
    /** How many. */
    buffers: number;
  };
}

/** The name of an event. */
export type PoolEventType = keyof PoolEvents;

/** An event: its name, the pool's, and what it says. */
export type PoolEvent<Type extends PoolEventType = PoolEventType> = {
  [Each in Type]: PoolEvents[Each] & {
    /** Which event it is. */
    type: Each;
    /** The pool's name. */
    pool: string;
  };
}[Type];

/** Is told of events. */
export type PoolListener<Type extends PoolEventType = PoolEventType> = (
  event: PoolEvent<Type>,
) => void;

/** All of them, for the check of what a program asks for. */
export const eventTypes: Readonly<Record<PoolEventType, true>> = {
  full: true,
  timeout: true,
  "out-of-memory": true,
  flushing: true,
  "dead-participant": true,
  recovered: true,
  deferred: true,
  "lease-expired": true,
  dropped: true,
  redelivered: true,
};
