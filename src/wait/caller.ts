// The stack of a wait's failure. It happens in a timer or in a socket's callback, whose stack does not
// show who asked.

import { XmemError } from "../errors/error.ts";
import { framesOf } from "../errors/user_frame.ts";

/** Awaits `wait`, and lets an error of its begin where `entrance`, which calls this, was called. */
export async function sinceCall<Result>(
  entrance: (...argv: never[]) => unknown,
  signal: AbortSignal | undefined,
  wait: () => Promise<Result>,
): Promise<Result> {
  const asked = new Error("asked");
  Error.captureStackTrace(asked, entrance);
  try {
    return await wait();
  } catch (error) {
    if (error instanceof XmemError && error !== signal?.reason) {
      error.stack = `${error}\n${framesOf(asked)}`;
    }
    throw error;
  }
}
