// `xmem info`: everything that a look from outside sees of one pool, down to each buffer and to the
// line that holds it.

import { statSync } from "node:fs";
import {
  type BufferHolder,
  type BufferInfo,
  BufferPool,
  type ChannelInfo,
  type LookOptions,
  type ParticipantName,
  type PoolStats,
} from "../index.ts";
import { type Decoded, identityOf, pathOf } from "./dump.ts";
import { lookOf } from "./list.ts";
import { bytes, count, duration, json, printable, styled, table } from "./text.ts";

export interface InfoOptions extends LookOptions {
  json?: boolean;
  all?: boolean;
}

/** What a pool was made as. */
interface Layout {
  path: string;
  formatVersion: number;
  createdAt: Date;
  totalBytes: number;
  capacity: number;
  bufferSize: number;
  stride: number;
  dataOffset: number;
  maxParticipants: number;
  maxChannels: number;
  maxCommitted: number;
  leaseTimeout: number;
  zeroOnRelease: boolean;
  ephemeral: boolean;
  mode: string;
  owner: number;
  group: number;
}

function layoutOf(pool: string): Layout {
  const identity: Decoded = identityOf(pool);
  const number = (name: string): number => Number(identity[name]);
  const path = pathOf(pool);
  const { mode, uid, gid } = statSync(path);
  const dataBytes = number("capacity") * number("stride");
  return {
    path,
    formatVersion: number("version"),
    createdAt: new Date(Math.min(number("created_at_ms"), 8.64e15)),
    totalBytes: number("total_size"),
    capacity: number("capacity"),
    bufferSize: number("buffer_size"),
    stride: number("stride"),
    dataOffset: number("data_offset"),
    maxParticipants: number("participant_count"),
    maxChannels: number("channel_count"),
    maxCommitted: number("max_committed") || dataBytes,
    leaseTimeout: number("lease_timeout_ms"),
    zeroOnRelease: number("zero_on_release") !== 0,
    ephemeral: number("ephemeral") !== 0,
    mode: (mode & 0o777).toString(8).padStart(4, "0"),
    owner: uid,
    group: gid,
  };
}

const shownBuffers = 20;

export function info(pool: string, options: InfoOptions): string {
  const look = lookOf(options);
  // The look at the whole comes first: it says what is wrong with a pool that is none.
  const stats = BufferPool.inspect(pool, look);
  const buffers = BufferPool.buffers(pool, look);
  const layout = layoutOf(pool);
  if (options.json === true) return json({ name: pool, layout, stats, buffers });
  return [
    ...summary(pool, layout, stats),
    ...section("participants", participants(stats)),
    ...section("channels", channels(stats.channels)),
    ...section("buffers in use, the oldest first", bufferLines(buffers, options.all === true)),
    ...section("", advice(stats, buffers)),
  ].join("\n");
}

function section(title: string, lines: string[]): string[] {
  if (lines.length === 0) return [];
  return title === "" ? ["", ...lines] : ["", styled("bold", title), ...lines];
}

function summary(pool: string, layout: Layout, stats: PoolStats): string[] {
  const { counters } = stats;
  const kinds = [layout.ephemeral ? "ephemeral" : "", layout.zeroOnRelease ? "zeroes" : ""];
  const kind = kinds.filter((each) => each !== "").join(", ");
  const age = duration(Date.now() - layout.createdAt.getTime());
  const inUse = [
    `${stats.used} of ${stats.capacity} buffers in use`,
    `${stats.inFlight} in flight`,
    `${stats.parked} parked`,
    `${stats.waiters} waiting`,
  ];
  const lease = layout.leaseTimeout === 0 ? "no end" : duration(layout.leaseTimeout);
  return [
    `${styled("bold", pool)}  ${layout.path}  mode ${layout.mode}, uid ${layout.owner}, made ${age} ago`,
    `layout   ${layout.capacity} buffers of ${bytes(layout.bufferSize)}, ` +
      `${layout.maxParticipants} participants, ${count(layout.maxChannels, "channel")}, ` +
      `lease ${lease}, format ${layout.formatVersion}${kind === "" ? "" : `, ${kind}`}`,
    `memory   ${bytes(stats.committedBytes)} committed of at most ${bytes(layout.maxCommitted)}`,
    `now      ${inUse.join(", ")}${stats.flushing ? ", FLUSHING" : ""}`,
    `oldest   hold ${duration(stats.longestHoldMs)}, lease ${duration(stats.oldestLeaseMs)}`,
    `so far   ${counters.acquired} acquired, ${counters.released} released, ` +
      `${count(counters.waits, "wait")} (${counters.timeouts} timed out), full ${counters.full} times, ` +
      `${counters.recoveries} recoveries`,
  ];
}

