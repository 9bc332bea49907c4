// The buffers that are in use, one by one: what each is, where it is, and who holds it since when.
// It writes nothing.

import { uptime } from "node:os";
import { numberedChannels } from "../channel/statistics.ts";
import type { Descriptor } from "../generated/abi.gen.ts";
import * as constants from "../generated/constants.gen.ts";
import { linesOf, type PublishedHold, publishedBy } from "../lifetime/published.ts";
import type { TracedHold } from "../lifetime/tether.ts";
import { indexOf } from "../native/handle.ts";
import { native } from "../native/native.ts";
import { bytes, decodeText, float64s } from "../native/scratch.ts";
import { type Member, membersOf } from "./statistics.ts";

/** A participant, as far as its row says who that is. */
export interface ParticipantName {
  /** The process' id, in its own PID namespace. */
  pid: number;
  /** The thread's id, in its own PID namespace. */
  tid: number;
  /** The `participantName` that it opened the pool with; "" without one. */
  name: string;
  /** Whether the thread lives. */
  alive: boolean;
}

/** Where a process made a hold, as it says itself: only with `XMEM_TRACE=1` in its environment. */
export interface HoldTrace {
  /** When. */
  since: Date;
  /** The frames of the stack, the innermost first. */
  stack: string[];
}

/** A participant that holds a buffer. */
export interface BufferHolder extends ParticipantName {
  /** How often: each clone counts. */
  holds: number;
  /**
   * Where and when it made those holds. Empty without `XMEM_TRACE=1`, where its process cannot be
   * looked at (it is another user's, or of another PID namespace), and outside Linux.
   */
  traces: HoldTrace[];
}

/** A buffer in use. While others work, each part is true of some moment. */
export interface BufferInfo {
  /** The slot's number. */
  index: number;
  /** Names the buffer for as long as it is not recycled. */
  handle: number;
  /**
   * Where it is: somebody holds it; it is in a channel; only in-flight references are left, which
   * nobody has taken; it is at count 0, parked by `release`; or it is changing just now.
   */
  state: "held" | "queued" | "in-flight" | "parked" | "changing";
  /** Bytes, as they were acquired or truncated. */
  size: number;
  /** Bytes of memory that it has. */
  committedBytes: number;
  /** All references: holds, in-flight ones, and one for each place in a channel. */
  references: number;
  /** Those that nobody owns. */
  inFlight: number;
  /**
   * When it was acquired, to within some hundredths of a second. Later holds, by `get`, `take` or
   * `clone`, leave it as it is.
   */
  acquiredAt: Date;
  /**
   * When the last in-flight reference was made, or the buffer was parked; null where nothing is in
   * flight, and where leases never end.
   */
  handedOverAt: Date | null;
  /**
   * Who did that: the participant whose row it was. Null where nothing is in flight, or where that
   * participant has left the pool.
   */
  handedOverBy: ParticipantName | null;
  /** When what is in flight will be dropped; null where nothing is, or where it never will be. */
  leaseEndsAt: Date | null;
  /** The names of the channels that it is in. */
  channels: string[];
  /** How often it was received from a channel that redelivers; else 0. */
  deliveries: number;
  /** From its description. */
  contentType: string;
  /** From its description. */
  producer: string;
  /** From its description. */
  timestamp: number;
  /** From its description. */
  sequence: number;
  /** Who holds it. */
  holders: BufferHolder[];
}

/** A guard that is not done. */
export interface OutstandingBuffer {
  /** The slot's number. */
  index: number;
  /** Names the buffer. */
  handle: number;
  /** Bytes of the buffer. */
  size: number;
  /** When the guard was made; without `XMEM_TRACE=1` when its buffer was acquired. */
  since: Date;
  /** The frames of the stack that made the guard; empty without `XMEM_TRACE=1`. */
  stack: string[];
}

/** How many buffers one native call describes. */
const chunk = 1024;
const textRoom = constants.SLOT_TEXTS_ROOM / 2;

interface Slot {
  index: number;
  field(which: number): number;
  contentType: string;
  producer: string;
}

