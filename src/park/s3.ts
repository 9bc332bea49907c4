// A bucket of any S3 as a store, by Bun's own client. The client waits for ever for a server that does
// not answer, and copies what it is given: so each step here has a time limit, and waits until what came
// before it was sent.

import { S3Client } from "bun";
import { XmemError } from "../index.ts";
import { invalid } from "../relay/arguments.ts";
import { checkOptions, codeOf, failed, whole } from "./failure.ts";
import { free } from "./freeing.ts";
import { checkParts, fits, keyBytesMost, type ParkingStore, type StoredObject } from "./store.ts";
import { type Login, Uploads } from "./uploads.ts";

/** Which bucket, and how it is reached. What is not given, comes from the environment. */
export interface S3StoreOptions {
  /** The name of the bucket; default: `S3_BUCKET` or `AWS_BUCKET` of the environment. */
  bucket?: string;
  /**
   * What all keys begin with: a path of at most 124 bytes that ends with a slash, for a bucket that
   * has more; default "".
   */
  prefix?: string;
  /** The server's URL; default: `S3_ENDPOINT` or `AWS_ENDPOINT`, else AWS's own. */
  endpoint?: string;
  /** Where the bucket is; default: `S3_REGION` or `AWS_REGION`. */
  region?: string;
  /** Who asks; default: `S3_ACCESS_KEY_ID` or `AWS_ACCESS_KEY_ID`. */
  accessKeyId?: string;
  /** The secret of that key; default: `S3_SECRET_ACCESS_KEY` or `AWS_SECRET_ACCESS_KEY`. */
  secretAccessKey?: string;
  /** Of a login for a while; default: `S3_SESSION_TOKEN` or `AWS_SESSION_TOKEN`. */
  sessionToken?: string;
  /** Milliseconds for which a step of a transfer may wait for the server; default 30,000. */
  timeout?: number;
}

const texts = [
  ...["bucket", "prefix", "endpoint", "region"],
  ...["accessKeyId", "secretAccessKey", "sessionToken"],
] as const;

/** Bytes of a part: 10,000 of them are allowed. An object with fewer bytes is put as a whole. */
const partSize = 8 * 1024 * 1024;
/** The longest name that S3 allows. */
const nameBytesMost = 1024;

/**
 * A store in a bucket of S3, which exists already.
 *
 * @throws INVALID_ARGUMENT: no bucket is known; an option is of the wrong type, empty, or does not
 *   exist; the bucket is no name, `endpoint` no URL, or `prefix` no path that stays in the bucket.
 */
export function s3Store(options: S3StoreOptions = {}): ParkingStore {
  const tried = "s3Store()";
  checkOptions(tried, options, [...texts, "timeout"]);
  for (const name of texts) {
    const value = options[name];
    if (value === undefined) continue;
    if (typeof value !== "string") throw invalid(tried, `${name} is no text`);
    // It would be taken from the environment, which may mean another one.
    if (value === "" && name !== "prefix") throw invalid(tried, `${name} is empty`);
  }
  const { prefix = "" } = options;
  checkPrefix(tried, prefix);
  const of = (given: string | undefined, name: string): string | undefined =>
    given || process.env[`S3_${name}`] || process.env[`AWS_${name}`] || undefined;
  const bucket = of(options.bucket, "BUCKET");
  if (bucket === undefined) throw invalid(tried, "no bucket is given, and S3_BUCKET is not set");
  const endpoint = of(options.endpoint, "ENDPOINT");
  checkBucket(tried, bucket);
  if (endpoint !== undefined) checkEndpoint(tried, endpoint);
  const login: Login = {
    bucket,
    endpoint,
    region: of(options.region, "REGION"),
    accessKeyId: of(options.accessKeyId, "ACCESS_KEY_ID"),
    secretAccessKey: of(options.secretAccessKey, "SECRET_ACCESS_KEY"),
    sessionToken: of(options.sessionToken, "SESSION_TOKEN"),
  };
  return new Bucket(login, prefix, whole(tried, "timeout", options.timeout, { otherwise: 30_000 }));
}

function checkPrefix(tried: string, prefix: string): void {
  if (prefix === "") return;
  if (!prefix.endsWith("/")) {
    throw invalid(tried, `prefix is ${JSON.stringify(prefix)}, expected a path that ends with "/"`);
  }
  checkParts(tried, "prefix", prefix.slice(0, -1).split("/"));
  const most = nameBytesMost - keyBytesMost;
  if (prefix.isWellFormed() && fits(prefix, most)) return;
  throw invalid(tried, `prefix is no text of at most ${most} bytes`);
}

/** Bun's client puts it into the path of a URL: a slash in it would lead to another bucket. */
function checkBucket(tried: string, bucket: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/.test(bucket)) return;
  const expected = 'expected at most 255 letters, digits, ".", "_" and "-"';
  throw invalid(tried, `bucket is ${JSON.stringify(bucket)}, ${expected}`);
}

