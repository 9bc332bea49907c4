// The writes of the interface's fuzzer to a pool's control area: through a descriptor of its own,
// at places that the generated constants name. It never writes to a robust mutex, whose list
// pointers are libc's own and are not protected.

import { closeSync, fstatSync, openSync, readSync, statSync, writeSync } from "node:fs";
import * as constants from "../../src/generated/constants.gen.ts";
import type { Random } from "./random.ts";

interface Field {
  name: string;
  offset: number;
  width: number;
}

/**
 * Fields by the prefix of their constants; a field that is longer than a word is hit at each of its
 * words.
 */
function fieldsOf(prefix: string, end: number): Field[] {
  const named = Object.entries(constants)
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, offset]) => ({ name: name.slice(prefix.length), offset }))
    .sort((a, b) => a.offset - b.offset);
  return named.flatMap(({ name, offset }, place) => {
    const length = (named[place + 1]?.offset ?? end) - offset;
    if (/PADDING|RESERVED|MUTEX/.test(name)) return [];
    const width = [8, 4, 2].find((bytes) => length >= bytes && offset % bytes === 0) ?? 1;
    return Array.from({ length: Math.floor(length / width) }, (_, word) => ({
      name,
      offset: offset + word * width,
      width,
    }));
  });
}

const identity = fieldsOf("AT_IDENTITY_", 160);
const hot = fieldsOf("AT_HOT_", 384);
const repair = fieldsOf("AT_REPAIR_", 512);
const row = fieldsOf("AT_ROW_", constants.SIZE_ROW);
const slot = fieldsOf("AT_SLOT_", constants.SIZE_SLOT);
/** Of a channel's block: its words and its first cells, from its state on. */
const channel = { first: 64, end: 1184 };

/** A change of one of these before an open must make the open refuse the pool. */
const structural = identity.filter(({ name }) =>
  /MAGIC|VERSION|LIBC|HASH|STRIDE|SIZE$|OFFSET|CAPACITY|_COUNT/.test(name),
);
const unchecked = new Set(["BUFFER_SIZE"]);

const interesting = [
  0n,
  1n,
  2n,
  3n,
  2n ** 16n - 1n,
  2n ** 24n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];

export class Corruption {
  readonly #fd: number;
  readonly #path: string;
  readonly #random: Random;
  readonly #capacity: number;
  readonly #participants: number;
  readonly #participantsAt: number;
  readonly #slotsAt: number;
  readonly #rowsAt: number;
  readonly #rowStride: number;
  readonly #channels: number;
  readonly #channelsAt: number;
  readonly #channelStride: number;
  readonly #dataAt: number;
  readonly #original: Buffer;
  readonly #log: (line: string) => void;

