// What `xmem top` shows: lines for a screen of a given size, from what was sampled. Nothing here
// knows a terminal.

import type { ChannelInfo, ParticipantStats, PoolInfo } from "../index.ts";
import { lagOf, stateOf, waitingAt } from "./info.ts";
import { keyOf, queuedIn, type Sample } from "./sample.ts";
import type { Size } from "./screen.ts";
import {
  bytes,
  type Column,
  count,
  duration,
  printable,
  rate,
  sparkline,
  styled,
  table,
} from "./text.ts";

/** In the order in which the key `s` goes through them. */
export const orders = ["holds", "rate", "waits", "pid", "name"] as const;
export type Order = (typeof orders)[number];

export interface View {
  order: Order;
  reversed: boolean;
  /** How many rows are scrolled away. */
  first: number;
}

export interface PoolFrame {
  name: string;
  clock: string;
  interval: number;
  /** Null while nothing has that name; then `gone` says since when. */
  now: Sample | null;
  /** What was seen last, which stays on the screen. */
  last: Sample | null;
  gone: string;
  /** Shares of used buffers, the newest last. */
  history: readonly number[];
}

function bar(share: number, width: number): string {
  const full = Math.round(Math.min(Math.max(share, 0), 1) * width);
  return `[${"#".repeat(full)}${" ".repeat(width - full)}]`;
}

/** A line with something at its right end. */
function spread(left: string, right: string, width: number): string {
  const gap = Math.max(1, width - Bun.stringWidth(left) - Bun.stringWidth(right));
  return `${left}${" ".repeat(gap)}${right}`;
}

function cut(text: string, width: number): string {
  return Bun.stringWidth(text) > width ? `${Bun.sliceAnsi(text, 0, width - 1)}…` : text;
}

export function poolFrame(frame: PoolFrame, view: View, size: Size): string[] {
  const { name, clock, interval, now, last, gone, history } = frame;
  const width = size.columns;
  const every = `every ${duration(interval)}  ${clock}`;
  const head = styled("inverse", spread(`xmem top  ${cut(name, 40)}`, every, width));
  const keys = foot(view, width);
  if (last === null) return [head, "", `nothing has the name "${name}"; this waits for it`, keys];
  const { stats, rates } = last;
  const share = stats.capacity > 0 ? stats.used / stats.capacity : 0;
  const used = `used ${stats.used}/${stats.capacity} ${bar(share, 20)} ${Math.round(share * 100)}%  `;
  const room = Math.max(0, width - Bun.stringWidth(used));
  const lines = [
    head,
    now === null
      ? styled("red", `THE POOL IS GONE since ${gone}: this is how it was; it waits for the name`)
      : stats.flushing
        ? styled("yellow", "FLUSHING: every acquire is refused")
        : "",
    used + sparkline(history.slice(-room)),
    `acquires/s ${rate(rates.acquired).padEnd(7)} releases/s ${rate(rates.released).padEnd(7)} ` +
      `waits/s ${rate(rates.waits).padEnd(6)} timeouts/s ${rate(rates.timeouts).padEnd(6)} ` +
      `full/s ${rate(rates.full)}`,
    `waiting ${`${stats.waiters}`.padEnd(4)} in flight ${`${stats.inFlight}`.padEnd(5)} ` +
      `queued ${`${queuedIn(stats)}`.padEnd(5)} parked ${`${stats.parked}`.padEnd(4)} ` +
      `committed ${bytes(stats.committedBytes)}`,
    `longest hold ${duration(stats.longestHoldMs)}   oldest lease ${duration(stats.oldestLeaseMs)}   ` +
      `${count(stats.counters.recoveries, "recovery").replace("recoverys", "recoveries")}`,
    "",
  ];
  const rows = [...participantLines(last, view, width), ...channelLines(stats.channels)];
  const free = Math.max(0, size.rows - lines.length - 1);
  return [...lines, ...scrolled(rows, view.first, free), keys];
}

/** As many rows as fit, with the first one, the titles, always there; all where nothing ends. */
function scrolled(rows: string[], first: number, room: number): string[] {
  if (room === Number.POSITIVE_INFINITY) return rows;
  if (rows.length <= room) return [...rows, ...Array(room - rows.length).fill("")];
  const [titles = "", ...others] = rows;
  const start = Math.min(first, Math.max(0, others.length - (room - 1)));
  return [titles, ...others.slice(start, start + room - 1)];
}

function foot(view: View, width: number): string {
  const sorted = `${view.order}${view.reversed ? ", reversed" : ""}`;
  return styled("dim", cut(`q quit  s sort (${sorted})  r reverse  up/down scroll`, width));
}

