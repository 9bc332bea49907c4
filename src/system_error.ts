// The failed system call behind an error, in the shape that Node gives such errors.

import { getSystemErrorName } from "node:util";
import { removeStack } from "./caller.ts";
import { native } from "./native.ts";

/** Options for an error: its `cause` where the last failed call on this thread left an errno. */
export function systemCause(): { cause?: Error } {
  const errno = native.xmem_error_errno();
  if (errno === 0) return {};
  const code = getSystemErrorName(-errno);
  const cause = Object.assign(new Error(code), { code, errno: -errno });
  removeStack(cause);
  return { cause };
}
