// The corruption fuzzer: damages the control area of small pools and runs every operation on them.
// Most cases run in the core, with Zig's safety checks on (zig/check/fuzz/pool_fuzz.zig), the others through
// the public interface (test/fuzz/). Cases run in child processes: a fault or a hang is reported by
// its seed and case, and the rest goes on.
//
//   bun run fuzz [--cases N] [--interface N] [--seed S]
//   bun run fuzz --seed S --only core:CASE | --only interface:CASE     (replays one, step by step)

import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  unlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { breaking, buildChecked, folderOf } from "./checked.ts";
import { root, run, runRecorded, setup, zigBuild } from "./setup.ts";

interface FuzzOptions {
  /** In the core. */
  cases: number;
  /** Through the interface. */
  interfaceCases: number;
  seed: number;
  /** The rule that the library and the fuzzer break, by its name in zig/hooks/canary.zig. */
  canary?: string;
  /** A child that makes no step for so many milliseconds hangs. */
  watchdog?: number;
  /** Ends after so many findings. */
  findingsMax?: number;
}

interface FuzzReport {
  faults: number;
  hangs: number;
  /** The number of wrong results, and of errors that are no XmemError. */
  failures: number;
}

const findingsDefault = 10;
const batch = 500;
/** More than there are processors: an interface case waits most of its time for timeouts. */
const jobs = 4;

const coreFuzzer = join("build", "fuzz");

/** Builds the core's fuzzer. */
export function buildFuzzer(): void {
  run(zigBuild(coreFuzzer, "fuzz"));
}

/** Builds the core's fuzzer and the library for runs that break a rule. */
export function buildBreakableFuzzer(): void {
  buildChecked("breakable", "install", "fuzz");
}

const environmentOf = ({ canary }: FuzzOptions): Record<string, string> =>
  canary === undefined ? {} : breaking("breakable", canary);

export async function fuzzCore(options: FuzzOptions): Promise<FuzzReport> {
  const from = options.canary === undefined ? join(root, coreFuzzer) : folderOf("breakable");
  const arguments_ = {
    cases: options.cases,
    seed: options.seed,
    "watchdog-ms": options.watchdog ?? 10_000,
    "findings-max": findingsMaxOf(options),
  };
  const argv = Object.entries(arguments_).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  const env = environmentOf(options);
  const { output } = await runRecorded([join(from, "pool_fuzz"), ...argv], { env });
  const summary = /^core: .* (\d+) faults, (\d+) hangs, (\d+) failures$/m.exec(output);
  if (summary === null) throw new Error("the core's fuzzer ended without a summary");
  const [faults = 0, hangs = 0, failures = 0] = summary.slice(1).map(Number);
  return { faults, hangs, failures };
}

function findingsMaxOf(options: FuzzOptions): number {
  return options.findingsMax ?? findingsDefault;
}

interface Tally {
  operations: number;
  results: number;
  refusals: number;
  usable: number;
  corrupt: number;
}

/** The result of a child that ran a range of interface cases. */
interface Outcome {
  kind: "done" | "fault" | "hang" | "failure";
  tally?: Tally;
  /** The case that it stopped in, in which operation, and what it said. */
  at: number;
  operation: string;
  said: string;
}

function where(file: string): { at: number; step: number; operation: string } {
  const bytes = Buffer.alloc(32);
  const fd = openSync(file, "r");
  readSync(fd, bytes, 0, bytes.length, 0);
  closeSync(fd);
  const operation = bytes.toString("utf8", 8).replaceAll("\0", "");
  return { at: bytes.readUInt32LE(0), step: bytes.readUInt32LE(4), operation };
}

async function runRange(
  options: FuzzOptions,
  first: number,
  end: number,
  file: string,
): Promise<Outcome> {
  await Bun.write(file, new Uint8Array(32));
  const program = join(root, "test", "fuzz", "program.ts");
  const child = Bun.spawn(
    [process.execPath, program, `${options.seed}`, `${first}`, `${end}`, file],
    {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environmentOf(options) },
    },
  );
  let hung = false;
  let step = -1;
  let movedAt = performance.now();
  const watch = setInterval(() => {
    const now = where(file).step;
    if (now !== step) movedAt = performance.now();
    else if (performance.now() - movedAt > (options.watchdog ?? 10_000)) {
      hung = true;
      child.kill("SIGKILL");
    }
    step = now;
  }, 200);
  const [output, said] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  clearInterval(watch);
  removeObjects(child.pid);
  const { at, operation } = where(file);
  if (child.exitCode === 0) {
    return { kind: "done", tally: JSON.parse(output) as Tally, at, operation, said };
  }
  const kind = hung ? "hang" : child.exitCode === 3 ? "failure" : "fault";
  return { kind, at, operation, said };
}

