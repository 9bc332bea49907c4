// Everything that must hold before a change lands: format, lint, types, the generated files, tests,
// and what is too heavy for `bun run test`. With --after-test the tests are left out, because
// `bun run test` has just run; with --check NAME only that check runs. Every check runs, also after
// one failed, and prints its output when it is over. Each output is kept in build/ci.

import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { passesOnArm64 } from "./arm64.ts";
import { benchmarksWork } from "./bench.ts";
import { bunTests, type TestOptions } from "./bun_tests.ts";
import { ensureChromium } from "./chromium.ts";
import { explore } from "./explore.ts";
import { type Count, endOf, type Failure, list, report } from "./failures.ts";
import { buildBreakableFuzzer, buildFuzzer, fuzzCore, fuzzInterface } from "./fuzz.ts";
import { generatedIsCurrent } from "./generate.ts";
import { instructionsHold } from "./instructions.ts";
import { ensureNatsServer } from "./nats_server.ts";
import { parkingHolds } from "./parking.ts";
import { passesInPythons, pythonIsClean } from "./pytest.ts";
import { interpreters, tools } from "./python.ts";
import { makePlan, planProblems } from "./release.ts";
import { isReproducible } from "./reproducible.ts";
import { ensureS3Server } from "./s3_server.ts";
import { root, runRecorded, setup, tool, zig } from "./setup.ts";
import { test } from "./test.ts";
import { sanitized } from "./tsan.ts";
import { machinesHold } from "./two_machines.ts";
import { isUnhooked } from "./unhooked.ts";
import { workflowsAreClean } from "./workflows.ts";

async function succeeds(command: string[]): Promise<boolean> {
  return (await runRecorded(command)).ok;
}

/** Whether all tests of these files pass; what failed is listed. */
async function pass(files: string[], options: TestOptions = {}): Promise<boolean> {
  const { failures } = await bunTests(files, options);
  list(failures);
  return failures.length === 0;
}

/** Fuzzes the control area: every operation returns, nothing faults, nothing hangs. */
async function survivesCorruption(): Promise<boolean> {
  buildFuzzer();
  const options = { cases: 90_000, interfaceCases: 5000, seed: 1 };
  const reports = [await fuzzCore(options), await fuzzInterface(options)];
  return reports.every(({ faults, hangs, failures }) => faults + hangs + failures === 0);
}

/** The same fuzzers must catch a pop that follows a damaged list, and a wait for damage to end. */
async function corruptionCanariesAreCaught(): Promise<boolean> {
  const options = { cases: 2000, interfaceCases: 1000, seed: 1, watchdog: 2000, findingsMax: 1 };
  buildBreakableFuzzer();
  let caught = true;
  for (const canary of ["index_unchecked", "damage_is_waited_for"]) {
    const reports = [
      await fuzzCore({ ...options, canary }),
      await fuzzInterface({ ...options, canary }),
    ];
    // The first finding of one index that is not checked may be a fault or a wrong result.
    const found = reports.map(({ faults, hangs, failures }) => faults + hangs + failures);
    console.log(`${canary}: ${found.join(" and ")} findings`);
    caught &&= found.every((count) => count > 0);
  }
  return caught;
}

const soak = [process.execPath, join(root, "scripts", "soak.ts")];

/** Each of these broken rules is found by another check of the soak. */
const soakCanaries = [
  "recovery_without_waiting",
  "rebuild_ignores_in_flight",
  "dead_rows_kept",
  "rebuild_recycles_parked",
];

/** A kill has to meet the broken part: a few seeds are tried, until one does. */
async function soakCatches(canary: string): Promise<boolean> {
  for (const seed of ["1", "2", "3", "4"]) {
    const short = ["--minutes", "0.3", "--seed", seed, "--canary", canary];
    const { ok, output } = await runRecorded([...soak, ...short]);
    if (!ok && output.includes("soak FAILED")) return true;
  }
  return false;
}

async function soakCanariesAreCaught(): Promise<boolean> {
  let caught = true;
  for (const canary of soakCanaries) {
    const isCaught = await soakCatches(canary);
    console.log(`${canary}: ${isCaught ? "" : "not "}caught`);
    caught &&= isCaught;
  }
  return caught;
}

const flood = [process.execPath, join(root, "scripts", "flood.ts"), "--messages", "20000"];

/** A kill has to meet a receiver between two instructions: a few seeds are tried, until one does. */
async function floodCanaryIsCaught(): Promise<boolean> {
  for (const seed of ["1", "2", "3", "4"]) {
    const broken = ["--kills", "3000", "--seed", seed, "--canary", "taking_ignored"];
    const { ok, output } = await runRecorded([...flood, ...broken]);
    if (!ok && output.includes("messages are lost, 0 may be")) return true;
  }
  return false;
}

/** True, with a line on the console, where there is no Python. */
async function infers(): Promise<boolean> {
  const python = tools("test");
  if (python === null) {
    console.log("examples/inference was not run: that takes a Python and a registry");
    return interpreters().length === 0;
  }
  return pass(["./examples/inference/end_to_end.ts"], { env: { PYTHON: python } });
}

/** Whether a release has all of its packages, and they agree; the tests install them by themselves. */
async function releaseIsWhole(): Promise<boolean> {
  const problems = planProblems(await makePlan(), interpreters().length > 0);
  for (const problem of problems) console.error(problem);
  return problems.length === 0;
}

type Checks = Record<string, () => Promise<boolean>>;

