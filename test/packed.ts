// The package as a user gets it, made once for all tests that look at it.

import { pack } from "../scripts/pack.ts";

let made: Promise<string> | undefined;

/** The tarball's path. The first call builds for every platform, which can take minutes. */
export function tarball(): Promise<string> {
  made ??= pack();
  return made;
}
