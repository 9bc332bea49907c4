// What channels look like: the numbers of one, and of each of its subscribers. It writes nothing.

import { channelModes, channelOverflows } from "../arguments/options.ts";
import type { Descriptor } from "../generated/abi.gen.ts";
import * as constants from "../generated/constants.gen.ts";
import { native } from "../native/native.ts";
import { bytes, decodeText, float64s } from "../native/scratch.ts";

/** One subscription of a broadcast: one `Channel` object, wherever it is. */
export interface SubscriptionStats {
  /** The process' id, in its own PID namespace. */
  pid: number;
  /** The thread's id, in its own PID namespace. */
  tid: number;
  /** Whether the thread lives; a dead one's subscription goes with the next recovery. */
  alive: boolean;
  /** Buffers in the channel that it has not received yet. */
  lag: number;
  /** Buffers that it has received. */
  received: number;
  /** Buffers that were dropped before it received them. */
  missed: number;
}

/** A channel in numbers. While others work, each number is true of some moment. */
export interface ChannelStats {
  /** Buffers in it; in mode "broadcast" until every subscriber has received them. */
  queued: number;
  /** How many can be queued. */
  capacity: number;
  /** Buffers that were sent since it was made, without those that were refused. */
  sent: number;
  /** Buffers that were received since then; in mode "broadcast" by each subscriber. */
  received: number;
  /**
   * Buffers that its overflow dropped since then, and those that were received `maxDeliveries`
   * times and had nowhere to go.
   */
  dropped: number;
  /** Buffers that came back since then, after their receivers died. */
  redelivered: number;
  /** Participants that wait at either end. */
  waiters: number;
  /** Participants that wait for a buffer. */
  waitingReceivers: number;
  /** Participants that wait for room. */
  waitingSenders: number;
  /** How many subscribers it has; 0 in mode "queue". */
  subscribers: number;
  /** Each of the subscribers. */
  subscriptions: SubscriptionStats[];
  /** Participants that live and have it open. */
  openBy: number;
  /** Whether somebody has closed it. */
  closed: boolean;
}

/** A channel, as a look at its pool sees it. */
export interface ChannelInfo extends ChannelStats {
  /** Its name in the pool. */
  name: string;
  /** Whether each buffer goes to one receiver or to all subscribers. */
  mode: "queue" | "broadcast";
  /** What a send does where it is full. */
  overflow: "block" | "drop-newest" | "drop-oldest";
  /** How many of the newest buffers stay for subscribers that come late. */
  history: number;
}

function nameOf<Name extends string>(numbers: Record<Name, number>, number: number): Name {
  const names = Object.keys(numbers) as Name[];
  return names.find((name) => numbers[name] === number) ?? (names[0] as Name);
}

export function modeOf(number: number): ChannelInfo["mode"] {
  return nameOf(channelModes, number);
}

export function overflowOf(number: number): ChannelInfo["overflow"] {
  return nameOf(channelOverflows, number);
}

/** `values` are what the core says of one channel. */
export function channelStatsOf(descriptor: Descriptor, values: Float64Array): ChannelStats {
  const value = (index: number): number => values[index] ?? 0;
  const waitingReceivers = value(constants.CHANNEL_STAT_WAITING_RECEIVERS);
  const waitingSenders = value(constants.CHANNEL_STAT_WAITING_SENDERS);
  const subscribers = value(constants.CHANNEL_STAT_SUBSCRIBERS);
  return {
    queued: value(constants.CHANNEL_STAT_QUEUED),
    capacity: value(constants.CHANNEL_STAT_CAPACITY),
    sent: value(constants.CHANNEL_STAT_SENT),
    received: value(constants.CHANNEL_STAT_RECEIVED),
    dropped: value(constants.CHANNEL_STAT_DROPPED),
    redelivered: value(constants.CHANNEL_STAT_REDELIVERED),
    waiters: waitingReceivers + waitingSenders,
    waitingReceivers,
    waitingSenders,
    subscribers,
    subscriptions:
      subscribers === 0 ? [] : subscriptionsOf(descriptor, value(constants.CHANNEL_STAT_NUMBER)),
    openBy: value(constants.CHANNEL_STAT_OPEN_BY),
    closed: value(constants.CHANNEL_STAT_CLOSED) !== 0,
  };
}

/** Of the channel with that number in the pool. */
function subscriptionsOf(descriptor: Descriptor, number: number): SubscriptionStats[] {
  const most = constants.LIMIT_CHANNEL_SUBSCRIBERS;
  const values = float64s(most * constants.CHANNEL_SUBSCRIBER_COUNT);
  const length = native.xmem_bun_channel_subscribers(descriptor, number, values, most);
  return Array.from({ length }, (_, row) => {
    const field = (index: number): number =>
      values[row * constants.CHANNEL_SUBSCRIBER_COUNT + index] ?? 0;
    return {
      pid: field(constants.CHANNEL_SUBSCRIBER_PID),
      tid: field(constants.CHANNEL_SUBSCRIBER_TID),
      alive: field(constants.CHANNEL_SUBSCRIBER_ALIVE) !== 0,
      lag: field(constants.CHANNEL_SUBSCRIBER_LAG),
      received: field(constants.CHANNEL_SUBSCRIBER_RECEIVED),
      missed: field(constants.CHANNEL_SUBSCRIBER_MISSED),
    };
  });
}

/** All channels of a pool. */
export function channelsOf(descriptor: Descriptor, most: number): ChannelInfo[] {
  return numberedChannels(descriptor, most).map(({ info }) => info);
}

/** The same with the numbers by which the core knows them. */
export function numberedChannels(
  descriptor: Descriptor,
  most: number,
): { number: number; info: ChannelInfo }[] {
  const all = float64s(most * constants.CHANNEL_STAT_COUNT);
  const names = bytes(most * constants.CHANNEL_NAME_ROOM);
  const length = native.xmem_bun_channels(descriptor, all, names, most);
  return Array.from({ length }, (_, row) => {
    const start = row * constants.CHANNEL_STAT_COUNT;
    const values = all.subarray(start, start + constants.CHANNEL_STAT_COUNT);
    const room = row * constants.CHANNEL_NAME_ROOM;
    const name = decodeText(names.subarray(room, room + constants.CHANNEL_NAME_ROOM));
    const info = {
      name: name.split("\0", 1)[0] ?? "",
      mode: modeOf(values[constants.CHANNEL_STAT_MODE] ?? 0),
      overflow: overflowOf(values[constants.CHANNEL_STAT_OVERFLOW] ?? 0),
      history: values[constants.CHANNEL_STAT_HISTORY] ?? 0,
      ...channelStatsOf(descriptor, values),
    };
    return { number: values[constants.CHANNEL_STAT_NUMBER] ?? 0, info };
  });
}
