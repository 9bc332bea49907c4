// The demo, end to end: a file that is larger than its pool, and an interrupt in the middle.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BufferPool } from "../src/index.ts";

const demo = join(import.meta.dir, "..", "examples", "compress", "demo.ts");
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "xmem-demo-test-"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(bytes: number): string {
  const path = join(folder, `${bytes}`);
  writeFileSync(
    path,
    Uint8Array.from({ length: bytes }, (_, place) => (place * place) >> 7),
  );
  return path;
}

const left = (): string[] =>
  BufferPool.list()
    .map(({ name }) => name)
    .filter((name) => name.startsWith("demo."));

test("it compresses a file that its pool could not hold, and proves it", () => {
  const argv = [process.execPath, demo, file(3_000_000), "--workers", "2", "--chunk", "262144"];
  const child = Bun.spawnSync(argv);
  expect(child.stderr.toString()).toBe("");
  expect(child.exitCode).toBe(0);
  expect(child.stdout.toString()).toMatch(/SHA-256 [0-9a-f]{64} .*: ok/);
  expect(left()).toEqual([]);
});

test("an interrupt leaves nothing behind", async () => {
  const argv = [process.execPath, demo, file(30_000_000), "--chunk", "65536"];
  const child = Bun.spawn(argv, { stdout: "ignore", stderr: "ignore" });
  while (left().length === 0 && child.exitCode === null) await Bun.sleep(1);
  await Bun.sleep(100);
  child.kill("SIGINT");
  expect(await child.exited).toBe(130);
  expect(left()).toEqual([]);
});

test("a missing file is a clear error", () => {
  const child = Bun.spawnSync([process.execPath, demo, "/nowhere"]);
  expect(child.exitCode).toBe(2);
  expect(child.stderr.toString()).toContain("/nowhere is not a file");
});
