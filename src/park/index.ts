export { defaultStore } from "./choice.ts";
export { type DirectoryOptions, directoryStore } from "./directory.ts";
export type { ParkingEvent, ParkingListener } from "./events.ts";
export {
  type ParkedBuffer,
  type ParkOptions,
  park,
  type UnparkOptions,
  unpark,
} from "./park.ts";
export { Parking, type ParkingOptions, type ParkingStats } from "./parking.ts";
export { type S3StoreOptions, s3Store } from "./s3.ts";
export type { ParkingStore, StoredObject } from "./store.ts";
export type { SweepOptions } from "./sweep.ts";
