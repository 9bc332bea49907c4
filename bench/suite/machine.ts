// What a figure was measured on and with: without it a figure says nothing.

import { existsSync, readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";
import { root, zig } from "../../scripts/setup.ts";

/** The first line of what a command prints, or nothing where it is not there. */
function said(...command: string[]): string | undefined {
  try {
    const { exitCode, stdout } = Bun.spawnSync(command, { stdio: ["ignore", "pipe", "ignore"] });
    return exitCode === 0 ? stdout.toString().trim().split("\n")[0] : undefined;
  } catch {
    return undefined;
  }
}

export function machine(): Record<string, string> {
  const [first] = cpus();
  const system = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  const glibc = said("getconf", "GNU_LIBC_VERSION");
  return {
    processor: `${first?.model ?? "unknown"}${family()}`,
    cores: String(cpus().length),
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    system: /^PRETTY_NAME="(.*)"$/m.exec(system)?.[1] ?? process.platform,
    kernel: release(),
    libc: glibc ?? "unknown",
    "load before": loadavg()[0]?.toFixed(2) ?? "unknown",
  };
}

/** Virtual machines hide the model: its family and number still tell the generation. */
function family(): string {
  if (!existsSync("/proc/cpuinfo")) return "";
  const about = readFileSync("/proc/cpuinfo", "utf8");
  const find = (field: string): string =>
    new RegExp(`^${field}\\s*: (\\d+)$`, "m").exec(about)?.[1] ?? "?";
  return ` (family ${find("cpu family")}, model ${find("model")})`;
}

export function versions(): Record<string, string> {
  const lock = join(root, "bench", "peers", "iceoryx2", "Cargo.lock");
  const crates = existsSync(lock) ? readFileSync(lock, "utf8") : "";
  const own = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  const commit = said("git", "-C", root, "rev-parse", "--short", "HEAD");
  const found: Record<string, string | undefined> = {
    xmem: `${own.version}${commit === undefined ? "" : ` (${commit})`}`,
    Bun: Bun.version,
    Zig: said(...zig("version")),
    gcc: said("gcc", "-dumpfullversion"),
    rustc: said("rustc", "--version")?.split(" ")[1],
    Python: said("python3", "--version")?.split(" ")[1],
    iceoryx2: /name = "iceoryx2"\nversion = "(.*)"/.exec(crates)?.[1],
    GStreamer: debian("libgstreamer1.0-0"),
    "Boost.Interprocess": debian("libboost-dev"),
    DPDK: debian("librte-mempool23"),
  };
  return Object.fromEntries(
    Object.entries(found).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

function debian(name: string): string | undefined {
  const version = said("dpkg-query", "-W", name)?.split("\t")[1];
  return version === "" ? undefined : version;
}