function participantLines(sample: Sample, view: View, width: number): string[] {
  const { stats, participantRates } = sample;
  const ratesOf = (each: ParticipantStats) =>
    participantRates.get(keyOf(each)) ?? { acquired: 0, released: 0, waits: 0 };
  const by: Record<Order, (one: ParticipantStats, other: ParticipantStats) => number> = {
    holds: (one, other) => other.holds - one.holds,
    rate: (one, other) => ratesOf(other).acquired - ratesOf(one).acquired,
    waits: (one, other) =>
      Number(other.waiting) - Number(one.waiting) || ratesOf(other).waits - ratesOf(one).waits,
    pid: (one, other) => one.pid - other.pid,
    name: (one, other) => one.name.localeCompare(other.name),
  };
  const sorted = stats.participants.toSorted(by[view.order]);
  if (view.reversed) sorted.reverse();
  const columns: Column[] = [
    { title: "PID", right: true },
    { title: "TID", right: true },
    { title: "PARTICIPANT" },
    { title: "HOLDS", right: true },
    { title: "ACQ/S", right: true },
    { title: "REL/S", right: true },
    { title: "WAITS/S", right: true },
    { title: "STATE" },
  ];
  const nameRoom = Math.max(8, Math.min(31, width - 54));
  const rows = sorted.map((each) => {
    const rates = ratesOf(each);
    return [
      `${each.pid}`,
      `${each.tid}`,
      cut(printable(each.name), nameRoom),
      `${each.holds}`,
      rate(rates.acquired),
      rate(rates.released),
      rate(rates.waits),
      stateOf(each),
    ];
  });
  return table(columns, rows);
}

function channelLines(channels: ChannelInfo[]): string[] {
  if (channels.length === 0) return [];
  const columns: Column[] = [
    { title: "CHANNEL" },
    { title: "QUEUED", right: true },
    { title: "OF", right: true },
    { title: "LAG", right: true },
    { title: "SENT", right: true },
    { title: "RECEIVED", right: true },
    { title: "DROPPED", right: true },
    { title: "WAITING" },
  ];
  const rows = channels.map((each) => [
    cut(printable(each.name), 20),
    `${each.queued}`,
    `${each.capacity}`,
    each.mode === "broadcast" ? `${lagOf(each)}` : "",
    `${each.sent}`,
    `${each.received}`,
    `${each.dropped}`,
    waitingAt(each),
  ]);
  return ["", ...table(columns, rows)];
}

export interface FolderFrame {
  folder: string;
  clock: string;
  interval: number;
  pools: { info: PoolInfo; last: Sample | null; history: readonly number[] }[];
}

export function folderFrame(frame: FolderFrame, view: View, size: Size): string[] {
  const every = `every ${duration(frame.interval)}  ${frame.clock}`;
  const title = `xmem top  ${count(frame.pools.length, "pool")} in ${cut(frame.folder, 40)}`;
  const head = styled("inverse", spread(title, every, size.columns));
  const keys = foot(view, size.columns);
  const holds = (each: FolderFrame["pools"][number]): number => each.last?.stats.used ?? -1;
  const by: Record<Order, (one: never, other: never) => number> = {
    holds: (one, other) => holds(other) - holds(one),
    rate: (one: Each, other: Each) => perSecond(other) - perSecond(one),
    waits: (one: Each, other: Each) =>
      (other.last?.stats.waiters ?? 0) - (one.last?.stats.waiters ?? 0),
    pid: () => 0,
    name: (one: Each, other: Each) => one.info.name.localeCompare(other.info.name),
  };
  const sorted = frame.pools.toSorted(by[view.order] as (one: Each, other: Each) => number);
  if (view.reversed) sorted.reverse();
  const columns: Column[] = [
    { title: "POOL" },
    { title: "USED", right: true },
    { title: "OF", right: true },
    { title: "ACQ/S", right: true },
    { title: "WAITING", right: true },
    { title: "OPEN BY", right: true },
    { title: "" },
  ];
  const rows = sorted.map(({ info, last, history }) => {
    const name = cut(printable(info.name), 28);
    if (last === null) return [name, "-", "-", "-", "-", "-", info.problem ?? ""];
    const { stats, rates } = last;
    return [
      name,
      `${stats.used}`,
      `${stats.capacity}`,
      rate(rates.acquired),
      `${stats.waiters}`,
      `${stats.participants.filter(({ alive }) => alive).length}`,
      sparkline(history.slice(-20)),
    ];
  });
  const free = Math.max(0, size.rows - 3);
  return [head, "", ...scrolled(table(columns, rows), view.first, free), keys];
}

type Each = FolderFrame["pools"][number];

function perSecond({ last }: Each): number {
  return last?.rates.acquired ?? -1;
}
