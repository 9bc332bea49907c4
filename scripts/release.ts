// Makes and tests everything that a release consists of, and says what would be published, in which
// order. Only with --publish it publishes, and only the packages of npm: the workflow gives the wheels
// to PyPI and the archives for C to the release's page. --dry-run does all but that; it fails, too,
// where something keeps the version from being published.
//
// Nothing was ever published but to a registry on one machine: no public one has these packages.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { parseArgs } from "node:util";
import prettyBytes from "pretty-bytes";
import { platforms } from "../src/native/library.ts";
import { pack } from "./pack.ts";
import { packC } from "./pack_c.ts";
import { tools } from "./python.ts";
import { disagreements, type Made, obstacles } from "./readiness.ts";
import { root, run, runRecorded, setup } from "./setup.ts";
import { packWheels } from "./wheels.ts";

interface Manifest {
  name: string;
  version: string;
  repository?: unknown;
  optionalDependencies?: Record<string, string>;
}

/** A file that is published, and what is in it. */
export interface Artifact extends Made {
  path: string;
  name: string;
  files: number;
  /** Bytes, as it is and unpacked. */
  packed: number;
  installed: number;
  /** As the registry in question writes it. */
  integrity: string;
}

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;

function git(...argv: string[]): string | null {
  const { exitCode, stdout } = Bun.spawnSync(["git", ...argv], { cwd: root, stderr: "ignore" });
  return exitCode === 0 ? stdout.toString().trim() : null;
}

function treeObstacles(): string[] {
  const { version, repository } = manifest;
  return obstacles({
    version,
    repository,
    changelog: readFileSync(join(root, "CHANGELOG.md"), "utf8"),
    changes: git("status", "--porcelain"),
    tag: git("rev-parse", "--verify", "--quiet", `v${version}^{commit}`),
    head: git("rev-parse", "HEAD"),
  });
}

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

async function unpacked(path: string): Promise<Map<string, File>> {
  return new Bun.Archive(await Bun.file(path).bytes()).files();
}

function sizeOf(files: Map<string, File>): number {
  return [...files.values()].reduce((sum, { size }) => sum + size, 0);
}

async function npmArtifact(path: string): Promise<Artifact> {
  const files = await unpacked(path);
  const text = (await files.get("package/package.json")?.text()) ?? "{}";
  const { name, version, optionalDependencies = {} } = JSON.parse(text) as Manifest;
  const bytes = await Bun.file(path).bytes();
  const integrity = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
  const about = { path, file: basename(path), name, version, names: optionalDependencies };
  const sizes = { files: files.size, packed: bytes.length, installed: sizeOf(files) };
  return { ...about, ...sizes, integrity };
}

async function archiveArtifact(path: string): Promise<Artifact> {
  const files = await unpacked(path);
  const config = [...files].find(([file]) => file.endsWith(".pc"))?.[1];
  const version = /^Version: (.*)$/m.exec((await config?.text()) ?? "")?.[1] ?? "unknown";
  const bytes = await Bun.file(path).bytes();
  const about = { path, file: basename(path), name: manifest.name, version };
  const sizes = { files: files.size, packed: bytes.length, installed: sizeOf(files) };
  return { ...about, ...sizes, integrity: sha256(bytes) };
}

/** A wheel is a zip, which the Python that made it can read. */
const readWheel = `
import json, sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
entries = wheel.infolist()
[metadata] = [entry for entry in entries if entry.filename.endswith(".dist-info/METADATA")]
[version] = [line[9:] for line in wheel.read(metadata).decode().splitlines()
             if line.startswith("Version: ")]
print(json.dumps([version, len(entries), sum(entry.file_size for entry in entries)]))
`;

async function wheelArtifact(path: string): Promise<Artifact> {
  const { stdout } = Bun.spawnSync([tools("pack") ?? "python3", "-c", readWheel, path]);
  const [version, files, installed] = JSON.parse(stdout.toString()) as [string, number, number];
  const bytes = await Bun.file(path).bytes();
  const about = { path, file: basename(path), name: manifest.name, version };
  return { ...about, files, installed, packed: bytes.length, integrity: sha256(bytes) };
}

/** Everything that is published. Of npm's packages the last one names the others. */
export interface Plan {
  npm: Artifact[];
  pypi: Artifact[];
  archives: Artifact[];
}

