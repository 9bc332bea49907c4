// Events of a pool, whichever process causes them: what changed in the pool's own counters and rows
// since the last look. A timer looks while somebody listens, so that no operation costs more for it.

import { channelsOf } from "../channel/statistics.ts";
import type { Descriptor } from "../generated/abi.gen.ts";
import * as constants from "../generated/constants.gen.ts";
import type { Tether } from "../lifetime/tether.ts";
import { closed, native } from "../native/native.ts";
import { bytes, decodeText, float64s } from "../native/scratch.ts";
import type { PoolEvent, PoolEventType, PoolListener } from "./events.ts";
import { Listeners } from "./listeners.ts";
import { type Sums, sumsOf } from "./statistics.ts";

/** Milliseconds from one look to the next. */
const interval = 250;

/** A row: its owner, or the last one that it had. */
interface Row {
  pid: number;
  tid: number;
  name: string;
  alive: boolean;
  dead: boolean;
  /** How often a recovery emptied it. */
  deaths: number;
  /** Whether that owner's death was told already. */
  told: boolean;
}

/** A row that nobody has had yet. */
const untaken: Row = {
  ...{ pid: 0, tid: 0, name: "" },
  ...{ alive: false, dead: false, deaths: 0, told: false },
};

/** Of the channels that are asked for: what was dropped and redelivered so far, by name. */
type Channels = Map<string, { dropped: number; redelivered: number; sent: number }>;

interface Seen {
  sums: Sums;
  /** Null where nobody asked for them, as the channels. */
  rows: Row[] | null;
  channels: Channels | null;
}

/** What is watched: a session, but for what would keep it reachable. */
interface Watched {
  readonly name: string;
  readonly tether: Tether;
}

/** By session, whose listeners live as long as it does. */
const watchers = new WeakMap<object, Watcher>();

/** The one of that session; `make` whether there shall be one from now on. */
export function watcherOf(session: Watched): Watcher {
  const known = watchers.get(session);
  if (known !== undefined) return known;
  const made = new Watcher(session.name, session.tether);
  watchers.set(session, made);
  return made;
}

/** At the close of a session. */
export function endWatch(session: object): void {
  watchers.get(session)?.end();
}

