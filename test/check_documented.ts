// Notes each error that is made with a code that the docstring of the function that was called does
// not name, whatever becomes of the error. The file that imports it looks at `undocumented` in the
// end.

import { isDocumented, tried } from "./documented.ts";

/** Function, code and message of each; once for each function and code. */
export const undocumented: string[] = [];

const known = new Set<string>();

/** Every XmemError passes here once its message and its code are set, on its way to its thrower. */
const capture = Error.captureStackTrace;

Error.captureStackTrace = (target: object, below?: unknown): void => {
  capture(target, below as Parameters<typeof capture>[1]);
  const { name, message = "", code = "" } = target as Partial<Error> & { code?: string };
  // BufferPool.list() throws none of the latter: each is the `problem` of a pool that it found.
  if (name !== "XmemError" || message.startsWith("BufferPool.list() of pool ")) return;
  const called = tried(message);
  if (called === undefined || isDocumented(called, code) || known.has(called + code)) return;
  known.add(called + code);
  undocumented.push(`the docstring of ${called} does not name ${code}: ${message}`);
};
