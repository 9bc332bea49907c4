// What goes wrong with a store: how it is said, what is tried again, and when.

import { suggestion } from "../arguments/suggestion.ts";
import { XmemError } from "../index.ts";
import { invalid } from "../relay/arguments.ts";
import { pause } from "../relay/pause.ts";

/** A failure of the store itself, which may be over at the next try. */
export function failed(tried: string, cause: unknown, advice = ""): XmemError {
  const found = cause instanceof Error ? cause.message : String(cause);
  const code = codeOf(cause);
  const said = code === "" || found.includes(code) ? found : `${code}, ${found}`;
  return new XmemError("SYSTEM", `${tried}: ${said}${advice === "" ? "" : `; ${advice}`}`, {
    cause,
  });
}

export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "";
}

/** Causes that people have to remove: a second try a moment later finds the same. */
const lasting = new Set([
  ...["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "XAdminUserNotFound"],
  ...["ERR_S3_MISSING_CREDENTIALS", "ExpiredToken", "InvalidToken", "NoSuchBucket"],
  ...["InvalidBucketName", "EACCES", "EPERM", "EROFS", "ENOTDIR", "ENAMETOOLONG"],
]);

export interface Tries {
  /** How often it is tried, at most. */
  tries: number;
  signal: AbortSignal | undefined;
  /** Is told of each failure that is followed by another try. */
  failing?: (error: XmemError) => void;
}

const firstPause = 100;
const longestPause = 10_000;

/** Tries again where the store failed, after pauses that grow and differ. */
export async function repeated<T>(
  attempt: () => Promise<T>,
  { tries, signal, failing }: Tries,
): Promise<T> {
  for (let count = 1; ; count++) {
    signal?.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof XmemError) || error.code !== "SYSTEM" || count >= tries) throw error;
      if (tries !== Number.POSITIVE_INFINITY && lasting.has(codeOf(error.cause))) throw error;
      failing?.(error);
    }
    await pause(backOff(count), signal);
  }
}

/** Milliseconds until the next try after so many failures in a row; it differs, for many may try. */
export function backOff(failures: number): number {
  const most = Math.min(longestPause, firstPause * 2 ** (failures - 1));
  return most * (0.5 + Math.random() / 2);
}

/** Throws where options are none, or one of them does not exist. */
export function checkOptions(tried: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== "object" || options === null) {
    throw invalid(tried, "the options are no object");
  }
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    const advice = suggestion(unknown, Object.fromEntries(known.map((name) => [name, true])));
    throw invalid(tried, `there is no option ${JSON.stringify(unknown)}; ${advice}`);
  }
  const { signal } = options as { signal?: unknown };
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalid(tried, "signal is no AbortSignal");
  }
}

/** True or false; false where nothing was given. */
export function flag(tried: string, name: string, value: unknown): boolean {
  if (value === undefined || typeof value === "boolean") return value === true;
  throw invalid(tried, `${name} is neither true nor false`);
}

/** A whole number from `least` to `most`, or the default where none was given. */
export function whole(
  tried: string,
  name: string,
  value: unknown,
  {
    otherwise,
    least = 1,
    most = 2 ** 31 - 1,
  }: { otherwise: number; least?: number; most?: number },
): number {
  if (value === undefined) return otherwise;
  const isWhole = typeof value === "number" && Number.isInteger(value);
  if (isWhole && value >= least && value <= most) return value;
  const expected = `expected a whole number from ${least} to ${most}`;
  throw invalid(tried, `${name} is ${String(value)}, ${expected}`);
}