/** What is made of the sources, and is used as users use it. Most of it waits, or uses one core. */
const outside: Checks = {
  "TypeScript's format and lint": () =>
    succeeds(tool("@biomejs/biome/bin/biome", "ci", "--error-on-warnings", "--colors=off")),
  "Zig's format": () => succeeds(zig("fmt", "--check", "zig")),
  types: () => succeeds(tool("typescript/bin/tsc", "--noEmit")),
  "types of the page's script": () =>
    succeeds(tool("typescript/bin/tsc", "--project", "src/command/serve/page")),
  "generated files": generatedIsCurrent,
  "Python's types and style": pythonIsClean,
  "the Python package in every Python that is here": () => passesInPythons(),
  "the example with workers in Python": infers,
  "the same packages when they are made again": isReproducible,
  "programs of another libc, which is made for them": () =>
    pass(["test/libc.test.ts", "test/c_package.test.ts"], { env: { XMEM_TEST_OTHER_LIBC: "1" } }),
  "what a release would publish": releaseIsWhole,
  "the workflows": workflowsAreClean,
  "the core's tests on arm64, as far as they go": passesOnArm64,
  "a library without a trace of hooks": isUnhooked,
  // This fails where the parser cannot be installed; `bun run test` leaves it out.
  "metrics, as Prometheus' own parser reads them": async () =>
    tools("metrics") !== null && (await pass(["test/metrics.test.ts"])),
  // These fail where there is no server, or no browser, and none can be installed; `bun run test`
  // leaves them out.
  "the bridge's tests, with servers that were installed for them": async () =>
    ensureNatsServer() && (await pass(["test/bridge.test.ts"])),
  "the page of xmem serve in a browser": async () =>
    ensureChromium() && (await pass(["test/serve_browser.test.ts"])),
  "a bridge whose ends and servers are killed": () =>
    succeeds([
      ...[process.execPath, join(root, "scripts", "bridge.ts")],
      ...["--messages", "100000", "--frames", "100", "--cluster", "10000"],
    ]),
  "the bridge beside the bare client, for a moment": () =>
    succeeds([process.execPath, join(root, "bench", "bridge.ts"), "--brief"]),
  "the cost of each hop over the bridge, for a moment": () =>
    succeeds([process.execPath, join(root, "bench", "hops.ts"), "--brief"]),
  "the tests of parking, with a server that was installed for them": async () =>
    ensureS3Server() && (await pass(["test/park.test.ts", "test/parking.test.ts"])),
  "channels that overflow, with kills": () =>
    succeeds([
      ...[process.execPath, join(root, "scripts", "park.ts")],
      ...["--bytes", "256", "--s3", "256", "--messages", "100000"],
    ]),
  "a parking lot whose stages are killed": parkingHolds,
  "two machines on which everything is killed": machinesHold,
  "the benchmarks, each for a moment": benchmarksWork,
  "the instructions of the hot operations": instructionsHold,
};

/** How the core bears interleavings, deaths and damage. Most of it uses all cores. */
const core: Checks = {
  "explorations that take longer": async () => {
    const { passed, failures } = await explore({ set: "medium", canaries: false });
    list(failures);
    return passed > 0 && failures.length === 0;
  },
  "every operation, killed at half of its steps": () =>
    pass(
      [
        ...["--parallel", "test/crash_points.test.ts", "test/channel_crash_points.test.ts"],
        ...["test/names.test.ts", "test/message_crash_points.test.ts"],
      ],
      { timeout: 900_000, env: { XMEM_STEP_GAP: "2" } },
    ),
  ThreadSanitizer: () => sanitized(Date.now() % 1_000_000),
  "corruption fuzzer": survivesCorruption,
  "corruption fuzzer's canaries": corruptionCanariesAreCaught,
  soak: () => succeeds([...soak, "--minutes", "0.7"]),
  "soak with delays": () => succeeds([...soak, "--minutes", "0.7", "--delays"]),
  "soak's canaries": soakCanariesAreCaught,
  "a flood of messages": () => succeeds([...flood, "--kills", "2000"]),
  "the flood's canary": floodCanaryIsCaught,
};

const logs = join(root, "build", "ci");

/** In a process of its own, so that its output stays together; null where it passed. */
async function runCheck(name: string): Promise<Failure | null> {
  const start = performance.now();
  const path = join(logs, `${name.replaceAll(/\W+/g, "_")}.log`);
  const log = openSync(path, "w");
  const child = Bun.spawn([process.execPath, import.meta.path, "--check", name], {
    stdio: ["ignore", log, log],
  });
  const ok = (await child.exited) === 0;
  closeSync(log);
  const took = Math.round(performance.now() - start);
  const output = readFileSync(path, "utf8");
  console.log(`${output}${ok ? "ok" : "FAILED"}: ${name} (${took} ms)`);
  return ok ? null : { name, detail: endOf(output) };
}

/** The two lists side by side, each in its order: what is made in a folder is made once at a time. */
async function runChecks(): Promise<Count> {
  mkdirSync(logs, { recursive: true });
  const count: Count = { passed: 0, failures: [] };
  const lane = async (checks: Checks) => {
    for (const name of Object.keys(checks)) {
      const failure = await runCheck(name);
      if (failure === null) count.passed += 1;
      else count.failures.push(failure);
    }
  };
  await Promise.all([lane(core), lane(outside)]);
  return count;
}

const { values } = parseArgs({
  options: { "after-test": { type: "boolean" }, check: { type: "string" } },
});
if (values.check !== undefined) {
  const check = { ...core, ...outside }[values.check];
  if (check === undefined) throw new Error(`there is no check ${values.check}`);
  process.exit((await check()) ? 0 : 1);
}
setup();
const total = await runChecks();
if (!values["after-test"]) {
  const tests = await test([]);
  total.passed += tests.passed;
  total.failures.push(...tests.failures);
}
report(total);
process.exit(total.failures.length === 0 ? 0 : 1);
