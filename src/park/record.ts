// What a stored object contains: a head, which describes each buffer in it, then the buffers' bytes one
// after another, each with a checksum. docs/parking.md has the format. A buffer is never copied as a
// whole: it goes to the store in pieces, and comes from it straight into a buffer of a pool.

import { crc32 } from "node:zlib";
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

const magic = new TextEncoder().encode("xmempark");
const version = 2;
const atVersion = magic.length;
const atLength = atVersion + 4;
const atSum = atLength + 4;
/** The magic, the version, the head's length, and the checksum of the three. */
const prefixLength = atSum + 4;
const sumLength = 4;

/** How many buffers an object may have; a head that describes them fits. */
export const buffersMost = 65_536;
/** The most bytes that the description of one buffer takes in a head, and what stands around them. */
const recordMost = 1024;

/** Bytes of a piece that is handed to a store, and that is compressed by itself. */
const pieceSize = 1024 * 1024;
/** The length of a compressed piece, and its checksum. */
const frameHead = 8;
/** Bytes that are copied at once, so that they are what their checksum says. */
const copySize = 64 * 1024;
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

/**
 * The pieces of an object. The bytes are looked at when it is their turn. Each is copied before its
 * checksum is made, since nothing keeps a program from writing to a buffer meanwhile.
 */
export async function* piecesOf(
  records: readonly BufferRecord[],
  bytes: readonly Uint8Array[],
  compress: boolean,
): AsyncGenerator<Uint8Array> {
  const head: Head = { ...(compress && { compress: "zstd" }), buffers: [...records] };
  const text = new TextEncoder().encode(JSON.stringify(head));
  const prefix = new Uint8Array(prefixLength);
  prefix.set(magic);
  setWord(prefix, atVersion, version);
  setWord(prefix, atLength, text.length);
  setWord(prefix, atSum, crc32(prefix.subarray(0, atSum)));
  const sum = crc32(text, crc32(prefix));
  const start = [prefix, text, word(sum)];
  if (!compress) {
    yield* gathered([start, summed(bytes, sum)], lengthOf(start) + lengthOf(bytes, sumLength));
    return;
  }
  yield* gathered([start], lengthOf(start));
  let last = sum;
  for (const piece of gathered([bytes], lengthOf(bytes))) {
    const frame = await Bun.zstdCompress(piece);
    const length = word(frame.length);
    last = crc32(frame, crc32(length, last));
    yield* gathered([[length, word(last), frame]], frameHead + frame.length);
    free(frame);
  }
}

/** Copies of the bytes, and after each buffer the checksum of all that stands in the object so far. */
function* summed(bytes: readonly Uint8Array[], before: number): Generator<Uint8Array> {
  const room = new Uint8Array(copySize);
  let sum = before;
  for (const each of bytes) {
    for (let at = 0; at < each.length; at += copySize) {
      const part = each.subarray(at, at + copySize);
      const copy = room.subarray(0, part.length);
      copy.set(part);
      sum = crc32(copy, sum);
      yield copy;
    }
    yield word(sum);
  }
}

/** Copies all parts, which have so many bytes, into pieces. */
function* gathered(all: Iterable<Uint8Array>[], length: number): Generator<Uint8Array> {
  const room = new Uint8Array(Math.min(pieceSize, length));
  let filled = 0;
  for (const parts of all) {
    for (const part of parts) {
      for (let at = 0; at < part.length; ) {
        const copied = part.subarray(at, at + room.length - filled);
        room.set(copied, filled);
        filled += copied.length;
        at += copied.length;
        if (filled < room.length) continue;
        yield room;
        filled = 0;
      }
    }
  }
  if (filled > 0) yield room.subarray(0, filled);
  free(room);
}

function lengthOf(parts: readonly Uint8Array[], more = 0): number {
  return parts.reduce((sum, { length }) => sum + length + more, 0);
}

function setWord(bytes: Uint8Array, at: number, value: number): void {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(at, value, true);
}

function wordAt(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  setWord(bytes, 0, value);
  return bytes;
}

/** How a reader gets bytes; tries again are its caller's. */
export type Read = ParkingStore["read"];

/** Reads an object from its beginning to its end. What does not fit its checksum is an error. */
export class RecordReader {
  readonly records: readonly BufferRecord[];
  readonly #stored: Stored;
  readonly #content: Plain | Compressed;
  #next = 0;

