// What a stored object contains: a head, which describes each buffer in it, then the buffers' bytes one
// after another. docs/parking.md has the format. A buffer is never copied as a whole: it goes to the
// store in pieces, and comes from it straight into a buffer of a pool.

import { type BufferGuard, type BufferMeta, type ReadGuard, XmemError } from "../index.ts";
import { free } from "./freeing.ts";
import type { ParkingStore } from "./store.ts";

/** A buffer in an object. What an acquired buffer has anyway is not said. */
export interface BufferRecord {
  size: number;
  /** The name of the message that it was. */
  id?: string;
  dtype?: string;
  shape?: number[];
  strides?: number[];
  timestamp?: number;
  sequence?: number;
  contentType?: string;
  producer?: string;
}

interface Head {
  /** How the bytes are compressed. */
  compress?: "zstd";
  buffers: BufferRecord[];
}

const magic = "xmempark";
/** The magic and the head's length. */
const prefixLength = magic.length + 4;
const headMost = 256 * 1024 * 1024;

/** Bytes of a piece that is handed to a store, and that is compressed by itself. */
const pieceSize = 1024 * 1024;
/** Smaller pieces are gathered, since each costs a call. */
const gatherBelow = 64 * 1024;
/** Bytes that are read at once where little is asked for. */
const readAhead = 256 * 1024;

export function recordOf(guard: BufferGuard | ReadGuard, id: string): BufferRecord {
  const { size, meta } = guard;
  const { dtype, shape, timestamp, sequence, contentType, producer } = meta;
  const record: BufferRecord = { size };
  if (id !== "") record.id = id;
  if (dtype !== "uint8") record.dtype = dtype;
  if (dtype !== "uint8" || shape.length !== 1 || shape[0] !== size) record.shape = shape;
  const { strides } = meta;
  if (record.shape !== undefined || strides[0] !== 1) record.strides = strides;
  if (timestamp !== 0) record.timestamp = timestamp;
  if (sequence !== 0) record.sequence = sequence;
  if (contentType !== "") record.contentType = contentType;
  if (producer !== "") record.producer = producer;
  return record;
}

/** Describes a buffer that was just acquired. */
export function describeAs(guard: BufferGuard, record: BufferRecord): void {
  const { meta } = guard;
  const { dtype, shape, strides, timestamp, sequence, contentType, producer } = record;
  if (dtype !== undefined) meta.dtype = dtype as BufferMeta["dtype"];
  if (shape !== undefined) meta.shape = shape;
  if (strides !== undefined) meta.strides = strides;
  if (timestamp !== undefined) meta.timestamp = timestamp;
  if (sequence !== undefined) meta.sequence = sequence;
  if (contentType !== undefined) meta.contentType = contentType;
  if (producer !== undefined) meta.producer = producer;
}

/** The pieces of an object. The bytes are looked at when it is their turn, and not copied but when small. */
export async function* piecesOf(
  records: readonly BufferRecord[],
  bytes: readonly Uint8Array[],
  compress: boolean,
): AsyncGenerator<Uint8Array> {
  const head: Head = { ...(compress && { compress: "zstd" }), buffers: [...records] };
  const text = new TextEncoder().encode(JSON.stringify(head));
  const prefix = new Uint8Array(prefixLength);
  prefix.set(new TextEncoder().encode(magic));
  new DataView(prefix.buffer).setUint32(magic.length, text.length, true);
  if (!compress) {
    yield* gathered([prefix, text, ...bytes]);
    return;
  }
  yield* gathered([prefix, text]);
  for (const piece of gathered(bytes)) {
    const frame = await Bun.zstdCompress(piece);
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, frame.length, true);
    yield length;
    yield frame;
    free(frame);
  }
}

/** Cuts what is large, and copies together what is small. */
function* gathered(parts: readonly Uint8Array[]): Generator<Uint8Array> {
  let room: Uint8Array | undefined;
  let filled = 0;
  for (const part of parts) {
    const isSmall = part.length < gatherBelow;
    if (filled > 0 && (!isSmall || filled + part.length > pieceSize)) {
      yield (room as Uint8Array).subarray(0, filled);
      filled = 0;
    }
    if (isSmall) {
      room ??= new Uint8Array(Math.min(pieceSize, total(parts)));
      room.set(part, filled);
      filled += part.length;
      continue;
    }
    for (let at = 0; at < part.length; at += pieceSize) yield part.subarray(at, at + pieceSize);
  }
  if (filled > 0) yield (room as Uint8Array).subarray(0, filled);
}

function total(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}

/** How a reader gets bytes; tries again are its caller's. */
export type Read = ParkingStore["read"];

/** Reads an object from its beginning to its end. */
export class RecordReader {
  readonly records: readonly BufferRecord[];
  readonly #source: Source;

