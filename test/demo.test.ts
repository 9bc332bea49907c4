// The demo, as people run it: on a real file, with real worker processes, and interrupted.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const demo = join(import.meta.dir, "..", "examples", "compress", "demo.ts");
const shared = process.env["XMEM_DIR"] || "/dev/shm";
let folder = "";
let file = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "xmem-demo-test-"));
  file = join(folder, "input");
  const bytes = new Uint8Array(3_000_001);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * i) >>> (i & 15);
  writeFileSync(file, bytes);
});
afterAll(() => rmSync(folder, { recursive: true }));

function start(...args: string[]) {
  // Its temporary files go where they can be counted.
  return Bun.spawn([process.execPath, demo, ...args], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

function leftBehind(pid: number): string[] {
  const pools = readdirSync(shared).filter((name) => name.startsWith(`xmem.demo-${pid}-`));
  return [...pools, ...readdirSync(folder).filter((name) => name.startsWith("xmem-demo-"))];
}

test("the demo compresses a file through the pool, verifies it and leaves nothing behind", async () => {
  const child = start(file, "--workers", "2", "--chunk", "262144");
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect(errors).toBe("");
  expect(output).toContain("SHA-256 ok");
  expect(output).toContain("throughput");
  expect(await child.exited).toBe(0);
  expect(leftBehind(child.pid)).toEqual([]);
}, 60_000);

test("an empty file is a file", async () => {
  const empty = join(folder, "empty");
  writeFileSync(empty, "");
  const child = start(empty, "--workers", "1");
  expect(await child.stdout.text()).toContain("SHA-256 ok");
  expect(await child.exited).toBe(0);
}, 60_000);

test.each(["SIGINT", "SIGTERM"] as const)(
  "%s in the middle leaves nothing behind",
  async (signal) => {
    // Chunks so small that the job is far from done when the signal comes.
    const child = start(file, "--workers", "2", "--chunk", "16");
    const reader = child.stdout.getReader();
    await reader.read();
    await Bun.sleep(300);
    expect(child.exitCode).toBeNull();
    child.kill(signal);
    expect(await child.exited).toBe(signal === "SIGINT" ? 130 : 143);
    expect(leftBehind(child.pid)).toEqual([]);
  },
  60_000,
);

test.each([
  [["/nonexistent/file"], "/nonexistent/file"],
  [["/"], "not a regular file"],
  [["--workers", "0"], "--workers"],
  [["--workers", "two"], "--workers"],
  [["--chunk", "0"], "--chunk"],
  [["--chunk", "1.5"], "--chunk"],
  [["--nonsense"], "--nonsense"],
])("%p is refused with a message and without a stack", async (args, words) => {
  const child = start(...args);
  const errors = await child.stderr.text();
  expect(errors).toContain(words);
  expect(errors).not.toContain("    at ");
  expect(await child.exited).toBe(2);
});
