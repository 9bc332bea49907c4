// The S3 server that tests and the example of a parking lot start, Versity's gateway: the program of
// XMEM_S3_SERVER, one of the PATH, or one that this script has put into build/s3. Run by itself it
// installs it there, with Go.

import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { whenInterrupted } from "./interrupted.ts";
import { root, run } from "./setup.ts";

const pinned = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";
const folder = join(root, "build", "s3");

/** Its path; null where there is none. */
export function s3Server(): string | null {
  const places = [process.env["XMEM_S3_SERVER"], join(folder, "versitygw"), Bun.which("versitygw")];
  return places.find((place) => place && existsSync(place)) ?? null;
}

/** Installs it where it is not there. False: that failed; the reason was printed. */
export function ensureS3Server(): boolean {
  if (s3Server() !== null) return true;
  mkdirSync(folder, { recursive: true });
  try {
    run(["go", "install", pinned], { env: { GOBIN: folder } });
  } catch (error) {
    console.error(String(error));
  }
  return s3Server() !== null;
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

/** A real server on loopback, with a login of its own and one empty bucket. */
export class Gateway implements AsyncDisposable {
  /** How programs find it: what Bun's client reads. */
  readonly env: Readonly<Record<string, string>>;
  readonly #program: string;
  readonly #folder: string;
  readonly #address: string;
  #child: Bun.Subprocess | undefined;
  readonly #forget: () => void;

  static async start(program: string, bucket = "parking"): Promise<Gateway> {
    const gateway = new Gateway(program, bucket, await freePort());
    await gateway.start();
    return gateway;
  }

  private constructor(program: string, bucket: string, port: number) {
    this.#program = program;
    this.#folder = mkdtempSync(join(tmpdir(), "xmem-s3-"));
    this.#forget = whenInterrupted(() => {
      this.#child?.kill("SIGKILL");
      rmSync(this.#folder, { recursive: true, force: true });
    });
    // A bucket is a folder to it.
    mkdirSync(join(this.#folder, bucket));
    this.#address = `127.0.0.1:${port}`;
    this.env = {
      S3_ENDPOINT: `http://${this.#address}`,
      S3_BUCKET: bucket,
      S3_REGION: "us-east-1",
      S3_ACCESS_KEY_ID: "parking",
      S3_SECRET_ACCESS_KEY: crypto.randomUUID(),
    };
  }

  async start(): Promise<void> {
    const { S3_ACCESS_KEY_ID: access = "", S3_SECRET_ACCESS_KEY: secret = "" } = this.env;
    const login = ["--access", access, "--secret", secret];
    const where = ["--port", this.#address, "--quiet", "posix", this.#folder];
    const child = Bun.spawn([this.#program, ...login, ...where], {
      stdio: ["ignore", "ignore", "ignore"],
    });
    this.#child = child;
    while (child.exitCode === null) {
      const answer = await fetch(`http://${this.#address}/`).catch(() => null);
      if (answer !== null) return;
      await Bun.sleep(20);
    }
    throw new Error(`the S3 server ended with ${child.exitCode}`);
  }

  /** What it has stays in its folder. */
  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#child?.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#forget();
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  if (!ensureS3Server()) process.exit(1);
  console.log(s3Server());
}
