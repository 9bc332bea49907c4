// Runs examples/parking as its README says, with the stages killed at random: with the detector in
// TypeScript and with that in Python, and with the evidence in a real S3, on loopback. Installs ffmpeg
// and the S3 server where they are missing; without Go, evidence goes to a folder, and it says so.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tools } from "./python.ts";
import { root, runRecorded, setup } from "./setup.ts";

const program = join(root, "examples", "parking", "main.ts");
const server = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";

/** Installs it where it is missing and can be installed. */
export async function hasFfmpeg(): Promise<boolean> {
  if (Bun.which("ffmpeg") !== null) return true;
  if (Bun.which("apt-get") !== null) {
    await runRecorded(["apt-get", "update", "-qq"]);
    await runRecorded(["apt-get", "install", "-y", "-qq", "ffmpeg"]);
  }
  if (Bun.which("ffmpeg") !== null) return true;
  console.error("this example needs ffmpeg, and apt-get could not install it");
  return false;
}

/** The path of the S3 server, which is installed once; null where there is no Go to build it. */
async function serverPath(): Promise<string | null> {
  const found = Bun.which("versitygw");
  if (found !== null) return found;
  const folder = join(root, "node_modules", ".go");
  const path = join(folder, "versitygw");
  if (await Bun.file(path).exists()) return path;
  if (Bun.which("go") === null) return null;
  const { ok } = await runRecorded(["go", "install", server], { env: { GOBIN: folder } });
  return ok ? path : null;
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const listener = createServer().listen(0, "127.0.0.1", () => {
      const address = listener.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      listener.close(() => resolve(port));
    });
  });
}

interface Gateway extends AsyncDisposable {
  /** How the stages find it. */
  env: Record<string, string>;
}

/** A real S3 server with an empty bucket, for as long as one run takes. */
async function gateway(path: string): Promise<Gateway> {
  const folder = mkdtempSync(join(tmpdir(), "xmem-s3-"));
  // A bucket is a folder to it.
  mkdirSync(join(folder, "parking"));
  const address = `127.0.0.1:${await freePort()}`;
  const login = ["--access", "parking", "--secret", "only-on-loopback"];
  const child = Bun.spawn([path, ...login, "--port", address, "--quiet", "posix", folder], {
    stdio: ["ignore", "ignore", "ignore"],
  });
  while (child.exitCode === null) {
    const answer = await fetch(`http://${address}/`).catch(() => null);
    if (answer !== null) break;
    await Bun.sleep(50);
  }
  return {
    env: {
      S3_ENDPOINT: `http://${address}`,
      S3_BUCKET: "parking",
      S3_REGION: "us-east-1",
      S3_ACCESS_KEY_ID: "parking",
      S3_SECRET_ACCESS_KEY: "only-on-loopback",
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
      rmSync(folder, { recursive: true });
    },
  };
}

/** One run with kills; it checks itself, against the truth. */
async function runs(detector: string, seed: number, env: Record<string, string>): Promise<boolean> {
  const out = mkdtempSync(join(tmpdir(), "xmem-parking-"));
  const options = ["--kills", "16", "--seed", String(seed), "--detector", detector, "--out", out];
  const { ok, output } = await runRecorded([process.execPath, program, ...options], { env });
  rmSync(out, { recursive: true });
  const killed = /stages killed\D*?((?:\w+ \d+(?:, )?)+)/.exec(output)?.[1] ?? "";
  const all = ["decode", "detect", "annotate", "evidence"].every((name) => killed.includes(name));
  if (ok && !all) console.log(`not every stage was killed: ${killed}`);
  return ok && all;
}

/** Without ffmpeg it says what is missing, and does nothing. */
async function saysWhatIsMissing(): Promise<boolean> {
  const child = Bun.spawn([process.execPath, program], {
    env: { ...process.env, PATH: "" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const said = await child.stderr.text();
  return (await child.exited) === 2 && said.includes("apt-get install ffmpeg");
}

export async function parkingHolds(): Promise<boolean> {
  if (!(await hasFfmpeg()) || !(await saysWhatIsMissing())) return false;
  const path = await serverPath();
  if (path === null) console.log("no Go, and so no S3 server: evidence goes to a folder");
  const python = tools("test");
  if (python === null) console.log("no Python with numpy: its detector does not run");
  let ok = true;
  for (const [detector, seed] of [
    ["ts", Date.now() % 1000],
    ["python", 2],
  ] as const) {
    if (detector === "python" && python === null) continue;
    await using storage = path === null ? null : await gateway(path);
    ok = (await runs(detector, seed, { ...storage?.env, PYTHON: python ?? "" })) && ok;
  }
  return ok;
}

if (import.meta.main) {
  setup();
  const ok = await parkingHolds();
  console.log(ok ? "the parking lot holds" : "the parking lot FAILED");
  process.exit(ok ? 0 : 1);
}