  constructor(path: string, random: Random, log: (line: string) => void) {
    this.#fd = openSync(path, "r+");
    this.#path = path;
    this.#random = random;
    this.#log = log;
    const number = (at: number, width: number): number => Number(this.#load(at, width));
    this.#capacity = number(constants.AT_IDENTITY_CAPACITY, 4);
    this.#participants = number(constants.AT_IDENTITY_PARTICIPANT_COUNT, 4);
    this.#participantsAt = number(constants.AT_IDENTITY_PARTICIPANTS_OFFSET, 8);
    this.#slotsAt = number(constants.AT_IDENTITY_SLOTS_OFFSET, 8);
    this.#rowsAt = number(constants.AT_IDENTITY_HOLD_ROWS_OFFSET, 8);
    this.#rowStride = number(constants.AT_IDENTITY_HOLD_ROW_STRIDE, 8);
    this.#channels = number(constants.AT_IDENTITY_CHANNEL_COUNT, 4);
    this.#channelsAt = number(constants.AT_IDENTITY_CHANNELS_OFFSET, 8);
    this.#channelStride = number(constants.AT_IDENTITY_CHANNEL_STRIDE, 8);
    this.#dataAt = number(constants.AT_IDENTITY_DATA_OFFSET, 8);
    this.#original = this.#identity();
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Whether an open by name that reads the header now has to refuse it. */
  get mustRefuse(): boolean {
    // A damaged row can have had an ephemeral pool replaced by a new one.
    const named = statSync(this.#path, { throwIfNoEntry: false });
    if (named?.ino !== fstatSync(this.#fd).ino) return false;
    const now = this.#identity();
    return structural.some(
      ({ name, offset, width }) =>
        !unchecked.has(name) &&
        !now
          .subarray(offset, offset + width)
          .equals(this.#original.subarray(offset, offset + width)),
    );
  }

  someWrites(): void {
    const count = 1 + this.#random.below(1 + this.#random.below(8));
    for (let write = 0; write < count; write++) this.#oneWrite();
  }

  identityWrite(): void {
    const { name, offset, width } = this.#random.pick(identity);
    this.#store(name, offset, width, this.#value(name, offset, width));
  }

  #identity(): Buffer {
    const bytes = Buffer.alloc(160);
    readSync(this.#fd, bytes, 0, bytes.length, 0);
    return bytes;
  }

  #oneWrite(): void {
    const random = this.#random;
    switch (random.below(12)) {
      case 0:
        this.#fill();
        break;
      case 1: {
        const at = this.#slotAt(random.below(this.#capacity)) + constants.AT_SLOT_NEXT_FREE;
        this.#store("NEXT_FREE", at, 4, BigInt(random.below(this.#capacity)));
        break;
      }
      case 2: {
        // A word of one slot stands in another one.
        const { name, offset, width } = random.pick(slot);
        const from = this.#slotAt(random.below(this.#capacity)) + offset;
        const to = this.#slotAt(random.below(this.#capacity)) + offset;
        this.#store(name, to, width, this.#load(from, width));
        break;
      }
      default: {
        const { name, offset, width } = this.#place();
        this.#store(name, offset, width, this.#value(name, offset, width));
      }
    }
  }

  #slotAt(index: number): number {
    return this.#slotsAt + index * constants.SIZE_SLOT;
  }

  #rowIndex(): number {
    return this.#random.below(Math.min(this.#participants, this.#random.once(4) ? 64 : 3));
  }

  #place(): Field {
    const random = this.#random;
    const moved = (field: Field, by: number): Field => ({ ...field, offset: field.offset + by });
    if (this.#channels > 0 && random.once(4)) {
      const width = random.pick([4, 8]);
      const words = (channel.end - channel.first) / width;
      const at = this.#channelsAt + random.below(this.#channels) * this.#channelStride;
      return {
        name: "channel",
        offset: at + channel.first + width * random.below(words),
        width,
      };
    }
    switch (random.below(10)) {
      case 0:
      case 1:
      case 2:
        return random.pick(hot);
      case 3:
        return random.pick(repair);
      case 4:
        return random.pick(identity);
      case 5:
        return moved(
          random.pick(row),
          this.#participantsAt + this.#rowIndex() * constants.SIZE_ROW,
        );
      case 6: {
        const offset = this.#rowsAt + this.#rowIndex() * this.#rowStride;
        return { name: "hold", offset: offset + 2 * random.below(this.#capacity), width: 2 };
      }
      default: {
        // The control word, and a description's counts and lengths, are a sixth each, however many
        // words there are besides.
        const counts = { name: "DESCRIPTION", offset: constants.AT_SLOT_DESCRIPTION, width: 1 };
        const field = random.pick([
          slot[0],
          moved(counts, random.below(8)),
          ...Array.from({ length: 4 }, () => random.pick(slot)),
        ]);
        return moved(field as Field, this.#slotAt(random.below(this.#capacity)));
      }
    }
  }

  #value(name: string, offset: number, width: number): bigint {
    const random = this.#random;
    const now = this.#load(offset, width);
    switch (random.below(6)) {
      case 0:
      case 1:
        return now ^ (1n << BigInt(random.below(width * 8)));
      case 2:
        return random.uint64();
      case 3:
        return now + (random.once(2) ? 1n : -1n);
      default:
        if (name === "CONTROL") return this.#control(now);
        if (name === "FREE_HEAD") return this.#head(now);
        if (random.once(3)) return BigInt(this.#capacity + random.below(3) - 1);
        return random.pick(interesting);
    }
  }

  #control(now: bigint): bigint {
    const random = this.#random;
    const count = (): bigint => random.pick([0n, 1n, 2n, 65_534n, 65_535n]);
    const generation = random.pick([0n, 1n, 2n ** 29n - 1n, now & (2n ** 29n - 1n)]);
    const frozen = random.once(4) ? 1n : 0n;
    const state = BigInt(random.below(4));
    return generation | (count() << 29n) | (count() << 45n) | (state << 61n) | (frozen << 63n);
  }

  #head(now: bigint): bigint {
    const random = this.#random;
    const index = random.pick([0, this.#capacity - 1, this.#capacity, 2 ** 24 - 1]);
    const frozen = random.once(4) ? 1n : 0n;
    return (now & ~(2n ** 24n - 1n) & (2n ** 63n - 1n)) | BigInt(index) | (frozen << 63n);
  }

  #fill(): void {
    const first = constants.AT_HOT_FREE_HEAD;
    const length = this.#random.pick([8, 64, 384, 640]);
    const start = first + this.#random.below(this.#rowsAt - first);
    this.#log(`fill ${length} bytes at ${start}`);
    for (let offset = start; offset < Math.min(start + length, this.#rowsAt); offset++) {
      this.#write(offset, Buffer.of(this.#random.below(256)));
    }
  }

  #load(offset: number, width: number): bigint {
    const bytes = Buffer.alloc(8);
    readSync(this.#fd, bytes, 0, width, offset);
    return bytes.readBigUInt64LE();
  }

  #store(name: string, offset: number, width: number, value: bigint): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
    this.#log(`${name} at ${offset}: ${bytes.subarray(0, width).toHex()}`);
    this.#write(offset, bytes.subarray(0, width));
  }

  #write(offset: number, bytes: Buffer): void {
    if (offset + bytes.length > this.#dataAt) throw new Error(`a write at ${offset}`);
    if (!this.#touchesMutex(offset, bytes.length))
      writeSync(this.#fd, bytes, 0, bytes.length, offset);
  }

  #touchesMutex(offset: number, length: number): boolean {
    const mutex = constants.AT_REPAIR_MUTEX;
    if (offset + length > mutex && offset < mutex + constants.SIZE_MUTEX) return true;
    if (offset < this.#participantsAt || offset >= this.#slotsAt) return false;
    return (offset - this.#participantsAt) % constants.SIZE_ROW < constants.SIZE_MUTEX;
  }
}
