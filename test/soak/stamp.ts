// The stamp that the soak writes into buffers: which thread wrote, a running number, and the
// purpose. It stands at the beginning and at the end of a buffer, with a pattern of it in between,
// so that a second writer, an older content or a torn one shows wherever it is.

import type { ThreadId } from "./thread_life.ts";

const states = {
  /** One thread writes. */
  claimed: 0x5a01,
  /** Given to the thread that takes the message about it. */
  published: 0x5a02,
  /** Nobody writes any more, several may read. */
  shared: 0x5a03,
  /** Counted to 0 by hand. */
  parked: 0x5a04,
  /** Its holder is about to give it back. */
  released: 0x5a05,
} as const;

export type State = keyof typeof states;

export interface Stamp {
  state: State;
  writer: ThreadId;
  sequence: number;
  /** The buffer's bytes. */
  size: number;
}

const wordCount = 8;
const strideWords = 16;
/** Room for both stamps. */
export const sizeMin: number = 2 * wordCount * 4;

function checksumOf(words: readonly number[]): number {
  let sum = 0x811c9dc5;
  for (const word of words) sum = Math.imul(sum ^ word, 0x01000193) ^ (sum >>> 13);
  return sum >>> 0;
}

function encode(stamp: Stamp, place: number): number[] {
  const { writer } = stamp;
  const words = [states[stamp.state], writer.pid, writer.tid, writer.start, stamp.sequence];
  words.push(stamp.size, place);
  words.push(checksumOf(words));
  return words;
}

function decode(words: Uint32Array, offset: number): Stamp | null {
  const found = [...words.subarray(offset, offset + wordCount)];
  const [code, pid = 0, tid = 0, start = 0, sequence = 0, size = 0] = found;
  if (checksumOf(found.slice(0, -1)) !== found.at(-1)) return null;
  const state = (Object.keys(states) as State[]).find((each) => states[each] === code);
  return state === undefined ? null : { state, writer: { pid, tid, start }, sequence, size };
}

function pattern(stamp: Stamp, place: number, at: number): number {
  const { writer, sequence } = stamp;
  return (Math.imul(writer.tid ^ (sequence << 8) ^ (at << 4), 0x9e3779b1) ^ place) >>> 0;
}

/** Over `words`, the whole buffer. `place` is the slot's index. */
export function write(words: Uint32Array, stamp: Stamp, place: number): void {
  const encoded = encode(stamp, place);
  words.set(encoded, 0);
  for (let at = wordCount; at < words.length - wordCount; at += strideWords) {
    words[at] = pattern(stamp, place, at);
  }
  words.set(encoded, words.length - wordCount);
}

/** What is wrong with a buffer that should bear `stamp`; null when nothing is. */
export function mismatch(words: Uint32Array, stamp: Stamp, place: number): string | null {
  const encoded = encode(stamp, place);
  const tail = words.length - wordCount;
  for (let i = 0; i < wordCount; i++) {
    if (words[i] === encoded[i] && words[tail + i] === encoded[i]) continue;
    const [head, end] = [describe(decode(words, 0)), describe(decode(words, tail))];
    return `expected ${describe(stamp)}, found ${head} at the beginning, ${end} at the end`;
  }
  for (let at = wordCount; at < tail; at += strideWords) {
    if (words[at] === pattern(stamp, place, at)) continue;
    return `expected ${describe(stamp)}, found another's pattern in word ${at}`;
  }
  return null;
}

/** The stamps that can be read in a buffer whose last user is unknown. */
export function stampsIn(words: Uint32Array): Stamp[] {
  const found = [decode(words, 0), decode(words, words.length - wordCount)];
  return found.filter((stamp) => stamp !== null);
}

function describe(stamp: Stamp | null): string {
  if (stamp === null) return "no whole stamp";
  const { state, writer, sequence, size } = stamp;
  return `${state} ${sequence} of thread ${writer.pid}/${writer.tid}, ${size} bytes`;
}
