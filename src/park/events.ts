// What a Parking tells a program of: that the store fails, that it works again, that something is gone.

import type { XmemError } from "../index.ts";

/** Something that a program may want to log, or to count. */
export interface ParkingEvent {
  /**
   * What happened: the store failed and is tried again; it works again; or buffers that were parked
   * are not in the store any more.
   */
  type: "failing" | "working" | "missing";
  /** The failure. */
  error?: XmemError;
}

/** Is told of events. */
export type ParkingListener = (event: ParkingEvent) => void;
