// Which open sessions are kept alive. All are, until they are closed: the engine takes a finished
// module's variables for garbage, so that being unreachable proves nothing about a live program. Only
// where `bun --hot` replaced this module may the sessions of the replaced one be collected.

/**
 * On `globalThis`, since a module's own variables go with it: the last evaluation of each copy of this
 * library, by its address, with what ends its keeping; and a registry that outlives them all. Another
 * form of it takes another number, since copies of several versions meet here.
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

// Without a reload, whoever evaluates the module again has both in use.
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

export function letGo(session: object): void {
  kept.delete(session);
}

/** Calls `end`, which does not lead to `target`, once the engine has collected `target`. */
export function onceLost(target: object, end: () => void): void {
  generations().lost.register(target, end, target);
}

export function notLost(target: object): void {
  generations().lost.unregister(target);
}

const owner = Symbol("owner");

/** Keeps `kept` reachable for as long as `buffer` is, or any view of it. */
export function tie(buffer: ArrayBuffer, toKeep: object): void {
  (buffer as { [owner]?: object })[owner] = toKeep;
}
