// Why a call on a channel failed: what is in it, and who reads it.

import { codeOf } from "../errors/error.ts";
import type { Descriptor } from "../generated/abi.gen.ts";
import * as constants from "../generated/constants.gen.ts";
import { native } from "../native/native.ts";
import { float64s } from "../native/scratch.ts";

/** A channel that a call was about. */
export interface ChannelAsked {
  /** For messages: which channel of which pool. */
  on: string;
  /** The number of this open of it; undefined where it was not opened. */
  number?: number;
  /** Which end was used. */
  end?: "sending" | "receiving";
}

interface Reason {
  found?: string;
  advice?: string;
}

/** Undefined where the failure has nothing to do with the channel. */
export function reasonOfChannel(
  descriptor: Descriptor,
  result: number,
  channel: ChannelAsked,
  timeout: number | undefined,
): Reason | undefined {
  switch (codeOf(result)) {
    case "CHANNEL_FULL":
      return {
        found: full(descriptor, channel),
        advice:
          "wait with sendAsync() or sendBlocking(), or make it with more capacity or an overflow " +
          "that drops",
      };
    case "CHANNEL_CLOSED":
      return closed(descriptor, channel);
    case "TIMEOUT":
      return { found: timedOut(descriptor, channel, timeout) };
    case "OPTIONS_MISMATCH":
      return { advice: "leave out what need not be so, or give the channel another name" };
    case "TOO_MANY_PARTICIPANTS":
      return { advice: "dispose of some, or open it with { subscribe: false } to send only" };
    case "POOL_FULL":
    case "POOL_CLOSED":
      return undefined;
    default:
      return {};
  }
}

const values = float64s(constants.CHANNEL_STAT_COUNT);
const value = (index: number): number => values[index] ?? 0;

/** Fills `values`; false where the channel cannot be looked at. */
function look(descriptor: Descriptor, { number }: ChannelAsked): boolean {
  return number !== undefined && native.xmem_bun_channel_stats(descriptor, number, values) === 0;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

function haveItOpen(): string {
  const participants = value(constants.CHANNEL_STAT_OPEN_BY);
  return `${count(participants, "participant")} ${participants === 1 ? "has" : "have"} it open`;
}

function full(descriptor: Descriptor, channel: ChannelAsked): string {
  if (!look(descriptor, channel)) return "";
  const queued = value(constants.CHANNEL_STAT_QUEUED);
  const capacity = value(constants.CHANNEL_STAT_CAPACITY);
  const readers = readersOf(descriptor);
  return `${queued} of its ${count(capacity, "place")} are taken, and ${readers}`;
}

/** Who takes out what is queued. */
function readersOf(descriptor: Descriptor): string {
  if (value(constants.CHANNEL_STAT_MODE) === constants.CHANNEL_MODE_QUEUE) {
    const waiting = value(constants.CHANNEL_STAT_WAITING_RECEIVERS);
    return `${haveItOpen()}, and ${waiting} of them wait${waiting === 1 ? "s" : ""} to receive`;
  }
  const subscribers = value(constants.CHANNEL_STAT_SUBSCRIBERS);
  const slowest = slowestOf(descriptor, value(constants.CHANNEL_STAT_NUMBER));
  return `it has ${count(subscribers, "subscriber")}${slowest}`;
}

function slowestOf(descriptor: Descriptor, number: number): string {
  const most = constants.LIMIT_CHANNEL_SUBSCRIBERS;
  const fields = float64s(most * constants.CHANNEL_SUBSCRIBER_COUNT);
  const length = native.xmem_bun_channel_subscribers(descriptor, number, fields, most);
  const field = (row: number, index: number): number =>
    fields[row * constants.CHANNEL_SUBSCRIBER_COUNT + index] ?? 0;
  let slowest = 0;
  for (let row = 1; row < length; row++) {
    const lag = field(row, constants.CHANNEL_SUBSCRIBER_LAG);
    if (lag > field(slowest, constants.CHANNEL_SUBSCRIBER_LAG)) slowest = row;
  }
  if (length === 0) return "";
  const lag = field(slowest, constants.CHANNEL_SUBSCRIBER_LAG);
  return `, the slowest (pid ${field(slowest, constants.CHANNEL_SUBSCRIBER_PID)}) ${lag} behind`;
}

function closed(descriptor: Descriptor, channel: ChannelAsked): Reason {
  if (channel.end === "receiving") return { found: "it was closed, and nothing is left in it" };
  if (!look(descriptor, channel)) return { found: "it was closed" };
  const queued = value(constants.CHANNEL_STAT_QUEUED);
  return { found: `it was closed, and ${count(queued, "buffer")} in it can still be received` };
}

function timedOut(
  descriptor: Descriptor,
  channel: ChannelAsked,
  timeout: number | undefined,
): string {
  const receiving = channel.end === "receiving";
  const lacked = receiving ? "nothing was sent" : "there was no room";
  const passed =
    timeout === 0
      ? `${lacked}, and it was tried once`
      : `${lacked} in time, and ${timeout} ms have passed`;
  if (!look(descriptor, channel)) return passed;
  if (!receiving) return `${passed}; ${full(descriptor, channel)}`;
  const sent = value(constants.CHANNEL_STAT_SENT);
  return `${passed}; so far ${sent} were sent, and ${haveItOpen()}`;
}