/** The slots in use from `first` on. */
function* slotsOf(descriptor: Descriptor, first: number, most: number): Generator<Slot> {
  const values = float64s(most * constants.SLOT_COUNT);
  const texts = bytes(most * constants.SLOT_TEXTS_ROOM);
  let next = first;
  while (true) {
    const count = native.xmem_bun_slots(descriptor, next, values, texts, most);
    for (let place = 0; place < count; place++) {
      const field = (which: number): number => values[place * constants.SLOT_COUNT + which] ?? 0;
      const text = (which: number): string => {
        const start = place * constants.SLOT_TEXTS_ROOM + which * textRoom;
        return decodeText(texts.subarray(start, start + textRoom)).split("\0", 1)[0] ?? "";
      };
      const index = field(constants.SLOT_INDEX);
      next = index + 1;
      yield { index, field, contentType: text(0), producer: text(1) };
    }
    if (count < most) return;
  }
}

/** The pairs of an index and a count that `fill` writes from an index on. */
function* pairsOf(
  fill: (first: number, out: Uint32Array, most: number) => number,
): Generator<[index: number, count: number]> {
  const pairs = new Uint32Array(new ArrayBuffer(2 * chunk * 4));
  let next = 0;
  while (true) {
    const count = fill(next, pairs, chunk);
    for (let place = 0; place < count; place++) {
      const index = pairs[2 * place] ?? 0;
      next = index + 1;
      yield [index, pairs[2 * place + 1] ?? 0];
    }
    if (count < chunk) return;
  }
}

function add<Value>(to: Map<number, Value[]>, index: number, value: Value): void {
  const before = to.get(index);
  if (before === undefined) to.set(index, [value]);
  else before.push(value);
}

/** Which channels each buffer is in, by index. */
function queuesOf(descriptor: Descriptor, channels: ReturnType<typeof numberedChannels>) {
  const queued = new Map<number, string[]>();
  const room = constants.LIMIT_CHANNEL_CAPACITY * 2;
  const indexes = new Uint32Array(new ArrayBuffer(room * 4));
  for (const { number, info } of channels) {
    const count = native.xmem_bun_channel_queue(descriptor, number, indexes, room);
    for (const index of indexes.subarray(0, count)) add(queued, index, info.name);
  }
  return queued;
}

/** Who holds each buffer, by index; `traces` are those of all its generations. */
function holdersOf(descriptor: Descriptor, members: Member[], home: string) {
  const holders = new Map<number, (BufferHolder & { published: PublishedHold[] })[]>();
  const published = new Map<number, PublishedHold[]>();
  for (const { row, stats } of members) {
    const { pid, tid, name, alive } = stats;
    if (alive && !published.has(pid)) published.set(pid, publishedBy(pid));
    const own = published.get(pid)?.filter((each) => each.participant === `${home}:${row}`) ?? [];
    const byIndex = Map.groupBy(own, ({ handle }) => indexOf(handle));
    const fill = (first: number, out: Uint32Array, most: number): number =>
      native.xmem_bun_held_by(descriptor, row, first, out, most);
    for (const [index, holds] of pairsOf(fill)) {
      const known = byIndex.get(index) ?? [];
      add(holders, index, { pid, tid, name, alive, holds, traces: [], published: known });
    }
  }
  return holders;
}

/**
 * Whether the process of a row began later than `age` milliseconds ago: then the row was another
 * participant's at that time.
 */
function cameLater({ started }: Member, age: number): boolean {
  // It is in ticks of 10 ms since the machine's start. A second is for the clocks' differences.
  return started > 0 && uptime() * 1000 - started * 10 + 1000 < age;
}

function millisecondsFrom(now: number, difference: number): Date | null {
  // A damaged pool may say anything, and a Date holds less.
  const at = now + difference;
  return Number.isFinite(at) && Math.abs(at) <= latestDate ? new Date(at) : null;
}

const latestDate = 8.64e15;