export function who({ name, pid, alive }: ParticipantName): string {
  const called = name === "" ? `pid ${pid}` : `${printable(name)} (${pid})`;
  return alive ? called : `${called}, dead`;
}

function participants({ participants: all }: PoolStats): string[] {
  if (all.length === 0) return ["nobody has it open"];
  const columns = [
    { title: "PID", right: true },
    { title: "TID", right: true },
    { title: "NAME" },
    { title: "HOLDS", right: true },
    { title: "ACQUIRED", right: true },
    { title: "RELEASED", right: true },
    { title: "WAITS", right: true },
    { title: "STATE" },
  ];
  const rows = all
    .toSorted((one, other) => other.holds - one.holds)
    .map((each) => [
      ...[`${each.pid}`, `${each.tid}`, printable(each.name), `${each.holds}`],
      ...[`${each.acquired}`, `${each.released}`, `${each.waits}`, stateOf(each)],
    ]);
  return table(columns, rows);
}

export function stateOf(participant: { alive: boolean; waiting: boolean }): string {
  if (!participant.alive) return "dead";
  return participant.waiting ? "waiting" : "";
}

function channels(all: ChannelInfo[]): string[] {
  if (all.length === 0) return [];
  const columns = [
    { title: "NAME" },
    { title: "MODE" },
    { title: "QUEUED", right: true },
    { title: "OF", right: true },
    { title: "LAG", right: true },
    { title: "SENT", right: true },
    { title: "RECEIVED", right: true },
    { title: "DROPPED", right: true },
    { title: "OPEN BY", right: true },
    { title: "WAITING" },
  ];
  const rows = all.map((each) => [
    printable(each.name),
    `${each.mode}${each.closed ? ", closed" : ""}`,
    `${each.queued}`,
    `${each.capacity}`,
    each.mode === "broadcast" ? `${lagOf(each)}` : "",
    `${each.sent}`,
    `${each.received}`,
    `${each.dropped}`,
    `${each.openBy}`,
    waitingAt(each),
  ]);
  const slow = all.flatMap(({ name, subscriptions }) =>
    subscriptions
      .filter(({ lag, alive }) => lag > 0 || !alive)
      .map(({ pid, lag, missed, alive }) => {
        const missing = missed > 0 ? `, and missed ${missed}` : "";
        return `  ${printable(name)}: pid ${pid}${alive ? "" : ", dead,"} lags ${lag} behind${missing}`;
      }),
  );
  return [...table(columns, rows), ...slow];
}

/** Of the subscriber that is furthest behind. */
export function lagOf({ subscriptions }: ChannelInfo): number {
  return Math.max(0, ...subscriptions.map(({ lag }) => lag));
}

export function waitingAt({ waitingReceivers, waitingSenders }: ChannelInfo): string {
  const parts = [
    waitingReceivers > 0 ? count(waitingReceivers, "receiver") : "",
    waitingSenders > 0 ? count(waitingSenders, "sender") : "",
  ];
  return parts.filter((each) => each !== "").join(", ");
}

