export { defaultStore } from "./choice.ts";
export { type DirectoryOptions, directoryStore } from "./directory.ts";
export {
  type ParkedBuffer,
  type ParkOptions,
  park,
  type UnparkOptions,
  unpark,
} from "./park.ts";
export {
  Parking,
  type ParkingEvent,
  type ParkingListener,
  type ParkingOptions,
  type ParkingStats,
  type SweepOptions,
} from "./parking.ts";
export { type S3StoreOptions, s3Store } from "./s3.ts";
export type { ParkingStore, StoredObject } from "./store.ts";
