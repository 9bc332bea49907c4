// Which store is meant: the one that a call names, or the one that the environment has.

import { join } from "node:path";
import { inNameOf } from "../errors/error.ts";
import { invalid } from "../relay/arguments.ts";
import { directoryStore } from "./directory.ts";
import { s3Store } from "./s3.ts";
import type { ParkingStore } from "./store.ts";

/**
 * The store that the environment names: the bucket of `S3_BUCKET` or `AWS_BUCKET`, with the login
 * that Bun's S3 client reads there; else the directory `XMEM_PARKING`, or
 * `/var/tmp/xmem-parking-<uid>`.
 *
 * @throws PERMISSION_DENIED: the directory is another user's, or others can write to it.
 * @throws SYSTEM: the directory cannot be made; `cause` says why.
 */
export function defaultStore(): ParkingStore {
  const { S3_BUCKET, AWS_BUCKET, XMEM_PARKING } = process.env;
  const bucket = S3_BUCKET || AWS_BUCKET;
  const path = XMEM_PARKING || join("/var/tmp", `xmem-parking-${process.getuid?.()}`);
  return inNameOf("defaultStore()", () => (bucket ? s3Store({ bucket }) : directoryStore(path)));
}

/** The store that the options of a call name. */
export function storeOf(tried: string, given: { store?: unknown; bucket?: unknown }): ParkingStore {
  const { store, bucket } = given;
  if (store !== undefined && bucket !== undefined) {
    throw invalid(tried, "give either a store or a bucket");
  }
  if (bucket !== undefined) {
    if (typeof bucket !== "string" || bucket === "") throw invalid(tried, "bucket is no name");
    return inNameOf(tried, () => s3Store({ bucket }));
  }
  if (store === undefined) return inNameOf(tried, defaultStore);
  const calls = ["write", "read", "list", "remove", "sweep"];
  const has = (name: string): boolean =>
    typeof (store as Record<string, unknown>)[name] === "function";
  if (typeof store !== "object" || store === null || !calls.every(has)) {
    throw invalid(tried, "store is no store: see s3Store() and directoryStore()");
  }
  return store as ParkingStore;
}