/** Describes a child that did not come to the end of its case. */
function removeObjects(pid: number): void {
  const directory = process.env["XMEM_DIR"] || "/dev/shm";
  for (const entry of readdirSync(directory)) {
    if (entry.startsWith(`xmem.fuzz.${pid}.`)) unlinkSync(join(directory, entry));
  }
}

export async function fuzzInterface(options: FuzzOptions): Promise<FuzzReport> {
  const report: FuzzReport = { faults: 0, hangs: 0, failures: 0 };
  const sum: Tally = { operations: 0, results: 0, refusals: 0, usable: 0, corrupt: 0 };
  const folder = mkdtempSync(join(tmpdir(), "xmem-fuzz-"));
  const findingsMax = findingsMaxOf(options);
  const found = (): number => report.faults + report.hangs + report.failures;
  let next = 0;
  const work = async (_: unknown, job: number): Promise<void> => {
    while (next < options.interfaceCases && found() < findingsMax) {
      let first = next;
      next = Math.min(next + batch, options.interfaceCases);
      const end = next;
      while (first < end && found() < findingsMax) {
        const outcome = await runRange(options, first, end, join(folder, `${job}`));
        for (const key of Object.keys(sum) as (keyof Tally)[])
          sum[key] += outcome.tally?.[key] ?? 0;
        if (outcome.kind === "done") break;
        report[`${outcome.kind}s`]++;
        const { kind, at, operation, said } = outcome;
        console.log(`${kind.toUpperCase()}: seed ${options.seed} case ${at}, in ${operation}`);
        console.log(said.slice(0, 2000));
        first = at + 1;
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: jobs }, work));
  } finally {
    rmSync(folder, { recursive: true });
  }
  const { operations, results, refusals, usable, corrupt } = sum;
  const { faults, hangs, failures } = report;
  console.log(
    `interface: ${next} cases, seed ${options.seed}: ${operations} operations, ` +
      `${results} results, ${refusals} refusals; usable ${usable} times, corrupt ${corrupt}; ` +
      `${faults} faults, ${hangs} hangs, ${failures} failures`,
  );
  return report;
}

/** Runs a case again, and prints each write and each operation. */
async function replay(which: string, seed: number): Promise<boolean> {
  const [kind, number] = which.split(":");
  const first = Number(number);
  if ((kind !== "core" && kind !== "interface") || !Number.isSafeInteger(first)) {
    throw new Error(`--only ${which}: expected core:CASE or interface:CASE`);
  }
  if (kind === "core") {
    const program = join(root, coreFuzzer, "pool_fuzz");
    const one = ["--first", `${first}`, "--cases", "1", "--jobs", "1", "--verbose", "1"];
    return (await runRecorded([program, "--seed", `${seed}`, ...one])).ok;
  }
  const file = join(tmpdir(), `xmem-fuzz-${process.pid}`);
  await Bun.write(file, new Uint8Array(32));
  try {
    const program = join(root, "test", "fuzz", "program.ts");
    const range = [`${seed}`, `${first}`, `${first + 1}`, file, "verbose"];
    return (await runRecorded([process.execPath, program, ...range])).ok;
  } finally {
    unlinkSync(file);
  }
}

function argument(name: string, otherwise: number): number {
  const place = process.argv.indexOf(`--${name}`);
  if (place < 0) return otherwise;
  const value = Number(process.argv[place + 1]);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name} wants a whole number`);
  return value;
}

if (import.meta.main) {
  setup();
  buildFuzzer();
  const seed = argument("seed", 1);
  const only = process.argv.indexOf("--only");
  if (only >= 0) process.exit((await replay(process.argv[only + 1] ?? "", seed)) ? 0 : 1);
  const cases = argument("cases", 190_000);
  const options = { cases, interfaceCases: argument("interface", Math.ceil(cases / 19)), seed };
  const reports = [await fuzzCore(options), await fuzzInterface(options)];
  const found = reports.reduce(
    (sum, { faults, hangs, failures }) => sum + faults + hangs + failures,
    0,
  );
  process.exit(found === 0 ? 0 : 1);
}
