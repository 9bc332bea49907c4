// The errors of calls that should fail.

import { XmemError, type XmemErrorCode } from "../src/index.ts";

/**
 * The error that `body` throws. It throws anything that is no XmemError, and an error of its own
 * where `body` throws none.
 */
export function errorOf(body: () => unknown): XmemError {
  try {
    body();
  } catch (error) {
    if (error instanceof XmemError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** The same of a promise. */
export async function errorOfLater(body: () => unknown): Promise<XmemError> {
  try {
    await body();
  } catch (error) {
    if (error instanceof XmemError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** The code of the error, "none" when there is none. */
export function codeOf(body: () => unknown): XmemErrorCode | "none" {
  try {
    body();
    return "none";
  } catch (error) {
    if (error instanceof XmemError) return error.code;
    throw error;
  }
}

/** The same of a promise. */
export async function codeOfLater(body: () => unknown): Promise<XmemErrorCode | "none"> {
  try {
    await body();
    return "none";
  } catch (error) {
    if (error instanceof XmemError) return error.code;
    throw error;
  }
}
