// A folder as a user has it, in which the tarball was added, with the programs that tests run there.

import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../scripts/setup.ts";
import { tarball } from "./packed.ts";

export const readme: string = readFileSync(join(root, "README.md"), "utf8");
export const example: string = readme.match(/^```ts\n(.*?)^```$/ms)?.[1] ?? "";
export const printed: string = readme.match(/^It prints:\n\n```\n(.*?)^```$/ms)?.[1] ?? "";

const worker = `
  import { BufferPool } from "xmem";
  using pool = BufferPool.openOrCreate("package-" + process.pid, { capacity: 2, ephemeral: true });
  if (Bun.isMainThread) {
    const thread = new Worker(new URL("./worker.ts", import.meta.url).href);
    const { handle } = await new Promise((resolve, reject) => {
      thread.onmessage = (event) => resolve(event.data);
      thread.onerror = (event) => reject(new Error(event.message));
    });
    using frame = pool.take(handle);
    console.log("from the worker: " + frame.bytes.at(-1));
    thread.terminate();
  } else {
    const frame = pool.acquire(100);
    frame.bytes.fill(5);
    postMessage({ handle: frame.handOff() });
  }
`;

const main = `import "./worker.ts";`;

const suite = `
  import { afterAll, expect, test } from "bun:test";
  import { BufferPool, XmemError } from "xmem";
  const pool = BufferPool.create("suite-" + process.pid, { capacity: 2, bufferSize: 4096 });
  afterAll(() => pool.unlink());
  test("a buffer goes to a child process, and comes back by itself", async () => {
    const held = pool.acquire(16);
    held.bytes.fill(3);
    const argv = ["child.ts", pool.name, String(held.handOff())];
    const child = Bun.spawn([process.execPath, ...argv], { stdout: "pipe" });
    expect(await child.stdout.text()).toBe("16 bytes of 3");
    expect(pool.stats().free).toBe(2);
  });
  test("an error is the package's own", () => {
    expect(() => BufferPool.open("never.made")).toThrow(XmemError);
  });
`;

const child = `
  import { BufferPool } from "xmem";
  using pool = BufferPool.open(process.argv[2]);
  using frame = pool.take(Number(process.argv[3]));
  process.stdout.write(frame.size + " bytes of " + frame.bytes[15]);
`;

/** Nothing listens there: an installation that asked a registry would fail. */
const nowhere = "http://127.0.0.1:9/";

export interface Runtime {
  bun: string;
  env?: Record<string, string>;
}

export class PackageUser implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "xmem-package-"));
  readonly runtime: Runtime;
  private readonly tools: string = join(this.folder, "tools");

  /** With the package added by the runtime itself. */
  static async on(runtime: Runtime): Promise<PackageUser> {
    const packed = await tarball();
    const user = new PackageUser(runtime);
    user.bun("add", packed);
    return user;
  }

  private constructor(runtime: Runtime) {
    this.runtime = runtime;
    mkdirSync(this.tools);
    symlinkSync(runtime.bun, join(this.tools, "bun"));
    this.write("package.json", `{ "name": "user", "type": "module" }`);
    this.write("example.ts", example);
    this.write("worker.ts", worker);
    this.write("main.ts", main);
    this.write("suite.test.ts", suite);
    this.write("child.ts", child);
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.folder, file), text);
  }

  bun(...argv: string[]): string {
    return this.run(this.runtime.bun, ...argv);
  }

  /** Compiles entry points into one binary, and runs it while the package is not there. */
  runCompiled(...entries: string[]): string {
    this.bun("build", "--compile", ...entries, "--outfile", "compiled");
    const elsewhere = mkdtempSync(join(tmpdir(), "xmem-compiled-"));
    const modules = join(this.folder, "node_modules");
    renameSync(join(this.folder, "compiled"), join(elsewhere, "moved"));
    renameSync(modules, join(this.folder, "hidden"));
    try {
      return this.run(join(elsewhere, "moved"));
    } finally {
      renameSync(join(this.folder, "hidden"), modules);
      rmSync(elsewhere, { recursive: true });
    }
  }

  /** Runs a program in the folder, with no tool of the repository on its PATH but this Bun. */
  private run(...command: string[]): string {
    const { folder } = this;
    const own = { HOME: folder, PATH: `${this.tools}:/usr/bin:/bin`, TMPDIR: folder };
    const result = Bun.spawnSync(command, {
      cwd: folder,
      env: { ...own, BUN_CONFIG_REGISTRY: nowhere, ...this.runtime.env },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 60_000,
    });
    const output = result.stdout.toString();
    if (result.exitCode !== 0) throw new Error(`${command}: ${output}${result.stderr.toString()}`);
    return output;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
