// Pools in numbers, as text that Prometheus and others read. Base units: bytes and seconds. A sample
// has the labels `pool`, `channel` and `participant`. The last is the participant's name and not its
// process: whatever has the same name is summed, so that a pool whose processes come and go does not
// make new series for ever. Counters are the pool's, since sums over those who have it open just now
// go down when one of them leaves.

import type { ChannelInfo } from "../channel/statistics.ts";
import type { ParticipantStats, PoolStats } from "./statistics.ts";

/** A pool of which nothing is known has no `stats`. */
export interface Measured {
  name: string;
  stats: PoolStats | null;
}

interface Family {
  name: string;
  type: "gauge" | "counter";
  help: string;
}

/** A family of samples, each with what is measured and its labels. */
interface Metric<Subject> extends Family {
  value: (subject: Subject) => number;
}

function gauge<Subject>(
  name: string,
  help: string,
  value: (subject: Subject) => number,
): Metric<Subject> {
  return { name: `xmem_${name}`, type: "gauge", help, value };
}

function counter<Subject>(
  name: string,
  help: string,
  value: (subject: Subject) => number,
): Metric<Subject> {
  return { name: `xmem_${name}`, type: "counter", help, value };
}

/** Sums of participants that have one name. */
interface Group {
  threads: number;
  holds: number;
  waiting: number;
}

const ofPool: readonly Metric<PoolStats>[] = [
  gauge("buffers_capacity", "How many buffers the pool has.", ({ capacity }) => capacity),
  gauge("buffers_free", "Buffers that can be acquired.", ({ free }) => free),
  gauge("buffers_used", "Buffers that are held, in flight, queued or parked.", ({ used }) => used),
  gauge("buffers_parked", "Used buffers at count 0, not recycled yet.", ({ parked }) => parked),
  gauge("references_in_flight", "References that nobody holds.", ({ inFlight }) => inFlight),
  gauge("waiters", "Participants that wait for a buffer.", ({ waiters }) => waiters),
  gauge("buffer_size_bytes", "The most that one buffer can have.", ({ bufferSize }) => bufferSize),
  gauge(
    "committed_bytes",
    "Memory that buffers have, free ones too.",
    ({ committedBytes }) => committedBytes,
  ),
  gauge(
    "committed_limit_bytes",
    "The most memory that buffers can have.",
    ({ maxCommitted }) => maxCommitted,
  ),
  gauge("flushing", "1 while the pool is flushed.", ({ flushing }) => Number(flushing)),
  gauge("linked", "1 while the name leads to the pool.", ({ linked }) => Number(linked)),
  gauge(
    "oldest_lease_seconds",
    "Time since the oldest lease began; 0 without one.",
    ({ oldestLeaseMs }) => oldestLeaseMs / 1000,
  ),
  gauge(
    "longest_hold_seconds",
    "Time since the acquire of the buffer that is held for longest; 0 without one.",
    ({ longestHoldMs }) => longestHoldMs / 1000,
  ),
  gauge(
    "lease_timeout_seconds",
    "How long an in-flight reference lasts; 0: for ever.",
    ({ leaseTimeout }) => leaseTimeout / 1000,
  ),
  gauge(
    "participants_alive",
    "Threads that have the pool open.",
    ({ participants }) => participants.filter(({ alive }) => alive).length,
  ),
  gauge(
    "participants_dead",
    "Threads that died with the pool open and were not recovered yet.",
    ({ participants }) => participants.filter(({ alive }) => !alive).length,
  ),
  gauge(
    "participants_limit",
    "How many threads can have the pool open.",
    ({ maxParticipants }) => maxParticipants,
  ),
  counter("acquired", "Buffers acquired.", ({ counters }) => counters.acquired),
  counter("released", "Buffers recycled.", ({ counters }) => counters.released),
  counter("full", "Acquires that found the pool full.", ({ counters }) => counters.full),
  counter("waits", "Waits for a buffer.", ({ counters }) => counters.waits),
  counter("timeouts", "Waits that ended without a buffer.", ({ counters }) => counters.timeouts),
  counter(
    "out_of_memory",
    "Acquires that failed for want of memory.",
    ({ counters }) => counters.outOfMemory,
  ),
  counter("recoveries", "Recoveries that ran.", ({ counters }) => counters.recoveries),
  counter(
    "recoveries_deferred",
    "Recoveries that were put off.",
    ({ counters }) => counters.deferred,
  ),
  counter(
    "recovered_participants",
    "Dead participants that recoveries tidied up after.",
    ({ counters }) => counters.recoveredParticipants,
  ),
  counter(
    "recovered_references",
    "Holds of the dead and expired references that recoveries dropped.",
    ({ counters }) => counters.recoveredReferences,
  ),
  counter(
    "recovered_buffers",
    "Buffers that recoveries gave back.",
    ({ counters }) => counters.recoveredBuffers,
  ),
  counter(
    "expired_references",
    "References whose leases had expired when a recovery dropped them.",
    ({ counters }) => counters.expiredReferences,
  ),
  counter(
    "memory_committed_bytes",
    "Memory that buffers were given.",
    ({ counters }) => counters.bytesCommitted,
  ),
  counter(
    "memory_given_back_bytes",
    "Memory that buffers lost again.",
    ({ counters }) => counters.bytesGivenBack,
  ),
];

