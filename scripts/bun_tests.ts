// Runs tests of the interface with Bun's runner, and reads from its report what failed. The runner's
// own output is not enough for that: files run side by side, and it mixes their errors.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Count, Failure } from "./failures.ts";
import { runRecorded } from "./setup.ts";

/** As much of the parser's elements as is read here: the types of a browser are not in scope. */
interface TestCase {
  getAttribute(name: string): string | null;
  querySelector(
    name: string,
  ): { textContent: string | null; getAttribute(name: string): string | null } | null;
  previousElementSibling: TestCase | null;
}

/** How long a run prints nothing before it is ended: Bun cannot end a test that never yields. */
const silenceMax = 300_000;

export interface TestOptions {
  /**
   * After so many milliseconds a test has failed. It only ends tests that hang: on a busy machine a
   * short test can take many seconds.
   */
  timeout?: number;
  env?: Record<string, string>;
}

/** Each argument is passed on to `bun test`: options, and patterns of files. */
export async function bunTests(argv: string[], options: TestOptions = {}): Promise<Count> {
  const { timeout = 60_000, env = {} } = options;
  const folder = mkdtempSync(join(tmpdir(), "xmem-report-"));
  try {
    const path = join(folder, "report.xml");
    const command = [process.execPath, "test", `--timeout=${timeout}`, ...argv];
    command.push("--reporter=junit", `--reporter-outfile=${path}`);
    const { ok, output } = await runRecorded(command, {
      env,
      silenceMax: Math.max(silenceMax, timeout + 60_000),
    });
    const report = existsSync(path) ? readFileSync(path, "utf8") : "";
    return judged(await read(report, output), ok, output);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A runner that failed without a failed test, or that ran nothing, counts as one failure. */
function judged(count: Count, ok: boolean, output: string): Count {
  const { passed, failures } = count;
  if (ok === (failures.length === 0) && passed + failures.length > 0) return count;
  const ending = `the runner ${ok ? "succeeded" : "failed"}, but its report says otherwise`;
  const detail = `${ending}\n${output.trimEnd().split("\n").slice(-14).join("\n")}`;
  return { passed, failures: [...failures, { name: "bun test", detail }] };
}

async function read(report: string, output: string): Promise<Count> {
  // Not at the top: the packages are installed only when a run starts.
  const { DOMParser } = await import("linkedom");
  const suites = new DOMParser().parseFromString(report, "text/xml");
  const cases = [...suites.querySelectorAll("testcase")];
  const failed = cases.filter((each) => each.querySelector("failure") !== null);
  const skipped = cases.filter((each) => each.querySelector("skipped") !== null);
  const failures = failed.map((each) => failureOf(each, output));
  return {
    passed: cases.length - failed.length - skipped.length,
    failures: [...failures, ...betweenTests(output)],
  };
}

function failureOf(testCase: TestCase, output: string): Failure {
  const file = attribute(testCase, "file");
  const names = [attribute(testCase, "classname"), attribute(testCase, "name")];
  const failure = testCase.querySelector("failure");
  const error = failure?.textContent || failure?.getAttribute("message") || "";
  const crashed = names.at(-1) === "(worker crashed)";
  const detail = crashed ? `${error}\n${ending(testCase, output)}` : error;
  return { name: `${file}: ${names.filter((name) => name !== "").join(" > ")}`, detail };
}

/** The parser leaves these three signs escaped in an attribute. */
function attribute(testCase: TestCase, name: string): string {
  const text = testCase.getAttribute(name) ?? "";
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

/** How a file's process ended, and the test after which it did. */
function ending(crashed: TestCase, output: string): string {
  const file = attribute(crashed, "file");
  const before = crashed.previousElementSibling;
  const last = before === null ? "" : attribute(before, "name");
  const lines = output
    .split("\n")
    .filter((line) => /^✗ | \(\d+s\)$/.test(line) && line.includes(file));
  return [...lines, last !== "" ? `after the test ${last}` : "before its first test was over"].join(
    "\n",
  );
}

/** Errors outside of tests, such as those of a file that does not load: only the output has them. */
function betweenTests(output: string): Failure[] {
  const errors = output.matchAll(/^# Unhandled error between tests\n-+\n(.*?)\n-{9,}$/gms);
  return [...errors].map(([, detail = ""]) => ({ name: "an error between tests", detail }));
}