function bufferLines(all: BufferInfo[], everything: boolean): string[] {
  if (all.length === 0) return [];
  const now = Date.now();
  const sorted = all.toSorted((one, other) => Number(one.acquiredAt) - Number(other.acquiredAt));
  const shown = everything ? sorted : sorted.slice(0, shownBuffers);
  const columns = [
    { title: "BUFFER", right: true },
    { title: "STATE" },
    { title: "SIZE", right: true },
    { title: "AGE", right: true },
    { title: "CONTENT" },
    { title: "WHERE" },
  ];
  const rows = shown.map((buffer) => [
    `${buffer.index}`,
    buffer.state,
    bytes(buffer.size),
    duration(now - Number(buffer.acquiredAt)),
    contentOf(buffer),
    whereOf(buffer, now),
  ]);
  const [titles = "", ...lines] = table(columns, rows);
  const detailed = lines.flatMap((line, place) => [line, ...traceLines(shown[place], now)]);
  const left = all.length - shown.length;
  const rest = left > 0 ? [`and ${left} more: --all shows them`] : [];
  return [titles, ...detailed, ...rest];
}

function contentOf({ contentType, producer }: BufferInfo): string {
  const from = producer === "" ? "" : `from ${printable(producer)}`;
  return [printable(contentType), from].filter((each) => each !== "").join(" ");
}

function holderOf(holder: BufferHolder): string {
  return holder.holds === 1 ? who(holder) : `${who(holder)} ${holder.holds} times`;
}

function whereOf(buffer: BufferInfo, now: number): string {
  const parts: string[] = [];
  if (buffer.holders.length > 0) parts.push(`held by ${buffer.holders.map(holderOf).join(", ")}`);
  for (const name of buffer.channels) parts.push(`in channel ${printable(name)}`);
  if (buffer.inFlight > 0 || buffer.state === "parked") parts.push(handedOver(buffer, now));
  return parts.join("; ");
}

function handedOver({ handedOverBy, handedOverAt, leaseEndsAt, state }: BufferInfo, now: number) {
  const by = handedOverBy === null ? "" : ` by ${who(handedOverBy)}`;
  const at = handedOverAt === null ? "" : ` ${duration(now - Number(handedOverAt))} ago`;
  const end = leaseEndsAt === null ? "for ever" : `for ${duration(Number(leaseEndsAt) - now)} more`;
  return `${state === "parked" ? "parked" : "handed over"}${by}${at}, kept ${end}`;
}

function traceLines(buffer: BufferInfo | undefined, now: number): string[] {
  return (buffer?.holders ?? []).flatMap(({ traces }) =>
    traces.map(({ since, stack: [innermost = "?"] }) => {
      const age = duration(now - Number(since));
      return `        ${styled("yellow", printable(innermost))}  ${age} ago`;
    }),
  );
}

/** What somebody wants to know who finds the pool full. */
function advice(stats: PoolStats, buffers: BufferInfo[]): string[] {
  if (stats.free > 0) return [];
  const [most] = stats.participants.toSorted((one, other) => other.holds - one.holds);
  const queued = buffers.filter(({ state }) => state === "queued").length;
  const lines = [`The pool is full: all ${stats.capacity} buffers are in use.`];
  if (most !== undefined && most.holds > 0) {
    lines.push(`${who(most)} holds most, ${most.holds}.`, ...placesOf(buffers, most.pid));
    if (!most.alive) lines.push("It is dead: `xmem reclaim` gives its buffers back.");
  }
  if (queued > 0) lines.push(`In channels, to be received: ${count(queued, "buffer")}.`);
  if (stats.inFlight > 0) {
    lines.push(`In flight, taken by nobody yet: ${count(stats.inFlight, "reference")}.`);
  }
  return lines;
}

function placesOf(buffers: BufferInfo[], pid: number): string[] {
  const traces = buffers.flatMap(({ holders }) =>
    holders.filter((holder) => holder.pid === pid && holder.alive).flatMap(({ traces }) => traces),
  );
  if (traces.length === 0) {
    return ["Start that process with XMEM_TRACE=1 in its environment, and this names its lines."];
  }
  const lineOf = (frame = "?"): string => frame.replace(/(:\d+):\d+(?=\)?$)/, "$1");
  const places = Map.groupBy(traces, ({ stack: [innermost] }) => lineOf(innermost));
  return [...places]
    .sort(([, one], [, other]) => other.length - one.length)
    .map(
      ([place, { length }]) => `${length.toString().padStart(6)} acquired at ${printable(place)}`,
    );
}