export async function makePlan(): Promise<Plan> {
  const dist = join(root, "dist");
  const registry = join(dist, "registry");
  await pack();
  await packC(platforms);
  const wheels = packWheels();
  const main = `${manifest.name}-${manifest.version}.tgz`;
  const all = readdirSync(registry).sort();
  const ordered = [...all.filter((file) => file !== main), ...all.filter((file) => file === main)];
  const archives = readdirSync(dist).filter((file) => file.endsWith(".tar.gz"));
  return {
    npm: await Promise.all(ordered.map((file) => npmArtifact(join(registry, file)))),
    pypi: await Promise.all(wheels.map(wheelArtifact)),
    archives: await Promise.all(archives.sort().map((file) => archiveArtifact(join(dist, file)))),
  };
}

/** What is missing from a plan, or is not of the version. Wheels take a Python. */
export function planProblems({ npm, pypi, archives }: Plan, withWheels = true): string[] {
  const { name, version } = manifest;
  const wanted = [...platforms.map((platform) => `${name}-${platform}`).sort(), name];
  const found = npm.map((each) => each.name);
  const problems = disagreements(version, [...npm, ...pypi, ...archives]);
  if (found.join() !== wanted.join()) {
    problems.push(`npm's packages are ${found.join(", ")}, and not ${wanted.join(", ")}`);
  }
  const count = platforms.length;
  if (withWheels && pypi.length !== count) problems.push(`${pypi.length} wheels, not ${count}`);
  if (archives.length !== count) problems.push(`${archives.length} archives for C, not ${count}`);
  return problems;
}

/** Only in a workflow there is somebody who can prove where it was built. */
function publishing({ path }: Artifact): string[] {
  const proof = process.env["GITHUB_ACTIONS"] === "true" ? ["--provenance"] : [];
  return ["npm", "publish", `./${relative(root, path)}`, "--access", "public", ...proof];
}

function show(title: string, artifacts: readonly Artifact[]): void {
  console.log(`\n${title}`);
  for (const [index, each] of artifacts.entries()) {
    const sizes = `${prettyBytes(each.packed)}, installed ${prettyBytes(each.installed)}`;
    console.log(`${index + 1}. ${each.name} ${each.version}  ${each.file}`);
    console.log(`   ${each.files} files, ${sizes}, ${each.integrity}`);
  }
  if (artifacts.length === 0) console.log("nothing");
}

/** The tests that install what was just packed. */
async function tested(): Promise<boolean> {
  const files = readdirSync(join(root, "test")).filter((file) =>
    /^(?:c_)?package.*\.test\.ts$/.test(file),
  );
  const command = [
    process.execPath,
    "test",
    "--timeout=120000",
    ...files.map((file) => `./test/${file}`),
  ];
  const tarball = join(root, "dist", `${manifest.name}-${manifest.version}.tgz`);
  return (await runRecorded(command, { env: { XMEM_TARBALL: tarball } })).ok;
}

/** A version that the registry has already, of a run that was cut short. */
function isPublished({ name, version, integrity }: Artifact): boolean {
  const asked = Bun.spawnSync(["npm", "view", `${name}@${version}`, "dist.integrity"]);
  const found = asked.stdout.toString().trim();
  if (found !== "" && found !== integrity) {
    throw new Error(`${name} ${version} is published already, with other bytes: ${found}`);
  }
  return found !== "";
}

function publish({ npm }: Plan): void {
  for (const artifact of npm) {
    if (isPublished(artifact)) console.log(`${artifact.name} is published already`);
    else run(publishing(artifact));
  }
}

async function release(): Promise<boolean> {
  const { values } = parseArgs({
    options: {
      "dry-run": { type: "boolean", default: false },
      publish: { type: "boolean", default: false },
      "skip-tests": { type: "boolean", default: false },
    },
  });
  if (values.publish === values["dry-run"]) {
    console.error("say --dry-run, or --publish");
    return false;
  }
  if (values.publish && values["skip-tests"]) {
    console.error("--publish tests what it publishes: leave out --skip-tests");
    return false;
  }
  const problems = treeObstacles();
  if (values.publish && problems.length > 0) {
    for (const problem of problems) console.error(problem);
    return false;
  }
  setup();
  const plan = await makePlan();
  problems.push(...planProblems(plan));
  if (values["skip-tests"]) console.log("the packages were not tested: --skip-tests");
  else if (!(await tested())) problems.push("a test of the packages failed");
  show("npm, in this order:", plan.npm);
  for (const each of plan.npm) console.log(`   ${publishing(each).join(" ")}`);
  show("PyPI:", plan.pypi);
  show("Archives for C, for the release's page:", plan.archives);
  if (problems.length > 0) {
    console.log(`\n${manifest.name} ${manifest.version} cannot be published yet:`);
    for (const problem of problems) console.log(`- ${problem}`);
    return false;
  }
  if (values.publish) publish(plan);
  else console.log(`\n${manifest.name} ${manifest.version} can be published: nothing was.`);
  return true;
}

if (import.meta.main) process.exit((await release()) ? 0 : 1);
