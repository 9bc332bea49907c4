// Runs whole applications one after another, each in processes of its own, and answers for all of them.
// Arguments: for each its name, by what it is to pass data on, and how much of it.

import { join } from "node:path";
import { answer } from "../suite/loop.ts";
import { parse } from "../suite/rounds.ts";

const argv = process.argv.slice(2);
const figures: Record<string, number> = {};
for (let at = 0; at < argv.length; at += 3) {
  const [what = "", ...how] = argv.slice(at, at + 3);
  const command = [process.execPath, join(import.meta.dir, `${what}.ts`), ...how];
  const { exitCode, stdout } = Bun.spawnSync(command, { stdio: ["ignore", "pipe", "inherit"] });
  const said = exitCode === 0 ? parse(stdout.toString()) : undefined;
  if (said === undefined) throw new Error(`${command.join(" ")} ended with ${exitCode}`);
  for (const [key, value] of Object.entries(said)) figures[`${what} ${key}`] = value;
}
answer(figures);
