// The map of a pool's slots, small enough to be sent again and again: a pool of a million slots has
// no more cells than one of a few thousand.

import type { BufferInfo } from "../../index.ts";

export const cellsMost = 4096;

export interface SlotMap {
  /** How many slots a cell stands for. */
  per: number;
  /** A character for each cell: what its slot is, or most of the used ones of its slots. */
  states: string;
  /** The number of the participant, for each cell that is held by a live or a dead one. */
  holders: number[];
  /** A digit for each cell, where it stands for several slots: how many ninths of them are used. */
  fill?: string;
}

const letters = {
  held: "h",
  dead: "x",
  queued: "q",
  "in-flight": "i",
  parked: "p",
  changing: "c",
} as const;
const free = ".";

type Holder = BufferInfo["holders"][number];
export type NumberOf = (holder: Holder) => number;

export function slotsPerCell(capacity: number): number {
  return Math.max(1, Math.ceil(capacity / cellsMost));
}

/** One of its holders: a live one where there is one. */
function holderOf({ holders }: BufferInfo): Holder | undefined {
  return holders.find(({ alive }) => alive) ?? holders[0];
}

/** What one buffer is on the map: its letter, and its holder's number where it is held. */
function kindOf(buffer: BufferInfo, numberOf: NumberOf): string {
  if (buffer.state !== "held") return letters[buffer.state];
  const holder = holderOf(buffer);
  if (holder === undefined) return letters.changing;
  return `${holder.alive ? letters.held : letters.dead}${numberOf(holder)}`;
}

/** `buffers` are in order of their indexes. */
export function mapOf(
  capacity: number,
  buffers: readonly BufferInfo[],
  numberOf: NumberOf,
): SlotMap {
  const per = slotsPerCell(capacity);
  const length = Math.ceil(capacity / per);
  const states: string[] = new Array(length).fill(free);
  const fill: string[] = new Array(length).fill("0");
  const holders: number[] = [];
  for (let next = 0; next < buffers.length; ) {
    const cell = Math.floor((buffers[next]?.index ?? 0) / per);
    const counts = new Map<string, number>();
    let used = 0;
    for (; Math.floor((buffers[next]?.index ?? -1) / per) === cell; next++, used++) {
      const kind = kindOf(buffers[next] as BufferInfo, numberOf);
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    // A pool that was replaced between two looks may have had more slots.
    if (cell >= length) break;
    const [[kind] = [letters.changing]] = [...counts].sort(([, one], [, other]) => other - one);
    states[cell] = kind.charAt(0);
    if (kind.length > 1) holders.push(Number(kind.slice(1)));
    fill[cell] = `${Math.ceil((9 * used) / per)}`;
  }
  const map = { per, states: states.join(""), holders };
  return per === 1 ? map : { ...map, fill: fill.join("") };
}

/** The most buffers of one cell that are described. */
const describedMost = 12;

export interface CellDetails {
  first: number;
  last: number;
  /** How many buffers of the cell are in which state. */
  counts: Record<string, number>;
  buffers: BufferInfo[];
}

export function detailsOf(
  capacity: number,
  buffers: readonly BufferInfo[],
  cell: number,
): CellDetails {
  const per = slotsPerCell(capacity);
  const first = cell * per;
  const last = Math.min(first + per, capacity) - 1;
  const within = buffers.filter(({ index }) => index >= first && index <= last);
  const counts: Record<string, number> = {};
  for (const { state } of within) counts[state] = (counts[state] ?? 0) + 1;
  return { first, last, counts, buffers: within.slice(0, describedMost) };
}