  /** Reads the head, of an object that has so many buffers at most. */
  static async open(read: Read, key: string, most: number): Promise<RecordReader> {
    const stored = new Stored(read, key);
    const prefix = new Uint8Array(prefixLength);
    await stored.take(prefix);
    const isOurs = Buffer.compare(prefix.subarray(0, atVersion), magic) === 0;
    const begun = crc32(prefix.subarray(atVersion, atSum), crc32(magic));
    const isWhole = begun === wordAt(prefix, atSum);
    if (!isOurs && !isWhole) throw foreign(key, "it does not begin as one");
    if (!isOurs || !isWhole) throw damaged(key, "its beginning");
    if (wordAt(prefix, atVersion) !== version) {
      const found = `its format is version ${wordAt(prefix, atVersion)}, and this xmem reads ${version}`;
      throw foreign(key, found);
    }
    const length = wordAt(prefix, atLength);
    const lengthMost = (Math.min(most, buffersMost) + 1) * recordMost;
    if (length > lengthMost) {
      throw foreign(key, `its head has ${length} bytes, and ${lengthMost} are enough for ${most}`);
    }
    const text = new Uint8Array(length + sumLength);
    await stored.take(text);
    const sum = crc32(text.subarray(0, length), crc32(prefix));
    if (sum !== wordAt(text, length)) throw damaged(key, "its head");
    return new RecordReader(headIn(text.subarray(0, length), key), stored, key, sum);
  }

  private constructor({ compress, buffers }: Head, stored: Stored, key: string, sum: number) {
    this.records = buffers;
    this.#stored = stored;
    const total = buffers.reduce((bytes, { size }) => bytes + size, 0);
    this.#content =
      compress === undefined
        ? new Plain(stored, key, sum)
        : new Compressed(stored, key, sum, total);
  }

