// Opens and closes an ephemeral pool again and again, beside others that do the same, and now and
// then removes its name by hand. Arguments: the pool, how many rounds, every how many rounds it
// removes the name (0: never). Prints how many opens there were, and how many found, while they had
// the pool open and nobody had removed its name by hand, that the name led elsewhere.

import { BufferPool } from "../../src/index.ts";

const [name = "", rounds = "0", unlinkEvery = "0"] = process.argv.slice(2);
const options = { capacity: 2, bufferSize: 64, maxParticipants: 16, ephemeral: true };
let lost = 0;
let removed = 0;

/** Whether the name leads to the pool, looked at as often as it takes for a race to show. */
function isNamed(pool: BufferPool): boolean {
  for (let look = 0; look < 3; look++) if (!pool.stats().linked) return false;
  return true;
}

for (let round = 1; round <= Number(rounds); round++) {
  const pool = BufferPool.openOrCreate(name, options);
  if (Number(unlinkEvery) === 0) {
    if (!isNamed(pool)) lost += 1;
    pool.close();
  } else {
    pool.close();
    // The pool's own name, or by now nobody's: a newer pool of this name is somebody else's.
    if (round % Number(unlinkEvery) === 0 && pool.unlink()) removed += 1;
  }
}
console.log(JSON.stringify({ opens: Number(rounds), lost, removed }));