  /** Reads the head. */
  static async open(read: Read, key: string): Promise<RecordReader> {
    const stored = new Stored(read, key);
    const prefix = new Uint8Array(prefixLength);
    await stored.take(prefix);
    const isOurs = new TextDecoder().decode(prefix.subarray(0, magic.length)) === magic;
    const length = new DataView(prefix.buffer).getUint32(magic.length, true);
    if (!isOurs || length > headMost) throw foreign(key);
    const text = new Uint8Array(length);
    await stored.take(text);
    return new RecordReader(headIn(text, key), stored, key);
  }

  private constructor({ compress, buffers }: Head, stored: Stored, key: string) {
    this.records = buffers;
    this.#source = compress === undefined ? stored : new Compressed(stored, key);
  }

  /** Fills `into` with the next bytes. */
  take(into: Uint8Array): Promise<void> {
    return this.#source.take(into);
  }

  /** Leaves the next bytes out. */
  skip(length: number): Promise<void> {
    return this.#source.skip(length);
  }
}

function headIn(text: Uint8Array, key: string): Head {
  let head: Partial<Head> | null;
  try {
    head = JSON.parse(new TextDecoder().decode(text));
  } catch {
    throw foreign(key);
  }
  const { buffers, compress } = head ?? {};
  const isSize = (size: unknown): boolean => Number.isSafeInteger(size) && (size as number) >= 0;
  const isKnown = compress === undefined || compress === "zstd";
  if (!isKnown || !Array.isArray(buffers) || !buffers.every((each) => isSize(each?.size))) {
    throw foreign(key);
  }
  return head as Head;
}

function foreign(key: string): XmemError {
  return new XmemError("INVALID_ARGUMENT", `what lies under ${key} is no parked buffer`);
}

function tooShort(key: string): XmemError {
  return new XmemError("INCOMPLETE", `what is parked under ${key} ends before its buffers do`);
}

interface Source {
  take(into: Uint8Array): Promise<void>;
  skip(length: number): Promise<void>;
}

/** The object as it lies in the store. Little is read ahead, much straight to where it belongs. */
class Stored implements Source {
  readonly #read: Read;
  readonly #key: string;
  #room: Uint8Array | undefined;
  #ahead: Uint8Array = new Uint8Array(0);
  /** Where in the object that what was read ahead ends. */
  #offset = 0;

  constructor(read: Read, key: string) {
    this.#read = read;
    this.#key = key;
  }

  async take(into: Uint8Array): Promise<void> {
    let at = 0;
    while (at < into.length) {
      if (this.#ahead.length === 0) {
        const rest = into.subarray(at);
        if (rest.length >= readAhead) {
          const count = await this.#read(this.#key, this.#offset, rest);
          this.#offset += count;
          if (count < rest.length) throw tooShort(this.#key);
          return;
        }
        await this.#fill();
      }
      const part = this.#ahead.subarray(0, into.length - at);
      into.set(part, at);
      at += part.length;
      this.#ahead = this.#ahead.subarray(part.length);
    }
  }

  async #fill(): Promise<void> {
    this.#room ??= new Uint8Array(readAhead);
    const count = await this.#read(this.#key, this.#offset, this.#room);
    if (count === 0) throw tooShort(this.#key);
    this.#offset += count;
    this.#ahead = this.#room.subarray(0, count);
  }

  async skip(length: number): Promise<void> {
    const known = Math.min(length, this.#ahead.length);
    this.#ahead = this.#ahead.subarray(known);
    this.#offset += length - known;
  }
}

/** Pieces that were compressed one by one, each with its length before it. */
class Compressed implements Source {
  readonly #stored: Stored;
  readonly #key: string;
  /** A piece, and what of it was not taken yet. */
  #whole: Uint8Array = new Uint8Array(0);
  #piece: Uint8Array = this.#whole;

  constructor(stored: Stored, key: string) {
    this.#stored = stored;
    this.#key = key;
  }

  async take(into: Uint8Array): Promise<void> {
    for (let at = 0; at < into.length; ) {
      const part = await this.#next(into.length - at);
      into.set(part, at);
      at += part.length;
    }
  }

  async skip(length: number): Promise<void> {
    for (let left = length; left > 0; ) left -= (await this.#next(left)).length;
  }

  async #next(most: number): Promise<Uint8Array> {
    while (this.#piece.length === 0) {
      const prefix = new Uint8Array(4);
      await this.#stored.take(prefix);
      const length = new DataView(prefix.buffer).getUint32(0, true);
      if (length > 2 * pieceSize) throw foreign(this.#key);
      const frame = new Uint8Array(length);
      await this.#stored.take(frame);
      free(this.#whole);
      try {
        this.#whole = await Bun.zstdDecompress(frame);
      } catch {
        throw foreign(this.#key);
      }
      free(frame);
      this.#piece = this.#whole;
    }
    const part = this.#piece.subarray(0, most);
    this.#piece = this.#piece.subarray(part.length);
    return part;
  }
}
