// A script that a signal ends leaves no process, folder or pool behind.

import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { natsServer } from "../scripts/nats_server.ts";
import { s3Server } from "../scripts/s3_server.ts";
import { root } from "../scripts/setup.ts";
import { until } from "./scripts.ts";

const all: [string, boolean][] = [
  ["flood.ts --kills 60000", true],
  ["park.ts --s3 0 --bytes 0", s3Server() !== null],
  ["park.ts --messages 0 --bytes 0 --s3 4096", s3Server() !== null],
  ["bridge.ts --frames 0 --cluster 0", natsServer() !== null],
];
for (const [command, isHere] of all) {
  if (!isHere) console.log(`left out, for want of its server: scripts/${command} and signals`);
}

/** All processes that have the folder in their environment. */
function processesOf(folder: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, "utf8").includes(folder);
    } catch {
      return false;
    }
  });
}

test.each(all.filter(([, isHere]) => isHere).map(([command]) => command))(
  "scripts/%s",
  async (command) => {
    const folder = mkdtempSync(join(tmpdir(), "xmem-interrupted-"));
    const shared = mkdtempSync("/dev/shm/xmem-interrupted-");
    const [file = "", ...argv] = command.split(" ");
    const child = Bun.spawn([process.execPath, join(root, "scripts", file), ...argv], {
      env: { ...process.env, TMPDIR: folder, XMEM_DIR: shared },
      stdio: ["ignore", "ignore", "ignore"],
    });
    const far = `/dev/shm/xmem-bridge-${child.pid}-far`;
    await until(() => readdirSync(shared).length > 0 || existsSync(far));
    await until(() => processesOf(folder).length > 2);
    await Bun.sleep(300);
    child.kill("SIGTERM");
    expect(await child.exited).toBe(143);
    await until(() => processesOf(folder).length === 0);
    expect(readdirSync(folder)).toEqual([]);
    expect(readdirSync(shared)).toEqual([]);
    for (const each of [far, far.replace("far", "near")]) expect(existsSync(each)).toBe(false);
    for (const each of [folder, shared]) rmSync(each, { recursive: true });
  },
);
