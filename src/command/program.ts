// The command `xmem`: its subcommands, what each takes, and how it ends.

import { readdirSync } from "node:fs";
import tab from "@bomb.sh/tab/cac";
import { cac } from "cac";
import { version } from "../../package.json";
import { bench } from "./bench.ts";
import { doctor } from "./doctor.ts";
import { dump } from "./dump.ts";
import { CommandError, endingOf, exit } from "./failure.ts";
import { type InfoOptions, info } from "./info.ts";
import { folder, list } from "./list.ts";
import { type ServeOptions, serve } from "./serve/serve.ts";
import { json } from "./text.ts";
import { type TopOptions, top } from "./top.ts";
import {
  type PruneOptions,
  prune,
  reclaim,
  trim,
  type UnlinkOptions,
  type UpkeepOptions,
  unlink,
} from "./upkeep.ts";
import { commandOf } from "./usage.ts";
import { type WatchOptions, watch } from "./watch.ts";

/** Returns the exit code. */
type Action = (...given: never[]) => number | Promise<number>;

function say(text: string): number {
  console.log(text);
  return exit.ok;
}

/** A number of an option, as it was typed. */
function number(
  name: string,
  value: unknown,
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): number {
  const isWhole = typeof value === "number" && Number.isSafeInteger(value);
  if (isWhole && value >= least && value <= most) return value;
  const given = Array.isArray(value) ? `given ${value.length} times` : value;
  const range = most === Number.MAX_SAFE_INTEGER ? "on" : `to ${most}`;
  const expected = `expected a whole number from ${least} ${range}`;
  throw new CommandError("USAGE", `--${name} is ${given}, ${expected}`);
}

function timing<Options extends { interval: unknown; count?: unknown }>(options: Options) {
  const interval = number("interval", options.interval, 10);
  if (options.count === undefined) return { ...options, interval };
  return { ...options, interval, count: number("count", options.count, 1) };
}

function poolNames(): string[] {
  try {
    return readdirSync(folder())
      .filter((entry) => entry.startsWith("xmem."))
      .map((entry) => entry.slice("xmem.".length));
  } catch {
    return [];
  }
}

const everyMs = ["--interval <ms>", "Milliseconds between two looks", { default: 1000 }] as const;
const look = [
  ["--allow-owner <uid>", "Trust the pools of this user, too"],
  ["--allow-group <gid>", "Trust the pools of this group, too"],
] as const;

/** Runs the command, and returns its exit code. */
export async function run(argv: string[]): Promise<number> {
  const cli = cac("xmem");
  let exitCode: number = exit.ok;
  const command = (
    usage: string,
    description: string,
    options: readonly (readonly [string, string, { default: unknown }?])[],
    action: Action,
  ): void => {
    const made = cli.command(usage, description);
    for (const [name, about, config] of options) made.option(name, about, config);
    made.action(async (...given: never[]) => {
      exitCode = await action(...given);
    });
  };
  const asJson = ["--json", "Print JSON"] as const;

  command("list", "List every pool of the folder", [asJson, ...look], (options) =>
    say(list(options)),
  );
  command(
    "info <pool>",
    "Show a pool: who holds which buffer since when, channels, waiters",
    [asJson, ["--all", "Show every buffer in use, and not only the oldest"], ...look],
    (pool: string, options: InfoOptions) => say(info(`${pool}`, options)),
  );
  command(
    "top [pool]",
    "Watch a pool, or all, on a screen; q quits, s sorts",
    [everyMs, ["--count <n>", "End after so many looks"], ...look],
    (pool: string | undefined, options: TopOptions) => top(pool, timing(options)),
  );
  command(
    "watch <pool>",
    "Print a line for each look at a pool",
    [asJson, everyMs, ["--count <n>", "End after so many looks"], ...look],
    async (pool: string, options: WatchOptions) => {
      await watch(`${pool}`, timing(options));
      return exit.ok;
    },
  );
  command(
    "serve",
    "Serve a page that shows pools, to browsers of this machine",
    [
      asJson,
      ["--port <n>", "The port, or 0 for any that is free", { default: 0 }],
      ["--interval <ms>", "Milliseconds between two looks", { default: 500 }],
      ...look,
    ],
    (options: Omit<ServeOptions, "port"> & { port: unknown }) =>
      serve({ ...timing(options), port: number("port", options.port, 0, 65_535) }),
  );
  command(
    "reclaim <pool>",
    "Give back what dead participants and expired leases left",
    [asJson, ...look],
    (pool: string, options: UpkeepOptions) => say(reclaim(`${pool}`, options)),
  );
  command(
    "trim <pool>",
    "Give the memory of free buffers back to the system",
    [asJson, ...look],
    (pool: string, options: UpkeepOptions) => say(trim(`${pool}`, options)),
  );
  command(
    "prune",
    "Remove the pools that no live participant has open",
    [asJson, ["--yes", "Do not ask"], ["--dry-run", "Only say which these are"]],
    async (options: PruneOptions) => say(await prune(options)),
  );
  command(
    "unlink <pool>",
    "Remove a pool's name, unless somebody has it open",
    [asJson, ["--force", "Remove it, whoever has it open, and whatever it is"]],
    (pool: string, options: UnlinkOptions) => say(unlink(`${pool}`, options)),
  );
  command("doctor", "Say whether this machine is fit for pools", [asJson], (options) => {
    const { text, isFit } = doctor(options);
    console.log(text);
    return isFit ? exit.ok : exit.failed;
  });
  command(
    "bench",
    "Measure for five seconds what the pool costs here",
    [asJson, ["--seconds <n>", "For how long", { default: 5 }]],
    (options: { json?: boolean; seconds: unknown }) =>
      say(bench({ ...options, seconds: number("seconds", options.seconds, 1) })),
  );
  command(
    "dump <pool>",
    "Print a pool's control area as JSON, of a corrupt pool, too",
    [["--all", "What is free or unused, too"]],
    (pool: string, options: { all?: boolean }) => say(json(dump(`${pool}`, options.all === true))),
  );

  const pools = {
    args: {
      pool: (complete: (value: string, about: string) => void) => {
        for (const name of poolNames()) complete(name, "");
      },
    },
  };
  const named = ["info", "top", "watch", "reclaim", "trim", "unlink", "dump"];
  await tab(cli, { subCommands: Object.fromEntries(named.map((name) => [name, pools])) });
  cli.help();
  cli.option("-v, --version", "Display version number");
  try {
    cli.parse(argv, { run: false });
    if (cli.options["help"] === true) return exit.ok;
    if (cli.options["version"] === true) {
      return say(`xmem/${version} ${process.platform}-${process.arch} bun-${Bun.version}`);
    }
    commandOf(cli);
    await cli.runMatchedCommand();
    return exitCode;
  } catch (error) {
    const { exitCode: failed, line } = endingOf(error);
    process.stderr.write(`${line}\n`);
    return failed;
  }
}

// A reader that ends early, as `head` does, is no failure.
process.stdout.on("error", (error: { code?: string }) => {
  if (error.code === "EPIPE") process.exit(exit.ok);
  throw error;
});

process.exit(await run(process.argv));
