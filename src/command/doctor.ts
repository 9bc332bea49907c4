// `xmem doctor`: whether this machine is fit for pools, and what is left behind on it.

import { existsSync, readFileSync, statfsSync } from "node:fs";
import { release } from "node:os";
import { BufferPool } from "../index.ts";
import { folder } from "./list.ts";
import { bytes, count, json, styled } from "./text.ts";

interface Finding {
  what: string;
  /** `warning`: it works, less well than it could. */
  state: "ok" | "warning" | "problem";
  found: string;
  /** What to do; "" where nothing is to be done. */
  advice: string;
}

function ok(what: string, found: string): Finding {
  return { what, state: "ok", found, advice: "" };
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function bun(): Finding {
  return ok("Bun", `${Bun.version}, ${process.platform} ${process.arch}`);
}

function kernel(): Finding {
  const found = release();
  if (process.platform !== "linux") return ok("kernel", `${process.platform} ${found}`);
  const [major = 0, minor = 0] = found.split(".").map(Number);
  if (major > 5 || (major === 5 && minor >= 14)) return ok("kernel", found);
  const advice = "from 5.14 on memory is committed by one call; older kernels touch each page";
  return { what: "kernel", state: "warning", found, advice };
}

function libc(): Finding {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  const glibc = report.header?.glibcVersionRuntime;
  if (process.platform !== "linux") return ok("libc", process.platform);
  return ok("libc", glibc === undefined ? "musl" : `glibc ${glibc}`);
}

/** Which of the libraries it is: this process has loaded it. */
function library(): Finding {
  const chosen = process.env["XMEM_LIBRARY"];
  const mapped = /\S*libxmem\S*\.(?:so|dylib)/.exec(read("/proc/self/maps"))?.[0];
  const found = mapped ?? chosen ?? "loaded";
  if (!chosen) return ok("library", found);
  const advice = "unset XMEM_LIBRARY to use the one of the package";
  return { what: "library", state: "warning", found: `${found}, by XMEM_LIBRARY`, advice };
}

const tmpfs = 0x01021994;
const smallest = 128 * 1024 * 1024;

function room(): Finding {
  const what = "folder";
  const path = folder();
  if (!existsSync(path)) {
    const advice = "make it, or let XMEM_DIR name a folder on a tmpfs";
    return { what, state: "problem", found: `${path} does not exist`, advice };
  }
  const { bsize, blocks, bavail, type } = statfsSync(path);
  const [size, free] = [blocks * bsize, bavail * bsize];
  const found = `${path}, ${bytes(free)} free of ${bytes(size)}`;
  const isMemory = process.platform !== "linux" || type === tmpfs;
  if (!isMemory) {
    const advice = "it is no tmpfs: buffers are written to a disk; unset XMEM_DIR, or name a tmpfs";
    return { what, state: "warning", found, advice };
  }
  if (free < size / 10) {
    const advice = "remove pools that nobody needs (`xmem prune`), trim others (`xmem trim POOL`)";
    return { what, state: "problem", found, advice };
  }
  if (size < smallest) {
    const advice =
      "a container has 64 MiB unless it is started with more: docker run --shm-size=1g";
    return { what, state: "warning", found, advice };
  }
  return ok(what, found);
}

const fewDescriptors = 1024;

function limits(): Finding[] {
  const all = read("/proc/self/limits");
  if (all === "") return [];
  const limit = (name: string): number => {
    const value = new RegExp(`^${name} +(\\S+)`, "m").exec(all)?.[1] ?? "unlimited";
    return value === "unlimited" ? Number.POSITIVE_INFINITY : Number(value);
  };
  const shown = (value: number): string =>
    value === Number.POSITIVE_INFINITY ? "no limit" : `${value}`;
  const open = limit("Max open files");
  const space = limit("Max address space");
  const size = limit("Max file size");
  const group = Number(read("/sys/fs/cgroup/memory.max"));
  const findings: Finding[] = [
    open >= fewDescriptors
      ? ok("open files", shown(open))
      : {
          what: "open files",
          state: "warning",
          found: shown(open),
          advice: "each pool and each loop that waits takes some: ulimit -n 4096",
        },
  ];
  for (const [what, value, flag] of [
    ["address space", space, "-v"],
    ["file size", size, "-f"],
  ] as const) {
    const found = value === Number.POSITIVE_INFINITY ? "no limit" : bytes(value);
    const advice = `a pool takes capacity x bufferSize of it, used or not: ulimit ${flag} unlimited`;
    findings.push(
      value === Number.POSITIVE_INFINITY
        ? ok(what, found)
        : { what, state: "warning", found, advice },
    );
  }
  findings.push(ok("memory", group > 0 ? `${bytes(group)} in this control group` : "no limit"));
  return findings;
}

/** Makes a pool, and uses it. */
function trial(): Finding {
  const what = "a pool";
  const name = `xmem-doctor-${process.pid}`;
  try {
    using pool = BufferPool.create(name, { capacity: 2, bufferSize: 4096, ephemeral: true });
    using buffer = pool.acquire(4096);
    buffer.bytes.fill(1);
    return ok(what, "was made, used and removed");
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    return { what, state: "problem", found, advice: "see what the message says" };
  }
}

function pools(): Finding[] {
  const what = "pools";
  try {
    const all = BufferPool.list();
    const stale = BufferPool.prune({ dryRun: true });
    const broken = all.filter(({ problem }) => problem !== undefined);
    const findings: Finding[] = [];
    if (stale.length > 0) {
      const committed = all
        .filter(({ name }) => stale.includes(name))
        .reduce((sum, { committedBytes }) => sum + committedBytes, 0);
      const found = `without a live participant: ${stale.join(", ")}, with ${bytes(committed)}`;
      const advice = "xmem prune removes them, unless a program means to open them later";
      findings.push({ what, state: "warning", found, advice });
    }
    for (const { name, problem } of broken) {
      const advice = `xmem dump ${name} shows what is left, xmem unlink ${name} --force removes it`;
      findings.push({ what, state: "warning", found: `${name}: ${problem}`, advice });
    }
    return findings.length > 0
      ? findings
      : [ok(what, `${count(all.length, "pool")}, all in order`)];
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    return [{ what, state: "problem", found, advice: "see what the message says" }];
  }
}

/** The text, and whether there is a problem. */
export function doctor(options: { json?: boolean }): { text: string; isFit: boolean } {
  const findings = [bun(), kernel(), libc(), library(), room(), ...limits(), trial(), ...pools()];
  const isFit = findings.every(({ state }) => state !== "problem");
  if (options.json === true) return { text: json({ isFit, findings }), isFit };
  const width = Math.max(...findings.map(({ what }) => what.length));
  const lines = findings.flatMap(({ what, state, found, advice }) => {
    const sign = state === "ok" ? "ok     " : styled(state === "problem" ? "red" : "yellow", state);
    const line = `${sign.padEnd(7)}  ${what.padEnd(width)}  ${found}`;
    return advice === "" ? [line] : [line, `${" ".repeat(width + 11)}-> ${advice}`];
  });
  return { text: lines.join("\n"), isFit };
}
