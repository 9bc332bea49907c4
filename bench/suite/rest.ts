// A machine in a cloud shares its cores with others: where another guest runs on the other half of a
// core, a loop of nanoseconds takes up to 1.7 times as long, and one of few instructions, as the
// yardstick is, no longer at all. Both halves of a comparison would be of different machines. So a
// question of nanoseconds asks each row while a loop of additions runs at its best on all cores.

import { program } from "./compile.ts";

/** Picoseconds of the loop at its best, as far as this run has seen. */
let best = 0;

/** Waits for a moment of rest, not longer than half a second. False: there was none. */
export async function rest(): Promise<boolean> {
  const child = Bun.spawn([...program("undisturbed"), String(best)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const said = JSON.parse(await child.stdout.text()) as { best: number; atRest: number };
  best = said.best;
  return said.atRest === 1;
}