/** Every buffer in use, in order of the indexes. */
export function buffersOf(descriptor: Descriptor): BufferInfo[] {
  const info = float64s(constants.INFO_COUNT);
  native.xmem_bun_info(descriptor, info);
  const value = (which: number): number => info[which] ?? 0;
  const home = `${value(constants.INFO_DEVICE)}:${value(constants.INFO_INODE)}`;
  const members = membersOf(descriptor, value(constants.INFO_MAX_PARTICIPANTS));
  const byRow = new Map(members.map((member) => [member.row, member]));
  const channels = numberedChannels(descriptor, value(constants.INFO_CHANNELS));
  const queued = queuesOf(descriptor, channels);
  const holders = holdersOf(descriptor, members, home);
  const now = Date.now();
  return Array.from(slotsOf(descriptor, 0, chunk), (slot): BufferInfo => {
    const { index, field, contentType, producer } = slot;
    const handle = field(constants.SLOT_HANDLE);
    const references = field(constants.SLOT_REFERENCES);
    const inFlight = field(constants.SLOT_IN_FLIGHT);
    const holds = (holders.get(index) ?? []).map(({ published, ...holder }) => ({
      ...holder,
      traces: published
        .filter((each) => each.handle === handle)
        .map(({ since, stack }) => ({ since: new Date(since), stack })),
    }));
    const within = queued.get(index) ?? [];
    const handedOver = field(constants.SLOT_HANDED_OVER_MS);
    const by = byRow.get(field(constants.SLOT_HANDED_OVER_BY));
    return {
      index,
      handle,
      state: stateOf(slot, holds.length, within.length),
      size: field(constants.SLOT_SIZE),
      committedBytes: field(constants.SLOT_COMMITTED),
      references,
      inFlight,
      acquiredAt: millisecondsFrom(now, -field(constants.SLOT_AGE_MS)) ?? new Date(0),
      handedOverAt: millisecondsFrom(now, -handedOver),
      handedOverBy: by === undefined || cameLater(by, handedOver) ? null : nameOf(by),
      leaseEndsAt: millisecondsFrom(now, field(constants.SLOT_LEASE_LEFT_MS)),
      channels: within,
      deliveries: field(constants.SLOT_DELIVERIES),
      contentType,
      producer,
      timestamp: field(constants.SLOT_TIMESTAMP),
      sequence: field(constants.SLOT_SEQUENCE),
      holders: holds,
    };
  });
}

function stateOf({ field }: Slot, holders: number, channels: number): BufferInfo["state"] {
  if (field(constants.SLOT_PRIVATE) !== 0) return "changing";
  if (holders > 0) return "held";
  if (channels > 0) return "queued";
  if (field(constants.SLOT_REFERENCES) === 0) return "parked";
  return field(constants.SLOT_IN_FLIGHT) > 0 ? "in-flight" : "changing";
}

function nameOf({ stats: { pid, tid, name, alive } }: Member): ParticipantName {
  return { pid, tid, name, alive };
}

/** The guards of one open that are not done, the oldest first where that is known. */
export function outstandingOf(
  descriptor: Descriptor,
  traced: Iterable<TracedHold> | null,
): OutstandingBuffer[] {
  if (traced !== null) {
    return Array.from(traced, ({ handle, size, since, stack }) => ({
      index: indexOf(handle),
      handle,
      size,
      since: new Date(since),
      stack: linesOf(stack),
    }));
  }
  const fill = (first: number, out: Uint32Array, most: number): number =>
    native.xmem_bun_held_here(descriptor, first, out, most);
  const now = Date.now();
  return [...pairsOf(fill)].flatMap(([index, holds]) => {
    const [slot] = slotsOf(descriptor, index, 1);
    if (slot?.index !== index) return [];
    const handle = slot.field(constants.SLOT_HANDLE);
    const size = slot.field(constants.SLOT_SIZE);
    const since = millisecondsFrom(now, -slot.field(constants.SLOT_AGE_MS)) ?? new Date(0);
    return Array.from({ length: holds }, () => ({ index, handle, size, since, stack: [] }));
  });
}