class Watcher {
  readonly #pool: string;
  readonly #tether: Tether;
  readonly #listeners = new Map<PoolEventType, Listeners<never>>();
  readonly #rowsMax: number;
  readonly #channelsMax: number;
  #seen: Seen | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(pool: string, tether: Tether) {
    this.#pool = pool;
    this.#tether = tether;
    const info = float64s(constants.INFO_COUNT);
    native.xmem_bun_info(tether.descriptor, info);
    this.#rowsMax = info[constants.INFO_MAX_PARTICIPANTS] ?? 0;
    this.#channelsMax = info[constants.INFO_CHANNELS] ?? 0;
  }

  add<Type extends PoolEventType>(type: Type, listener: PoolListener<Type>, once: boolean): void {
    const listeners = this.#listeners.get(type) ?? new Listeners<never>();
    this.#listeners.set(type, listeners);
    listeners.add(listener, once);
    const now = this.#see(this.#tether.descriptor);
    // What nobody asked for until now begins now; the rest goes on from the last look.
    this.#seen = {
      sums: this.#seen?.sums ?? now.sums,
      rows: this.#seen?.rows ?? now.rows,
      channels: this.#seen?.channels ?? now.channels,
    };
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(looking(new WeakRef(this)), interval);
    this.#timer.unref();
  }

  delete(type: PoolEventType, listener: (event: never) => void): void {
    this.#listeners.get(type)?.delete(listener);
    if (!this.#listensAtAll()) this.#stop();
  }

  end(): void {
    for (const listeners of this.#listeners.values()) listeners.clear();
    this.#stop();
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#seen = null;
  }

  #listens(type: PoolEventType): boolean {
    return (this.#listeners.get(type)?.size ?? 0) > 0;
  }

  #listensAtAll(): boolean {
    return [...this.#listeners.values()].some(({ size }) => size > 0);
  }

  /** Tells what changed since the last look. */
  look(): void {
    const before = this.#seen;
    const { descriptor } = this.#tether;
    if (descriptor === closed || before === null) {
      // The session was lost, and a finalizer closed it.
      this.end();
      return;
    }
    const now = this.#see(descriptor);
    this.#seen = now;
    this.#tellDeaths(before.rows, now.rows);
    this.#tellSums(before.sums, now.sums);
    this.#tellChannels(before.channels, now.channels);
    // Those that listened once may have been the last.
    if (!this.#listensAtAll()) this.#stop();
  }

  #see(descriptor: Descriptor): Seen {
    const sums = sumsOf(descriptor);
    const rows = this.#listens("dead-participant") ? rowsOf(descriptor, this.#rowsMax) : null;
    const asked = this.#listens("dropped") || this.#listens("redelivered");
    const infos = asked ? channelsOf(descriptor, this.#channelsMax) : null;
    return { sums, rows, channels: infos && new Map(infos.map((info) => [info.name, info])) };
  }

  #tell<Type extends PoolEventType>(
    type: Type,
    says: Omit<PoolEvent<Type>, "type" | "pool">,
    isNews = true,
  ): void {
    if (!isNews) return;
    const event = { type, pool: this.#pool, ...says };
    this.#listeners.get(type)?.tell(event as never);
  }

  #tellSums(before: Sums, now: Sums): void {
    const more = (name: keyof Sums["counters"]): number =>
      now.counters[name] - before.counters[name];
    const refused = more("full");
    const waits = more("waits");
    this.#tell("full", { refused, waits }, refused + waits > 0);
    this.#tell("timeout", { waits: more("timeouts") }, more("timeouts") > 0);
    this.#tell("out-of-memory", { refused: more("outOfMemory") }, more("outOfMemory") > 0);
    this.#tell("flushing", { flushing: now.flushing }, now.flushing !== before.flushing);
    const references = more("expiredReferences");
    this.#tell("lease-expired", { references }, references > 0);
    this.#tell("deferred", { recoveries: more("deferred") }, more("deferred") > 0);
    const recovered = {
      recoveries: more("recoveries"),
      participants: more("recoveredParticipants"),
      references: more("recoveredReferences"),
      buffers: more("recoveredBuffers"),
    };
    this.#tell("recovered", recovered, recovered.recoveries > 0);
  }

  #tellDeaths(before: Row[] | null, now: Row[] | null): void {
    if (before === null || now === null) return;
    for (const [index, row] of now.entries()) {
      const was = before[index] ?? untaken;
      if (row.pid === 0) {
        // It is between two owners: it is looked at as if this look had not been.
        now[index] = was;
        continue;
      }
      if (was.deaths === row.deaths) {
        row.told = was.told && isOwner(was, row);
      } else {
        // Since then a recovery emptied the row, which says whose it was until it is taken again.
        const victim = row.alive || row.dead ? was : row;
        const isKnown = victim === row || was.alive || was.dead;
        const wasTold = was.dead && was.told && isOwner(was, victim);
        if (isKnown && !wasTold) this.#tellDeath(victim);
      }
      if (row.dead && !row.told) this.#tellDeath(row);
    }
  }

  #tellDeath(row: Row): void {
    const { pid, tid, name } = row;
    row.told = true;
    this.#tell("dead-participant", { pid, tid, name });
  }

  #tellChannels(before: Channels | null, now: Channels | null): void {
    if (before === null || now === null) return;
    for (const [channel, { dropped, redelivered, sent }] of now) {
      const old = before.get(channel);
      // One that was made anew under the name begins at 0.
      const isSame = old !== undefined && old.sent <= sent;
      const was = isSame ? old : { dropped: 0, redelivered: 0 };
      const news = { dropped: dropped - was.dropped, redelivered: redelivered - was.redelivered };
      this.#tell("dropped", { channel, buffers: news.dropped }, news.dropped > 0);
      this.#tell("redelivered", { channel, buffers: news.redelivered }, news.redelivered > 0);
    }
  }
}

function isOwner(one: Row, other: Row): boolean {
  return one.pid === other.pid && one.tid === other.tid;
}

/** The timer keeps no session reachable that only its listeners, or nobody, can still reach. */
function looking(watcher: WeakRef<Watcher>): () => void {
  return () => watcher.deref()?.look();
}

/** Kept from look to look. */
let values = float64s(0);
let names = bytes(0);

function rowsOf(descriptor: Descriptor, rowsMax: number): Row[] {
  const room = constants.PARTICIPANT_NAME_ROOM;
  if (values.length < rowsMax * constants.DEATHS_COUNT) {
    values = float64s(rowsMax * constants.DEATHS_COUNT);
    names = bytes(rowsMax * room);
  }
  const length = native.xmem_bun_deaths(descriptor, values, names, rowsMax);
  return Array.from({ length }, (_, row) => {
    const field = (index: number): number => values[row * constants.DEATHS_COUNT + index] ?? 0;
    const name = decodeText(names.subarray(row * room, (row + 1) * room)).split("\0", 1)[0] ?? "";
    return {
      pid: field(constants.DEATHS_PID),
      tid: field(constants.DEATHS_TID),
      name,
      alive: field(constants.DEATHS_ALIVE) !== 0,
      dead: field(constants.DEATHS_DEAD) !== 0,
      deaths: field(constants.DEATHS_DEATHS),
      told: false,
    };
  });
}
