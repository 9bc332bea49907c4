// Keeps open sessions reachable until they are closed. The engine collects the variables of a
// module that has finished, so an unreachable session may still be in use. Only where `bun --hot`
// has replaced this module may the sessions of the replaced one be collected.

/**
 * It is on `globalThis`, since the variables of a module are collected with it. `latest` has a
 * function for each copy of this library, by its address, that ends the keeping of its last
 * evaluation; `lost` is a registry that outlives them all. Copies of several versions meet here, so
 * that a change of this interface needs another number in the key.
 */
interface Generations {
  readonly latest: Map<string, () => void>;
  readonly lost: FinalizationRegistry<() => void>;
}

const key = Symbol.for("xmem.generations.1");
const home = globalThis as { [key]?: Generations };

function generations(): Generations {
  home[key] ??= { latest: new Map(), lost: new FinalizationRegistry((end) => end()) };
  return home[key];
}

/** Whether this module can be replaced while the program runs. */
export const reloadable: boolean = process.execArgv.includes("--hot");

const kept = new Set<object>();
let replaced = false;

function endKeeping(): void {
  replaced = true;
  kept.clear();
}

// Without a reload, a program that evaluates the module again uses both evaluations.
const { latest } = generations();
if (reloadable) {
  latest.get(import.meta.url)?.();
  latest.set(import.meta.url, endKeeping);
} else {
  latest.set(`${import.meta.url}#${latest.size}`, endKeeping);
}

/** Keeps `session` reachable until it is let go, or this generation of the module is replaced. */
export function keep(session: object): void {
  if (!replaced) kept.add(session);
}

/** All that are kept. */
export function keptSessions(): readonly object[] {
  return [...kept];
}

export function letGo(session: object): void {
  kept.delete(session);
}

/** Calls `end` once the engine has collected `target`, to which `end` must not refer. */
export function onceLost(target: object, end: () => void): void {
  generations().lost.register(target, end, target);
}

export function notLost(target: object): void {
  generations().lost.unregister(target);
}

const owner = Symbol("owner");

/** Keeps `toKeep` reachable for as long as `buffer` or a view of it is. */
export function tie(buffer: ArrayBuffer, toKeep: object): void {
  (buffer as { [owner]?: object })[owner] = toKeep;
}
