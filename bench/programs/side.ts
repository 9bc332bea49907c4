// One side of each way in TypeScript to hand a buffer to another process or Worker and to get one
// back. Each side writes at most one buffer at a time and reads at most one.

import { BufferPool, type Channel } from "../../src/index.ts";

/** How many buffers are on their way at most. */
export const depth = 4;

type Later<T> = T | Promise<T>;

export interface Side {
  /** It never makes a promise. */
  readonly isSync: boolean;
  /** A buffer to write. */
  claim: () => Later<Uint8Array>;
  send: () => Later<void>;
  receive: () => Later<Uint8Array>;
  /** The buffer that was received was read. */
  done: () => void;
  /** Instead of that: sends it back, or its bytes. */
  reply: () => void;
}

export interface SyncSide extends Side {
  claim: () => Uint8Array;
  send: () => void;
  receive: () => Uint8Array;
}

export const isSync = (side: Side): side is SyncSide => side.isSync;

/** Which side, of what size, and whether buffers only go from side 1 to side 0. */
export interface Place {
  side: 0 | 1;
  size: number;
  oneWay: boolean;
}

type Guard = ReturnType<BufferPool["acquire"]>;

const wait = { timeout: 20_000 };

/** Makes the pool on side 0, opens it on side 1. */
export function poolOf(name: string, { side, size }: Place): BufferPool {
  if (side === 1) return BufferPool.open(name);
  return BufferPool.create(name, { capacity: depth, bufferSize: size, ephemeral: true });
}

function spin<T>(look: () => T | null): T {
  while (true) {
    const found = look();
    if (found !== null) return found;
  }
}

const takes: Record<string, (channel: Channel) => Later<Guard>> = {
  spin: (channel) => spin(() => channel.tryReceive()),
  blocking: (channel) => channel.receiveBlocking(wait),
  async: (channel) => channel.receive(wait),
};

const acquires: Record<string, (pool: BufferPool, size: number) => Later<Guard>> = {
  spin: (pool, size) => spin(() => pool.tryAcquire(size)),
  blocking: (pool, size) => pool.acquireBlocking(size, wait),
  // A pool that has a buffer answers at once; only an empty one is worth a promise.
  async: (pool, size) => pool.tryAcquire(size) ?? pool.acquireAsync(size, wait),
};

/** A pool's buffers through two of its channels. */
export function channelSide(how: string, name: string, place: Place): Side {
  const pool = poolOf(name, place);
  const channels = [pool.channel("to side 1"), pool.channel("to side 0")] as const;
  const to = channels[place.side];
  const from = channels[place.side === 0 ? 1 : 0];
  const take = takes[how];
  const acquire = acquires[how];
  if (take === undefined || acquire === undefined) throw new Error(`no way ${how}`);
  let written: Guard;
  let read: Guard;
  const claim = (guard: Guard): Uint8Array => {
    written = guard;
    return guard.bytes;
  };
  const receive = (guard: Guard): Uint8Array => {
    read = guard;
    return guard.bytes;
  };
  return {
    isSync: how !== "async",
    claim: () => {
      const claimed = acquire(pool, place.size);
      return claimed instanceof Promise ? claimed.then(claim) : claim(claimed);
    },
    send: () => void to.send(written),
    receive: () => {
      const taken = take(from);
      return taken instanceof Promise ? taken.then(receive) : receive(taken);
    },
    done: () => read.release(),
    reply: () => void to.send(read),
  };
}

/** Messages between processes or with a Worker. */
export interface Post {
  post: (message: unknown, transfer?: ArrayBuffer[]) => void;
  next: () => Promise<unknown>;
}

/** A pool's buffers, whose handles are messages. */
export function handleSide(name: string, place: Place, { post, next }: Post): Side {
  const pool = poolOf(name, place);
  let written: Guard;
  let read: Guard;
  return {
    isSync: false,
    claim: async () => {
      written = pool.tryAcquire(place.size) ?? (await pool.acquireAsync(place.size, wait));
      return written.bytes;
    },
    send: () => post(written.handOff()),
    receive: async () => {
      read = pool.take((await next()) as number);
      return read.bytes;
    },
    done: () => read.release(),
    reply: () => post(read.handOff()),
  };
}

/** The bytes are the message. One-way, each that was read is answered, so that few are on their way. */
export function bytesSide({ size, oneWay }: Place, { post, next }: Post): Side {
  const written = new Uint8Array(size);
  let read: Uint8Array = written;
  let credits = depth;
  return {
    isSync: false,
    claim: async () => {
      if (oneWay && credits-- <= 0) {
        await next();
        credits++;
      }
      return written;
    },
    send: () => post(written),
    receive: async () => {
      read = (await next()) as Uint8Array;
      return read;
    },
    done: () => {
      if (oneWay) post(0);
    },
    reply: () => post(read),
  };
}

/** The buffers themselves move to the other thread, and come back to be used again. */
export function transferSide({ size, oneWay }: Place, { post, next }: Post): Side {
  const spare = Array.from({ length: depth }, () => new ArrayBuffer(size));
  let written: ArrayBuffer;
  let read: ArrayBuffer;
  const move = (buffer: ArrayBuffer): void => post(buffer, [buffer]);
  return {
    isSync: false,
    claim: async () => {
      written = spare.pop() ?? ((await next()) as ArrayBuffer);
      return new Uint8Array(written);
    },
    send: () => move(written),
    receive: async () => {
      read = (await next()) as ArrayBuffer;
      return new Uint8Array(read);
    },
    done: () => {
      if (oneWay) move(read);
      else spare.push(read);
    },
    reply: () => move(read),
  };
}

// Four words per ring on cache lines of their own: sent and done of the buffers to each side.
const line = 32;

export const sharedBytes = (size: number): number => 4 * line * 4 + 2 * depth * size;

/** A ring by hand in a SharedArrayBuffer, which only the threads of one process share. */
export function ringSide(sleeps: boolean, memory: SharedArrayBuffer, place: Place): Side {
  const words = new Int32Array(memory, 0, 4 * line);
  const { side, size } = place;
  const other = side === 0 ? 1 : 0;
  const frame = (of: number, number: number): Uint8Array =>
    new Uint8Array(memory, 4 * line * 4 + (of * depth + (number % depth)) * size, size);
  const frames = [0, 1].map((of) => Array.from({ length: depth }, (_, at) => frame(of, at)));
  const sentTo = side * 2 * line;
  const sentFrom = other * 2 * line;
  let to = 0;
  let from = 0;
  const until = (word: number, wanted: (value: number) => boolean): void => {
    for (let value = Atomics.load(words, word); !wanted(value); value = Atomics.load(words, word)) {
      if (sleeps) Atomics.wait(words, word, value, 1000);
    }
  };
  const advance = (word: number, value: number): void => {
    Atomics.store(words, word, value);
    if (sleeps) Atomics.notify(words, word, 1);
  };
  const read = (): Uint8Array => frames[other]?.[from % depth] as Uint8Array;
  const claim = (): Uint8Array => {
    until(sentTo + line, (done) => to - done < depth);
    return frames[side]?.[to % depth] as Uint8Array;
  };
  const send = (): void => advance(sentTo, ++to);
  const done = (): void => advance(sentFrom + line, ++from);
  return {
    isSync: true,
    claim,
    send,
    receive: () => {
      until(sentFrom, (sent) => sent > from);
      return read();
    },
    done,
    reply: () => {
      const first = read()[0] as number;
      done();
      claim()[0] = first;
      send();
    },
  };
}
