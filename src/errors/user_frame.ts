// Finds the place in a stack where the user's code called the library: error stacks and traces
// begin there. It recognises the public functions themselves and not their file, since a bundle has
// the user's code in the same file.

type Entrance = (...argv: never[]) => unknown;

const entrances = new Map<string, Entrance[]>();

/**
 * Makes an object's own functions known by the names that messages give them: "acquire()" for a
 * method, "bytes" for a getter, "setting meta.shape" for a setter.
 *
 * A public function must not end in `return f()` where f can throw, nor in code that a minifier
 * turns into that. It would be a tail call, which takes the function off the stack, and then its
 * caller's frames cannot be found.
 */
export function publish(owner: object, prefix = ""): void {
  const add = (name: string, entrance: unknown): void => {
    if (typeof entrance !== "function") return;
    entrances.set(name, [...(entrances.get(name) ?? []), entrance as Entrance]);
  };
  for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
    add(`${prefix}${name}()`, property.value);
    add(`${prefix}${name}`, property.get);
    add(`setting ${prefix}${name}`, property.set);
  }
}

/**
 * Makes the stack of `target` begin below the first of the public functions that is being called.
 * Where none is being called, as in a timer, the stack stays whole. `tried` may go on after the
 * function's name.
 */
export function beginAtCaller(target: Error, ...tried: string[]): void {
  for (const each of tried) {
    const name = /^(?:setting )?[\w.]+(?:\(\))?/.exec(each)?.[0] ?? "";
    for (const entrance of entrances.get(name) ?? []) {
      Error.captureStackTrace(target, entrance);
      if (framesOf(target) !== "") return;
    }
  }
  Error.captureStackTrace(target, beginAtCaller);
}

/** Removes all frames: the place in this library where a cause was made tells its user nothing. */
export function removeStack(target: Error): void {
  // The engine leaves out all frames above the given function, and this one is never on the stack.
  Error.captureStackTrace(target, () => {});
}

/** The lines below the message, which may itself have several. */
export function framesOf(target: Error): string {
  const stack = target.stack ?? "";
  const first = /^ {4}at /m.exec(stack);
  return first === null ? "" : stack.slice(first.index).trimEnd();
}
