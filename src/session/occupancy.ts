// Says in words what occupies a full pool, for the messages of POOL_FULL and TIMEOUT.

import type { Descriptor } from "../generated/abi.gen.ts";
import * as constants from "../generated/constants.gen.ts";
import { native } from "../native/native.ts";
import { bytes, decodeText, float64s } from "../native/scratch.ts";

const values = float64s(constants.OCCUPANCY_COUNT);
const name = bytes(constants.PARTICIPANT_NAME_ROOM);
const value = (index: number): number => values[index] ?? 0;

/**
 * What was found, and the option whose larger value would help; null where the pool cannot be
 * looked at.
 */
export function whatFills(
  descriptor: Descriptor,
  { capacity, bufferSize }: { capacity: number; bufferSize: number },
): { found: string; lacking: "capacity" | "maxCommitted" } | null {
  if (native.xmem_bun_filling(descriptor, values, name) < 0) return null;
  const lookedAt = value(constants.OCCUPANCY_LOOKED_AT);
  const used = value(constants.OCCUPANCY_USED);
  const partly = lookedAt < capacity ? ` of the first ${lookedAt}` : "";
  const all =
    used === lookedAt
      ? `all ${capacity} buffers are in use`
      : `${used}${partly || ` of ${capacity}`} buffers are in use`;
  const least = value(constants.OCCUPANCY_OWN_LOOKED_AT) < capacity ? "at least " : "";
  const own = `${least}${value(constants.OCCUPANCY_OWN_HOLDS)} held by this thread`;
  const parts = [`${all}, ${own}${holder(partly)}`];
  const inFlight = value(constants.OCCUPANCY_IN_FLIGHT);
  const parked = value(constants.OCCUPANCY_PARKED);
  const lease = leaseWords(value(constants.OCCUPANCY_LEASE_LEFT_MS));
  if (parked > 0)
    parts.push(`${are(parked, partly)} at count 0, and releaseBuffer() recycles them`);
  if (inFlight > 0) parts.push(`${are(inFlight, partly)} in flight, and ${lease}`);
  const free = used < lookedAt;
  const [committed, most] = [
    constants.OCCUPANCY_COMMITTED_BYTES,
    constants.OCCUPANCY_MAX_COMMITTED,
  ];
  const bounded = free && value(committed) + bufferSize > value(most);
  if (bounded) {
    parts.push(`${value(committed)} bytes are committed, and maxCommitted is ${value(most)}`);
  } else if (free && value(constants.OCCUPANCY_CLAIMED) === 1) {
    parts.push("the next one is kept for a participant that has waited for long");
  }
  return { found: parts.join("; "), lacking: bounded ? "maxCommitted" : "capacity" };
}

function are(count: number, partly: string): string {
  return `${count}${partly} ${count === 1 ? "is" : "are"}`;
}

/** The participant that holds most; said after what this thread holds. */
function holder(partly: string): string {
  const most = value(constants.OCCUPANCY_MOST_HOLDS);
  if (most === 0) return "";
  const end = name.indexOf(0);
  const text = decodeText(end < 0 ? name : name.subarray(0, end));
  const pid = value(constants.OCCUPANCY_MOST_PID);
  const tid = value(constants.OCCUPANCY_MOST_TID);
  const where = tid === pid ? `pid ${pid}` : `pid ${pid}, thread ${tid}`;
  const known = text === "" ? where : `${JSON.stringify(text)} (${where})`;
  const dead = value(constants.OCCUPANCY_MOST_ALIVE) === 0 ? "is dead and " : "";
  if (value(constants.OCCUPANCY_MOST_OWN) === 1) return `, ${known}, which holds most`;
  return `, ${most}${partly} by ${known}, which ${dead}holds most`;
}

function leaseWords(leftMs: number): string {
  if (leftMs === Number.POSITIVE_INFINITY) return "the leases never end";
  if (leftMs < 0) return `the oldest lease ended ${Math.floor(-leftMs)} ms ago`;
  return `the oldest lease ends in ${Math.ceil(leftMs)} ms`;
}