const ofChannel: readonly Metric<ChannelInfo>[] = [
  gauge("channel_capacity", "How many buffers can be queued.", ({ capacity }) => capacity),
  gauge("channel_queued", "Buffers in the channel.", ({ queued }) => queued),
  gauge("channel_subscribers", "Subscribers of a broadcast.", ({ subscribers }) => subscribers),
  gauge(
    "channel_lag",
    "Buffers that the slowest subscriber has not received yet.",
    ({ subscriptions }) => subscriptions.reduce((most, { lag }) => Math.max(most, lag), 0),
  ),
  gauge(
    "channel_waiting_receivers",
    "Participants that wait for a buffer.",
    ({ waitingReceivers }) => waitingReceivers,
  ),
  gauge(
    "channel_waiting_senders",
    "Participants that wait for room.",
    ({ waitingSenders }) => waitingSenders,
  ),
  gauge("channel_open_by", "Live participants that have it open.", ({ openBy }) => openBy),
  gauge("channel_closed", "1 once somebody has closed it.", ({ closed }) => Number(closed)),
  counter("channel_sent", "Buffers sent.", ({ sent }) => sent),
  counter("channel_received", "Buffers received.", ({ received }) => received),
  counter("channel_dropped", "Buffers dropped.", ({ dropped }) => dropped),
  counter(
    "channel_redelivered",
    "Buffers that came back after their receivers died.",
    ({ redelivered }) => redelivered,
  ),
];

const ofGroup: readonly Metric<Group>[] = [
  gauge("participant_threads", "Threads that have the pool open.", ({ threads }) => threads),
  gauge("participant_holds", "References that they own.", ({ holds }) => holds),
  gauge("participant_waiting", "Those of them that wait for a buffer.", ({ waiting }) => waiting),
];

const up: Family = {
  name: "xmem_pool_up",
  type: "gauge",
  help: "1 for a pool that could be looked at, 0 for a broken one or one of another user.",
};

/** Labels and what is measured under them. */
type Labelled<Subject> = readonly [labels: string, subject: Subject];

function labelled(labels: Record<string, string>): string {
  const escaped = Object.entries(labels).map(([name, value]) => {
    const safe = value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
    return `${name}="${safe}"`;
  });
  return `{${escaped.join(",")}}`;
}

function groups(participants: readonly ParticipantStats[]): Map<string, Group> {
  const found = new Map<string, Group>();
  for (const { name, holds, waiting } of participants) {
    const group = found.get(name) ?? { threads: 0, holds: 0, waiting: 0 };
    group.threads += 1;
    group.holds += holds;
    group.waiting += Number(waiting);
    found.set(name, group);
  }
  return found;
}

/** The text of one scrape. */
export function textOf(pools: readonly Measured[], isOpen: boolean): string {
  const seen = pools.flatMap(({ name, stats }) => (stats === null ? [] : [{ name, stats }]));
  const lines: string[] = [];
  const write = <Subject>(
    { name, type, help }: Family,
    value: (subject: Subject) => number,
    subjects: readonly Labelled<Subject>[],
  ): void => {
    if (subjects.length === 0) return;
    const sample = type === "counter" ? `${name}_total` : name;
    const family = isOpen ? name : sample;
    lines.push(`# HELP ${family} ${help}`, `# TYPE ${family} ${type}`);
    // In a damaged pool two channels may have one name; a reader refuses the second sample.
    for (const [labels, subject] of new Map(subjects)) {
      lines.push(`${sample}${labels} ${value(subject)}`);
    }
  };
  const all = pools.map(({ name, stats }) => [labelled({ pool: name }), stats] as const);
  write(up, (stats) => Number(stats !== null), all);
  const measured = seen.map(({ name, stats }) => [labelled({ pool: name }), stats] as const);
  for (const metric of ofPool) write(metric, metric.value, measured);
  const channels = seen.flatMap(({ name, stats }) =>
    stats.channels.map((info) => [labelled({ pool: name, channel: info.name }), info] as const),
  );
  for (const metric of ofChannel) write(metric, metric.value, channels);
  const named = seen.flatMap(({ name, stats }) =>
    [...groups(stats.participants)].map(
      ([participant, group]) => [labelled({ pool: name, participant }), group] as const,
    ),
  );
  for (const metric of ofGroup) write(metric, metric.value, named);
  if (isOpen) lines.push("# EOF");
  return lines.map((line) => `${line}\n`).join("");
}
