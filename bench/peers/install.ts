// Installs the peers that the suite compares xmem with, from their public registries, and builds the
// programs that measure them. What cannot be installed is left out, and the suite reports it as absent.
// `bun bench/peers/install.ts` installs and builds; the suite itself only looks for what is there.

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { root, run } from "../../scripts/setup.ts";
import { built, make } from "../suite/compile.ts";

const here = join(root, "bench", "peers");
const out = join(built, "peers");

interface Peer {
  /** Debian's packages with their versions: a newer fix of the same release is the same peer. */
  packages: readonly string[];
  /** Programs by the name of their source, and the compiler's words for them. */
  programs: Record<string, () => string[]>;
}

const gcc = ["-O3", "-D_GNU_SOURCE", "-DNDEBUG", "-pthread"];

const frames = join(root, "bench", "c", "frames.c");

const dpdkLibraries = ["rte_eal", "rte_mempool", "rte_mempool_ring", "rte_ring"];

/** The headers come from a package that wants every driver installed: only unpack it. */
const dpdkHeaders = join(built, "dpdk");

const peers: Record<string, Peer> = {
  gstreamer: {
    packages: [
      "gcc",
      "pkg-config",
      "libgstreamer1.0-dev=1.22*",
      "libgstreamer-plugins-base1.0-dev=1.22*",
      "gstreamer1.0-plugins-base=1.22*",
      "gstreamer1.0-plugins-bad=1.22*",
    ],
    programs: {
      "gstreamer/pool.c": () => ["gcc", ...gcc, ...packageFlags("gstreamer-1.0")],
      "gstreamer/shm.c": () => [
        ...["gcc", frames, ...gcc],
        ...packageFlags("gstreamer-1.0", "gstreamer-app-1.0"),
      ],
    },
  },
  boost: {
    packages: ["g++", "libboost-dev=1.74*"],
    programs: { "boost/pool.cpp": () => ["g++", "-std=c++17", ...gcc, "-lrt"] },
  },
  dpdk: {
    packages: [
      "gcc",
      ...dpdkLibraries.map((name) => `lib${name.replaceAll("_", "-")}23=22.11*`),
      "libnuma-dev",
      "libbsd-dev",
    ],
    programs: {
      "dpdk/pool.c": () => [
        ...["gcc", ...gcc, "-mssse3", "-Wl,--no-as-needed"],
        ...["", "/x86_64-linux-gnu"].map((part) => `-I${dpdkHeaders}/usr/include${part}/dpdk`),
        ...dpdkLibraries.map((name) => `-l:lib${name}.so.23`),
      ],
    },
  },
};

const debianPeers = Object.keys(peers);

/** How a package says that it wants to be compiled with. */
function packageFlags(...names: string[]): string[] {
  const { stdout } = Bun.spawnSync(["pkg-config", "--cflags", "--libs", ...names]);
  return stdout.toString().trim().split(/\s+/);
}

/** What the suite runs for a program of a peer, or why it cannot. */
export function peerProgram(
  source: string,
): { command: string[] } | { command: string[]; absent: string } {
  const path = programPath(source);
  if (existsSync(path)) return { command: [path] };
  return { command: [], absent: "not installed: bun bench/peers/install.ts" };
}

const programPath = (source: string): string =>
  join(out, source.replaceAll("/", "_").replace(/\.\w+$/, ""));

function build(name: string): void {
  for (const [source, flags] of Object.entries(peers[name]?.programs ?? {})) {
    const [compiler = "", ...rest] = flags();
    const from = join(here, source);
    const headers = ["measure.h", "contend.h", "frames.h"].map((each) =>
      join(root, "bench/c", each),
    );
    // A library stands behind the source that uses it.
    make(
      programPath(source),
      [from, ...headers],
      [...[compiler, from, "-o", programPath(source), ...rest]],
    );
  }
}

function installDebian(name: string): void {
  const packages = peers[name]?.packages ?? [];
  const quiet = { env: { DEBIAN_FRONTEND: "noninteractive" } };
  run(["apt-get", "install", "-qq", "--no-install-recommends", ...packages], quiet);
  if (name === "dpdk" && !existsSync(dpdkHeaders)) {
    mkdirSync(dpdkHeaders, { recursive: true });
    run(["apt-get", "download", "-qq", "libdpdk-dev=22.11*"], { cwd: dpdkHeaders });
    run(["sh", "-c", "dpkg -x libdpdk-dev_*.deb ."], { cwd: dpdkHeaders });
  }
  build(name);
}

function installIceoryx2(): void {
  const where = join(here, "iceoryx2");
  const target = join(built, "iceoryx2");
  run(["cargo", "build", "--release", "--locked"], {
    cwd: where,
    env: { CARGO_TARGET_DIR: target, XMEM_FRAMES: built },
  });
  run(["cp", join(target, "release", "xmem-bench-iceoryx2"), join(out, "iceoryx2")]);
}

if (import.meta.main) {
  mkdirSync(out, { recursive: true });
  const failed: string[] = [];
  const attempt = (name: string, install: () => void): void => {
    try {
      install();
      console.log(`${name}: ready`);
    } catch (error) {
      failed.push(name);
      console.error(`${name}: ${error instanceof Error ? error.message : error}`);
    }
  };
  attempt("Debian's list of packages", () => run(["apt-get", "update", "-qq"]));
  for (const name of debianPeers) attempt(name, () => installDebian(name));
  attempt("iceoryx2", installIceoryx2);
  if (failed.length > 0) console.error(`absent: ${failed.join(", ")}`);
}