/** Bun's client makes "https://" of what is none, and puts the rest anywhere. */
function checkEndpoint(tried: string, endpoint: string): void {
  const url = URL.parse(endpoint);
  const isPlain = url !== null && /^https?:$/.test(url.protocol) && url.search + url.hash === "";
  if (isPlain && url.username + url.password === "") return;
  throw invalid(tried, `endpoint is ${JSON.stringify(endpoint)}, expected the URL of a server`);
}

class Bucket implements ParkingStore {
  readonly name: string;
  readonly #client: S3Client;
  readonly #uploads: Uploads;
  readonly #prefix: string;
  readonly #timeout: number;

  constructor(login: Login, prefix: string, timeout: number) {
    this.name = `bucket ${login.bucket} at ${login.endpoint ?? "AWS"}`;
    const given = Object.entries(login).filter(([, value]) => value !== undefined);
    this.#client = new S3Client(Object.fromEntries(given));
    this.#uploads = new Uploads(login, timeout);
    this.#prefix = prefix;
    this.#timeout = timeout;
  }

  async write(key: string, pieces: AsyncIterable<Uint8Array>): Promise<number> {
    const file = this.#client.file(this.#nameOf(key));
    const type = "application/octet-stream";
    const writer = file.writer({ partSize, queueSize: 1, type });
    let size = 0;
    let stored: number;
    try {
      for await (const piece of pieces) {
        await this.#step(async () => {
          await writer.write(piece);
          await writer.flush();
        });
        size += piece.length;
      }
      stored = await this.#step(async () => await writer.end());
    } catch (error) {
      throw this.#failed("storing", key, error);
    }
    // Without a login the client says nothing, and stores nothing.
    if (stored === size) return size;
    throw this.#failed("storing", key, new Error(`the client stored ${stored} of ${size} bytes`));
  }

  async read(key: string, offset: number, into: Uint8Array): Promise<number> {
    if (into.length === 0) return 0;
    const file = this.#client.file(this.#nameOf(key)).slice(offset, offset + into.length);
    const reader = file.stream().getReader();
    let at = 0;
    try {
      while (true) {
        const { done, value } = await this.#step(() => reader.read());
        if (done) return at;
        // A server that does not know ranges sends more than that.
        if (value.length > into.length - at) throw new Error("the server sent more than asked for");
        into.set(value, at);
        at += value.length;
        free(value);
      }
    } catch (error) {
      void reader.cancel().catch(() => {});
      // There is nothing from there on.
      if (codeOf(error) === "InvalidRange") return at;
      throw this.#failed("reading", key, error);
    }
  }

  async list(prefix: string): Promise<StoredObject[]> {
    const found: StoredObject[] = [];
    const wanted = this.#prefix + prefix;
    for (let startAfter = ""; ; ) {
      const page = await this.#step(() => this.#client.list({ prefix: wanted, startAfter })).catch(
        (error: unknown) => {
          throw this.#failed("listing", prefix, error);
        },
      );
      for (const { key, size = 0, lastModified = "" } of page.contents ?? []) {
        startAfter = key;
        const modified = Date.parse(lastModified);
        found.push({ key: key.slice(this.#prefix.length), size, modified });
      }
      if (page.isTruncated !== true || (page.contents ?? []).length === 0) return found;
    }
  }

  async remove(key: string): Promise<void> {
    const name = this.#nameOf(key);
    try {
      await this.#step(() => this.#client.delete(name));
    } catch (error) {
      if (codeOf(error) !== "NoSuchKey") throw this.#failed("removing", key, error);
    }
  }

  async sweep(before: number): Promise<string[]> {
    const ended: string[] = [];
    try {
      for (const upload of await this.#uploads.list(this.#prefix)) {
        if (!(upload.initiated < before)) continue;
        await this.#uploads.abort(upload);
        ended.push(upload.key.slice(this.#prefix.length));
      }
    } catch (error) {
      throw this.#failed("sweeping", this.#prefix, error);
    }
    return ended;
  }

  #nameOf(key: string): string {
    checkParts("s3Store()", "the key", key.split("/"));
    return this.#prefix + key;
  }

  /** Gives up where the server does not answer in time. */
  async #step<T>(body: () => Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const found = `the server did not answer for ${this.#timeout} ms`;
    const timer = setTimeout(() => late.reject(new Error(found)), this.#timeout);
    const step = body();
    step.catch(() => {});
    try {
      return await Promise.race([step, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #failed(doing: string, key: string, error: unknown): unknown {
    if (error instanceof XmemError) return error;
    const tried = `${doing} ${key} in ${this.name}`;
    if (codeOf(error) === "NoSuchKey") {
      return new XmemError("BUFFER_NOT_FOUND", `nothing is parked under ${key} in ${this.name}`, {
        cause: error,
      });
    }
    return failed(tried, error, adviceFor(codeOf(error)));
  }
}

function adviceFor(code: string): string {
  if (/credentials|AccessKey|Signature|Denied|Token|UserNotFound/i.test(code)) {
    return "see accessKeyId, secretAccessKey and sessionToken";
  }
  if (code === "NoSuchBucket") return "make the bucket first";
  if (code === "ConnectionRefused" || code === "DNSResolveFailed") return "see endpoint";
  return "";
}
