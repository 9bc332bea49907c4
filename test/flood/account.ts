// Which messages of a flood were sent and received, in a mapped file that outlasts its processes.

import { writeFileSync } from "node:fs";

export const producers = 4;
export const consumers = 4;

/** So many messages a consumer has in its hands, while it waits for the next. */
export const handful = 8;

const headerBytes = 64;
/** Per message, bytes of as many arrays. */
const arrays = 3;

export class Account {
  /** Per producer, how many sends began, and how many returned. */
  readonly #begun: Int32Array;
  readonly #returned: Int32Array;
  /** Per message: 1 where its sender died in the send, so that nobody knows whether it was sent. */
  readonly #unsure: Uint8Array;
  /** Per message, how often it was received. */
  readonly #received: Uint8Array;
  /** Per message: 1 where a receiver was done with it. */
  readonly #done: Uint8Array;
  readonly perProducer: number;

  constructor(path: string) {
    const bytes = Bun.mmap(path);
    const { buffer, byteOffset, byteLength } = bytes;
    const messages = (byteLength - headerBytes) / arrays;
    this.#begun = new Int32Array(buffer, byteOffset, producers);
    this.#returned = new Int32Array(buffer, byteOffset + 4 * producers, producers);
    const array = (place: number): Uint8Array =>
      new Uint8Array(buffer, byteOffset + headerBytes + place * messages, messages);
    this.#unsure = array(0);
    this.#received = array(1);
    this.#done = array(2);
    this.perProducer = messages / producers;
  }

  static create(path: string, messages: number): Account {
    writeFileSync(path, new Uint8Array(headerBytes + arrays * messages));
    return new Account(path);
  }

  /** The next message of a producer; null: it has sent all. */
  begin(producer: number): number | null {
    const begun = this.#begun[producer] ?? 0;
    if (begun > (this.#returned[producer] ?? 0)) {
      // Its predecessor died in this send.
      this.#unsure[producer * this.perProducer + begun - 1] = 1;
      this.#returned[producer] = begun;
    }
    if (begun === this.perProducer) return null;
    this.#begun[producer] = begun + 1;
    return producer * this.perProducer + begun;
  }

  end(producer: number): void {
    this.#returned[producer] = this.#begun[producer] ?? 0;
  }

  /** How often the message has been received now. */
  receive(message: number): number {
    return Atomics.add(this.#received, message, 1) + 1;
  }

  finish(message: number): void {
    this.#done[message] = 1;
  }

  /** Of all messages, in the end. */
  sums(): { unsure: number; lost: number; again: number; most: number } {
    const sums = { unsure: 0, lost: 0, again: 0, most: 0 };
    for (const [message, received] of this.#received.entries()) {
      const unsure = this.#unsure[message] === 1;
      if (unsure) sums.unsure++;
      // Of an unsure one nobody knows, unless somebody received it.
      if (this.#done[message] === 0 && !(unsure && received === 0)) sums.lost++;
      if (received > 1) sums.again += received - 1;
      sums.most = Math.max(sums.most, received);
    }
    return sums;
  }
}
