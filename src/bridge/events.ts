// What a bridge says of itself while it runs, and what it checks of its arguments.

import type { NatsConnection } from "@nats-io/transport-node";
import { Listeners } from "../pool/listeners.ts";
import { invalid } from "../relay/arguments.ts";

/** What happened. */
export type BridgeEventType =
  /** The connection to the server was lost; the client looks for another one. */
  | "disconnected"
  /** There is a connection again. */
  | "reconnected"
  /** The stream takes nothing at present: its limits are reached. */
  | "full"
  /** It takes messages again. */
  | "flowing"
  /** A try failed, and is repeated after a while. */
  | "waiting"
  /** A message was refused and ended: it will not come again. */
  | "refused"
  /** A request got no reply. */
  | "failed"
  /** Somebody else sends to the channel, so that after a kill one message may come twice. */
  | "shared";

/** Something that a program may want to log, or to count. */
export interface BridgeEvent {
  /** What happened. */
  type: BridgeEventType;
  /** Why, in words for people, where there is more to say. */
  reason?: string;
}

/** Is told of events. */
export type BridgeListener = (event: BridgeEvent) => void;

/** Hands events to those who listen. */
export class Events {
  readonly #listeners = new Listeners<BridgeEvent>();

  on(tried: string, listener: BridgeListener): () => void {
    if (typeof listener !== "function") throw invalid(tried, "listener is no function");
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(event: BridgeEvent): void {
    this.#listeners.tell(event);
  }
}

/** Why something failed, in a few words. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Throws where what a user gave is no connection, a name is missing, or an option does not exist. */
export function check(
  tried: string,
  nats: unknown,
  options: object,
  names: readonly string[],
  others: readonly string[],
): void {
  const isConnection =
    typeof nats === "object" && nats !== null && "subscribe" in nats && "publish" in nats;
  if (!isConnection) throw invalid(tried, "what was given is no connection to NATS");
  if (typeof options !== "object" || options === null) {
    throw invalid(tried, "the options are no object");
  }
  const given = options as Record<string, unknown>;
  for (const name of names) {
    const value = given[name];
    if (typeof value !== "string" || value === "" || /[\s\0]/.test(value)) {
      throw invalid(tried, `${name} is ${JSON.stringify(value)}, expected a name without spaces`);
    }
  }
  const known = [...names, ...others];
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw invalid(tried, `there is no option ${unknown}; there are ${known.join(", ")}`);
  }
  const { signal } = given;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalid(tried, "signal is no AbortSignal");
  }
}

/** A whole number from 1 to `most`, or the default where none was given. */
export function count(
  tried: string,
  name: string,
  value: unknown,
  otherwise: number,
  most: number = 2 ** 31 - 1,
): number {
  if (value === undefined) return otherwise;
  const fits = typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= most;
  if (fits) return value;
  throw invalid(tried, `${name} is ${String(value)}, expected a whole number from 1 to ${most}`);
}

/** Tells when the connection is lost, and when there is one again; until `stop`, or its close. */
export function watch(
  nats: NatsConnection,
  told: { lost: () => void; found: () => void; closed: () => void },
): { stop(): void } {
  const statuses = nats.status() as ReturnType<NatsConnection["status"]> & { stop?(): void };
  let isStopped = false;
  void (async () => {
    for await (const { type } of statuses) {
      if (isStopped) return;
      if (type === "disconnect") told.lost();
      if (type === "reconnect") told.found();
    }
  })();
  void nats.closed().then(() => {
    if (!isStopped) told.closed();
  });
  return {
    stop: () => {
      isStopped = true;
      statuses.stop?.();
    },
  };
}

/** The prefix of inboxes that this connection is allowed to have. */
export function inboxPrefixOf(nats: NatsConnection): string | undefined {
  const { options } = nats as { options?: { inboxPrefix?: unknown } };
  const prefix = options?.inboxPrefix;
  return typeof prefix === "string" ? prefix : undefined;
}
