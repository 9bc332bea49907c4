// How a buffer is described on the wire: its size and its description as headers of a message, and
// back. What stands in a message from elsewhere is checked before anything is made of it.

import { type MsgHdrs, MsgHdrsImpl } from "@nats-io/transport-node";
import type { BufferGuard, DType } from "../index.ts";

/** What a buffer's bytes are, apart from where they lie. */
export interface Description {
  size: number;
  dtype: DType;
  shape: number[] | null;
  strides: number[] | null;
  timestamp: number;
  sequence: number;
  contentType: string;
  producer: string;
}

/** The part of a body that one message carries, where a body is larger than a message may be. */
export interface Part {
  /** Names the whole that it is a part of. */
  whole: string;
  /** 0 for the first. */
  index: number;
  count: number;
  /** Bytes of each part but the last. */
  cut: number;
}

const elementBytes: Record<DType, number> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  uint64: 8,
  int64: 8,
  float16: 2,
  float32: 4,
  float64: 8,
};

const dimensionsMax = 8;
const textBytesMax = 31;

/** The most bytes that headers of one message take, with the names that order them. */
export const headerRoom = 1536;

/** Printable ASCII stays as it is; a header's value begins and ends with no space. */
function escaped(text: string): string {
  return text.replace(/[^\x21-\x24\x26-\x7e]+/gu, encodeURIComponent);
}

function unescaped(value: string): string | null {
  try {
    const text = decodeURIComponent(value);
    const fits = Buffer.byteLength(text) <= textBytesMax && !text.includes("\0");
    return fits && text.isWellFormed() ? text : null;
  } catch {
    return null;
  }
}

function isContiguous(shape: number[], strides: number[], dtype: DType): boolean {
  let stride = elementBytes[dtype];
  for (let i = shape.length - 1; i >= 0; i--) {
    if (strides[i] !== stride) return false;
    stride *= shape[i] ?? 0;
  }
  return true;
}

/** The lines of a buffer's headers. What an acquired buffer has anyway is not said. */
export function describe(guard: BufferGuard): string {
  const { meta, size } = guard;
  const { dtype, shape, timestamp, sequence, contentType, producer } = meta;
  let lines = `\r\nXmem-Size: ${size}`;
  if (dtype !== "uint8") lines += `\r\nXmem-Dtype: ${dtype}`;
  if (shape.length !== 1 || shape[0] !== size) lines += `\r\nXmem-Shape: ${shape.join()}`;
  if (shape.length > 0) {
    const { strides } = meta;
    if (!isContiguous(shape, strides, dtype)) lines += `\r\nXmem-Strides: ${strides.join()}`;
  }
  if (timestamp !== 0) lines += `\r\nXmem-Timestamp: ${timestamp}`;
  if (sequence !== 0) lines += `\r\nXmem-Sequence: ${sequence}`;
  if (contentType !== "") lines += `\r\nXmem-Content-Type: ${escaped(contentType)}`;
  if (producer !== "") lines += `\r\nXmem-Producer: ${escaped(producer)}`;
  return lines;
}

/** The lines that say which part of a body it is. The first part has the description, too. */
export function describePart({ whole, index, count, cut }: Part): string {
  return `\r\nXmem-Part: ${index},${count},${cut}\r\nXmem-Whole: ${whole}`;
}

const encoder = new TextEncoder();

/** Headers that are a text already: the client asks for their bytes, and for nothing else. */
class Lines extends MsgHdrsImpl {
  readonly #lines: string;

  constructor(lines: string) {
    super();
    this.#lines = lines;
  }

  override encode(): Uint8Array {
    return encoder.encode(`NATS/1.0${this.#lines}\r\n\r\n`);
  }
}

export function headersOf(lines: string): MsgHdrs {
  return new Lines(lines);
}

/** A whole number as this file writes it; null for anything else. */
function whole(text: string): number | null {
  if (!/^-?\d{1,16}$/.test(text)) return null;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : null;
}

function natural(text: string): number | null {
  const number = whole(text);
  return number === null || number < 0 ? null : number;
}

function wholes(text: string, countMax: number): number[] | null {
  if (text === "") return [];
  const numbers: number[] = [];
  for (const each of text.split(",")) {
    const number = whole(each);
    if (number === null || numbers.length === countMax) return null;
    numbers.push(number);
  }
  return numbers;
}

/** The description that a message carries; null where it is no message of xmem's. */
export function descriptionOf(headers: MsgHdrs | undefined): Description | null {
  if (headers === undefined) return null;
  const size = natural(headers.get("Xmem-Size"));
  const dtype = headers.get("Xmem-Dtype") || "uint8";
  if (size === null || !Object.hasOwn(elementBytes, dtype)) return null;
  const list = (name: string): number[] | null | undefined =>
    headers.has(name) ? (wholes(headers.get(name), dimensionsMax) ?? undefined) : null;
  const number = (name: string): number | null =>
    headers.has(name) ? natural(headers.get(name)) : 0;
  const shape = list("Xmem-Shape");
  const strides = list("Xmem-Strides");
  const timestamp = number("Xmem-Timestamp");
  const sequence = number("Xmem-Sequence");
  const contentType = unescaped(headers.get("Xmem-Content-Type"));
  const producer = unescaped(headers.get("Xmem-Producer"));
  if (shape === undefined || strides === undefined) return null;
  if (shape?.some((length) => length < 0)) return null;
  if (timestamp === null || sequence === null || contentType === null || producer === null) {
    return null;
  }
  return {
    size,
    dtype: dtype as DType,
    shape,
    strides,
    timestamp,
    sequence,
    contentType,
    producer,
  };
}

/** Writes the description to a buffer that was just acquired. */
export function apply(guard: BufferGuard, description: Description): void {
  const { dtype, shape, strides, timestamp, sequence, contentType, producer } = description;
  const { meta } = guard;
  if (dtype !== "uint8") meta.dtype = dtype;
  if (shape !== null) meta.shape = shape;
  if (strides !== null) meta.strides = strides;
  if (timestamp !== 0) meta.timestamp = timestamp;
  if (sequence !== 0) meta.sequence = sequence;
  if (contentType !== "") meta.contentType = contentType;
  if (producer !== "") meta.producer = producer;
}

/** The part that a message says it is: null for a whole body, undefined for nonsense. */
export function partOf(headers: MsgHdrs, size: number): Part | null | undefined {
  if (!headers.has("Xmem-Part")) return null;
  const [index, count, cut] = wholes(headers.get("Xmem-Part"), 3) ?? [];
  const name = headers.get("Xmem-Whole");
  if (index === undefined || count === undefined || cut === undefined || cut <= 0) {
    return undefined;
  }
  if (name === "" || index < 0 || index >= count || count !== Math.ceil(size / cut))
    return undefined;
  return { whole: name, index, count, cut };
}

/** Bytes that the part must have. */
export function partLength({ index, count, cut }: Part, size: number): number {
  return index < count - 1 ? cut : size - cut * (count - 1);
}