  /** Fills `into` with the bytes of the next buffer, which has so many. */
  async take(into: Uint8Array): Promise<void> {
    await this.#content.take(into);
    this.#next += 1;
    if (this.#next === this.records.length) await this.#stored.expectEnd();
  }

  /** Leaves the next buffers out. */
  async skip(count: number): Promise<void> {
    const left = this.records.slice(this.#next, this.#next + count).map(({ size }) => size);
    this.#next += left.length;
    if (left.length > 0) await this.#content.skip(left);
  }
}

function headIn(text: Uint8Array, key: string): Head {
  let head: Partial<Head> | null;
  try {
    head = JSON.parse(new TextDecoder().decode(text));
  } catch {
    throw foreign(key, "its head is no JSON");
  }
  const { buffers, compress } = head ?? {};
  const isSize = (size: unknown): boolean => Number.isSafeInteger(size) && (size as number) >= 0;
  const isKnown = compress === undefined || compress === "zstd";
  if (!isKnown || !Array.isArray(buffers) || !buffers.every((each) => isSize(each?.size))) {
    throw foreign(key, "its head describes no buffers");
  }
  return head as Head;
}

function foreign(key: string, found: string): XmemError {
  return new XmemError("INVALID_ARGUMENT", `what lies under ${key} is no parked buffer: ${found}`);
}

function damaged(key: string, part: string): XmemError {
  const found = `what is parked under ${key} is damaged: ${part} is not what its checksum says`;
  return new XmemError("DAMAGED", `${found}; the object was left as it is`);
}

function tooShort(key: string): XmemError {
  return new XmemError("INCOMPLETE", `what is parked under ${key} ends before its buffers do`);
}

/** The object as it lies in the store. Little is read ahead, much straight to where it belongs. */
class Stored {
  readonly #read: Read;
  readonly #key: string;
  #room: Uint8Array | undefined;
  #ahead: Uint8Array = new Uint8Array(0);
  /** Where in the object that what was read ahead ends. */
  #offset = 0;
  #hasEnded = false;

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
        if (this.#ahead.length === 0) throw tooShort(this.#key);
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
    this.#offset += count;
    this.#ahead = this.#room.subarray(0, count);
    this.#hasEnded = count < this.#room.length;
  }

  skip(length: number): void {
    const known = Math.min(length, this.#ahead.length);
    this.#ahead = this.#ahead.subarray(known);
    this.#offset += length - known;
  }

  /** Throws where more follows. */
  async expectEnd(): Promise<void> {
    if (this.#ahead.length === 0 && !this.#hasEnded) await this.#fill();
    if (this.#ahead.length > 0) {
      const found = `what is parked under ${this.#key} is damaged: more follows its last buffer`;
      throw new XmemError("DAMAGED", `${found}; the object was left as it is`);
    }
  }
}

/** Buffers one after another, each with a checksum of all before it. */
class Plain {
  readonly #stored: Stored;
  readonly #key: string;
  #sum: number;

  constructor(stored: Stored, key: string, sum: number) {
    this.#stored = stored;
    this.#key = key;
    this.#sum = sum;
  }

  async take(into: Uint8Array): Promise<void> {
    await this.#stored.take(into);
    const sum = crc32(into, this.#sum);
    this.#sum = await this.#nextSum();
    if (sum !== this.#sum) throw damaged(this.#key, "a buffer");
  }

  async skip(sizes: readonly number[]): Promise<void> {
    const length = sizes.reduce((sum, size) => sum + size + sumLength, -sumLength);
    this.#stored.skip(length);
    this.#sum = await this.#nextSum();
  }

  async #nextSum(): Promise<number> {
    const bytes = new Uint8Array(sumLength);
    await this.#stored.take(bytes);
    return wordAt(bytes, 0);
  }
}

/** Pieces that were compressed one by one, each with its length and a checksum before it. */
class Compressed {
  readonly #stored: Stored;
  readonly #key: string;
  #sum: number;
  /** Bytes of all buffers that are still compressed. */
  #left: number;
  /** A piece, and what of it was not taken yet. */
  #whole: Uint8Array = new Uint8Array(0);
  #piece: Uint8Array = this.#whole;

  constructor(stored: Stored, key: string, sum: number, total: number) {
    this.#stored = stored;
    this.#key = key;
    this.#sum = sum;
    this.#left = total;
  }

  async take(into: Uint8Array): Promise<void> {
    for (let at = 0; at < into.length; ) {
      const part = await this.#next(into.length - at);
      into.set(part, at);
      at += part.length;
    }
  }

  async skip(sizes: readonly number[]): Promise<void> {
    let left = sizes.reduce((sum, size) => sum + size, 0);
    while (left > 0) left -= (await this.#next(left)).length;
  }

  async #next(most: number): Promise<Uint8Array> {
    if (this.#piece.length === 0) {
      free(this.#whole);
      this.#whole = await this.#decompressed();
      this.#piece = this.#whole;
      this.#left -= this.#whole.length;
    }
    const part = this.#piece.subarray(0, most);
    this.#piece = this.#piece.subarray(part.length);
    return part;
  }

  async #decompressed(): Promise<Uint8Array> {
    const head = new Uint8Array(frameHead);
    await this.#stored.take(head);
    const length = wordAt(head, 0);
    if (length > 2 * pieceSize) throw damaged(this.#key, "the length of a piece");
    const frame = new Uint8Array(length);
    await this.#stored.take(frame);
    this.#sum = crc32(frame, crc32(head.subarray(0, 4), this.#sum));
    if (this.#sum !== wordAt(head, 4)) throw damaged(this.#key, "a piece");
    // What somebody made so that it takes all memory is found out before it takes any.
    const size = contentSize(frame);
    if (size < 1 || size > Math.min(pieceSize, this.#left)) {
      throw foreign(this.#key, "a piece of it has other bytes than its buffers need");
    }
    try {
      return await Bun.zstdDecompress(frame);
    } catch {
      throw foreign(this.#key, "a piece of it cannot be decompressed");
    } finally {
      free(frame);
    }
  }
}

/** How many bytes a frame of zstd says that it has (RFC 8878, 3.1.1.1); 0: it does not say that. */
function contentSize(frame: Uint8Array): number {
  if (frame.length < 6) return 0;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  if (view.getUint32(0, true) !== 0xfd2fb528) return 0;
  const descriptor = view.getUint8(4);
  const isSingle = (descriptor & 0x20) !== 0;
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const at = 5 + (isSingle ? 0 : 1) + dictionary;
  const width = descriptor >> 6;
  if (frame.length < at + 2 ** width) return 0;
  if (width === 0) return isSingle ? view.getUint8(at) : 0;
  if (width === 1) return view.getUint16(at, true) + 256;
  return width === 2 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true));
}
