// Waits of real processes that race with timeouts, aborts and deaths: a waiter always takes a
// released buffer, and every wait ends in one of the known ways.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { breaking, buildChecked } from "../scripts/checked.ts";
import { race } from "./wait_race.ts";

const seed = 20_261;

test("a released buffer reaches a waiter, also when others give up at that moment", async () => {
  const result = await race({ rounds: 60, seed, kills: false });
  expect(result).toMatchObject({ pending: 0, died: 0, patientTimeouts: 0, free: 1, waiters: 0 });
  expect(result.served + result.timedOut + result.aborted).toBe(result.asked);
  // Each way to end must have occurred, or there was no race.
  for (const count of [result.served, result.timedOut, result.aborted]) {
    expect(count).toBeGreaterThan(5);
  }
}, 300_000);

test("a released buffer reaches a waiter, also when others are killed at that moment", async () => {
  const result = await race({ rounds: 60, seed: seed + 2, kills: true });
  expect(result).toMatchObject({ pending: 0, patientTimeouts: 0, free: 1, waiters: 0 });
  const { served, timedOut, aborted, died, asked, kills } = result;
  expect(served + timedOut + aborted + died).toBe(asked);
  // Each process has two waits at most.
  expect(died).toBeLessThanOrEqual(2 * kills);
  expect(kills).toBeGreaterThan(20);
  expect(died).toBeGreaterThan(0);
}, 300_000);

test("a library that loses the buffers of the dead is caught", () => {
  buildChecked("breakable");
  const path = JSON.stringify(join(import.meta.dir, "wait_race.ts"));
  const source = `
    const { race } = await import(${path});
    await race({ rounds: 60, seed: 1, kills: true, hangMs: 5000 });`;
  const child = Bun.spawnSync([process.execPath, "-e", source], {
    env: { ...process.env, ...breaking("breakable", "dead_rows_kept") },
  });
  expect(child.exitCode).not.toBe(0);
  expect(child.stderr.toString()).toMatch(/TIMEOUT|nothing happened for 5000 ms/);
}, 300_000);
