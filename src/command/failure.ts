// How the command ends: its exit codes, and its one line about a failure.

import { XmemError } from "../index.ts";

/** What a program that runs the command can tell apart. */
export const exit = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  inUse: 4,
  broken: 5,
  denied: 6,
  unsupported: 7,
} as const;

/** A failure of the command itself, with a code like those of the library's errors. */
export class CommandError extends Error {
  readonly code:
    | "USAGE"
    | "POOL_NOT_FOUND"
    | "POOL_CORRUPT"
    | "POOL_IN_USE"
    | "NOT_CONFIRMED"
    | "PERMISSION_DENIED";

  constructor(code: CommandError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/** Of a pool that a command looks at again and again. */
export function gone(pool: string, wasThere: boolean): CommandError {
  const found = wasThere ? `pool "${pool}" is gone` : `nothing has the name "${pool}"`;
  return new CommandError("POOL_NOT_FOUND", found);
}

const exits: Readonly<Record<string, number>> = {
  USAGE: exit.usage,
  INVALID_ARGUMENT: exit.usage,
  POOL_NOT_FOUND: exit.notFound,
  POOL_IN_USE: exit.inUse,
  NOT_CONFIRMED: exit.inUse,
  POOL_CORRUPT: exit.broken,
  VERSION_MISMATCH: exit.broken,
  PERMISSION_DENIED: exit.denied,
  UNSUPPORTED_PLATFORM: exit.unsupported,
};

export interface Ending {
  exitCode: number;
  line: string;
}

export function endingOf(error: unknown): Ending {
  const known = error instanceof XmemError || error instanceof CommandError;
  const code = known ? error.code : isUsage(error) ? "USAGE" : "FAILED";
  const message = error instanceof Error ? error.message : String(error);
  const line = `xmem: ${code}: ${message.replaceAll(/\s*\n\s*/g, " ")}`;
  return { exitCode: exits[code] ?? exit.failed, line };
}

/** What the library that reads the arguments throws. */
function isUsage(error: unknown): boolean {
  return error instanceof Error && error.name === "CACError";
}

/** The same of a failed system call. */
export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as { code?: unknown }).code === code;
}
