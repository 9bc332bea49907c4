// How soon a waiter takes a released buffer, when other waiters give up or are killed at that very
// moment; and how soon it takes a buffer whose holder was killed. Not by tinybench: each figure is the
// time between two processes. The argument says whether waiters are killed.

import { race } from "../../test/wait_race.ts";
import { answer, milliseconds } from "../suite/loop.ts";
import { quantile } from "../suite/statistics.ts";

const kills = process.argv[2] === "kills";
const rounds = Math.ceil(milliseconds / 5);
const { released, holderDied } = await race({ rounds, seed: Date.now() % 1000, kills });
const figures = (key: string, late: readonly number[]): Record<string, number> => ({
  [`${key} p50`]: quantile(late, 0.5) * 1e3,
  [`${key} most`]: Math.max(...late) * 1e3,
});
// Who takes a buffer before anybody died has the time since the machine started for that.
const deaths = holderDied.filter((late) => late < 60_000);
answer({ ...figures("race", released), ...(deaths.length > 0 ? figures("death", deaths) : {}) });
