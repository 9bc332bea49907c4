// Opens and closes an ephemeral pool again and again, beside others that do the same. Arguments: the
// pool, how many rounds. Prints how often it found, while it had the pool open, that the name led
// elsewhere or nowhere.

import { BufferPool } from "../../src/index.ts";

const [name = "", rounds = "0"] = process.argv.slice(2);
const options = { capacity: 2, bufferSize: 64, maxParticipants: 16, ephemeral: true };
let lost = 0;
for (let round = 0; round < Number(rounds); round++) {
  using pool = BufferPool.openOrCreate(name, options);
  // Several looks: the name is removed a moment after the open, if at all.
  for (let look = 0; look < 3; look++) {
    if (pool.stats().linked) continue;
    lost += 1;
    break;
  }
}
console.log(lost);
