// How soon a waiter takes a released buffer, when other waiters give up or are killed at that very
// moment; and how soon it takes a buffer whose holder was killed. The unit is the slice of 50 ms
// after which a waiter looks for the dead by itself.

import { race } from "../test/wait_race.ts";

const sliceMs = 50;

function row(what: string, delaysMs: readonly number[]): void {
  const sorted = delaysMs.toSorted((a, b) => a - b);
  const at = (part: number): string => {
    const delay =
      sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
    return `${(delay / sliceMs).toFixed(4).padStart(8)} (${delay.toFixed(3)} ms)`;
  };
  console.log(`${what.padEnd(44)} n ${String(sorted.length).padStart(5)}`);
  console.log(`  slices: median ${at(0.5)}  p99 ${at(0.99)}  max ${at(1)}`);
}

const calm = await race({ rounds: 150, seed: 1, kills: false });
row("release to the next take, timeouts and aborts", calm.released);
const deadly = await race({ rounds: 150, seed: 2, kills: true });
row("the same, and waiters are killed", deadly.released);
row("a holder's death to the next take", deadly.holderDied);
