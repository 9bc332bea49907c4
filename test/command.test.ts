// The command `xmem`, run as a shell runs it, on pools that other processes use.

import { describe, expect, test } from "bun:test";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { exit } from "../src/command/failure.ts";
import * as constants from "../src/generated/constants.gen.ts";
import { type BufferInfo, BufferPool, type PoolStats } from "../src/index.ts";
import { onTerminal, said, start, xmem } from "./commands.ts";
import { inPoolFolder } from "./folders.ts";
import { Lines } from "./lines.ts";
import { type ProgramFile, programFile } from "./program_files.ts";

/** A full pool of six: two held by a traced process, one in flight, two queued, one of a killed one. */
async function inFullPool(body: (programs: Programs) => unknown): Promise<void> {
  await inPoolFolder(async (dir) => {
    const options = `{ participantName: "encoder" }`;
    using pool = BufferPool.create("frames", { capacity: 6, bufferSize: 4096 });
    const encoder = programFile(
      `const pool = BufferPool.open("frames", ${options});
      const jobs = pool.channel("jobs", { capacity: 4 });
      globalThis.kept = [pool.acquire(100), pool.acquire(200)];
      kept[0].meta.contentType = "image/png";
      kept[0].meta.producer = "camera";
      pool.acquire(3).handOff();
      for (const size of [4, 5]) jobs.send(pool.acquire(size));
      say("ready");
      Bun.sleepSync(60_000);`,
      { env: { XMEM_TRACE: "1" } },
    );
    await encoder.lineOf("ready");
    const victim = programFile(
      `globalThis.held = BufferPool.open("frames", { participantName: "victim" }).acquire(6);
      say("ready");
      setInterval(() => {}, 1000);`,
    );
    let waiter: ProgramFile | undefined;
    try {
      await victim.lineOf("ready");
      waiter = programFile(
        `const pool = BufferPool.open("frames", { participantName: "waiter" });
        say("ready");
        try { pool.acquireBlocking(1, { timeout: 60_000 }); say("got"); } catch (error) { say(error.code); }`,
      );
      await waiter.lineOf("ready");
      while (BufferPool.inspect("frames").waiters === 0) await Bun.sleep(5);
      await body({ dir, pool, encoder, victim, waiter });
    } finally {
      for (const each of [encoder, victim, waiter]) await each?.end();
    }
  });
}

interface Programs {
  dir: string;
  pool: BufferPool;
  encoder: ProgramFile;
  victim: ProgramFile;
  waiter: ProgramFile;
}

interface Info {
  layout: Record<string, unknown>;
  stats: PoolStats;
  buffers: BufferInfo[];
}

/** The line of a program's source, as it is in its file. */
const keepLine = 4;

describe("info", () => {
  test("leads from a full pool to the process and the line that hold its buffers", () =>
    inFullPool(async ({ encoder }) => {
      const { out } = await xmem("info", "frames");
      expect(out).toContain("6 of 6 buffers in use");
      expect(out).toContain("The pool is full");
      expect(out).toContain(`encoder (${encoder.pid}) holds most, 2.`);
      expect(out).toMatch(new RegExp(`2 acquired at .*program\\.ts:${keepLine}$`, "m"));
      expect(out).toMatch(/image\/png from camera +held by encoder/);
      expect(out).toMatch(/in channel jobs/);
      expect(out).toMatch(/handed over by encoder \(\d+\) .* ago, kept for .* more/);
      expect(out).toMatch(/waiter .* waiting/);
    }));

  test("says as JSON who holds each buffer, and who handed over what is in flight", () =>
    inFullPool(async ({ encoder, victim }) => {
      const { layout, stats, buffers } = (await said("info", "frames")) as Info;
      expect(layout).toMatchObject({ capacity: 6, bufferSize: 4096, mode: "0600" });
      expect(stats).toMatchObject({ used: 6, free: 0, inFlight: 1, waiters: 1 });
      const states = buffers.map(({ state, size }) => `${state} ${size}`);
      expect(states).toEqual([
        "held 100",
        "held 200",
        "in-flight 3",
        "queued 4",
        "queued 5",
        "held 6",
      ]);
      const [first, , flying, queued, , last] = buffers;
      expect(first?.holders).toMatchObject([{ pid: encoder.pid, name: "encoder", holds: 1 }]);
      expect(first?.holders[0]?.traces[0]?.stack[0]).toContain(`program.ts:${keepLine}`);
      expect(flying?.handedOverBy).toMatchObject({
        pid: encoder.pid,
        name: "encoder",
        alive: true,
      });
      const lease = Number(new Date(flying?.leaseEndsAt ?? 0)) - Date.now();
      expect(lease).toBeWithin(1, 30_001);
      expect(queued?.channels).toEqual(["jobs"]);
      // It does not trace.
      expect(last?.holders).toMatchObject([{ pid: victim.pid, traces: [] }]);
    }));
});

describe("reclaim", () => {
  test("gives back what a killed process held, and says so", () =>
    inFullPool(async ({ victim, waiter }) => {
      victim.end = async () => {};
      process.kill(victim.pid, "SIGKILL");
      // The waiter may be the one that mends the pool.
      const { exitCode, out } = await xmem("reclaim", "frames");
      expect({ exitCode, out }).toMatchObject({ exitCode: 0 });
      expect(await waiter.line()).toBe("got");
      expect(BufferPool.inspect("frames").participants.map(({ name }) => name)).not.toContain(
        "victim",
      );
    }));
});

describe("prune and unlink", () => {
  test("never take the name away of a pool that somebody has open", () =>
    inFullPool(async ({ dir }) => {
      expect((await xmem("prune", "--yes")).out).toContain("no pool");
      const refused = await xmem("unlink", "frames");
      expect(refused).toMatchObject({ exitCode: 4, out: "" });
      expect(refused.err).toMatch(
        /^xmem: POOL_IN_USE: pool "frames" stays: .*encoder \(\d+\).*\n$/,
      );
      expect(existsSync(join(dir, "xmem.frames"))).toBe(true);
      expect(await said("unlink", "frames", "--force")).toEqual({ removed: ["frames"] });
      expect(existsSync(join(dir, "xmem.frames"))).toBe(false);
    }));

  test("prune asks, does not take silence for a yes, and removes only what nobody has open", () =>
    inPoolFolder(async () => {
      for (const name of ["left", "lost"]) BufferPool.create(name).close();
      using _open = BufferPool.create("open");
      const unasked = await xmem("prune");
      expect(unasked).toMatchObject({ exitCode: 4, out: "" });
      expect(unasked.err).toStartWith("xmem: NOT_CONFIRMED: --yes is needed to remove 2 pools");
      expect((await xmem("prune", "--dry-run")).out).toContain("left, lost");
      const asking = onTerminal(80, 24, "prune");
      while (!asking.raw().includes("[y/N]")) await Bun.sleep(5);
      asking.type("n\r");
      expect(await asking.exited).toBe(4);
      expect(BufferPool.list().length).toBe(3);
      const answered = onTerminal(80, 24, "prune");
      while (!answered.raw().includes("[y/N]")) await Bun.sleep(5);
      answered.type("y\r");
      expect(await answered.exited).toBe(0);
      expect(BufferPool.list().map(({ name }) => name)).toEqual(["open"]);
    }));

  test("a broken object is removed by force only", () =>
    inPoolFolder(async (dir) => {
      writeFileSync(join(dir, "xmem.broken"), "no pool");
      const { exitCode, err } = await xmem("unlink", "broken");
      expect(exitCode).toBe(4);
      expect(err).toContain("nobody can say whether somebody has it open");
      expect(await xmem("unlink", "broken", "--force")).toMatchObject({ exitCode: 0, err: "" });
    }));
});

describe("list, trim, watch, doctor and bench", () => {
  test("list names every pool, the broken ones with their problem", () =>
    inPoolFolder(async (dir) => {
      expect((await xmem("list")).out).toContain("there is no pool");
      using _pool = BufferPool.create("whole", { capacity: 3, bufferSize: 1024 });
      writeFileSync(join(dir, "xmem.broken"), "no pool");
      const { out } = await xmem("list");
      expect(out).toMatch(/^whole +3 +1 KiB +0 B +1 /m);
      expect(out).toMatch(/^broken .*POOL_CORRUPT/m);
      const found = (await said("list")) as { name: string; capacity: number }[];
      expect(found.map(({ name, capacity }) => [name, capacity])).toEqual([
        ["broken", 0],
        ["whole", 3],
      ]);
    }));

  test("trim gives memory back, and says how much", () =>
    inPoolFolder(async () => {
      using pool = BufferPool.create("trimmed", { capacity: 2, bufferSize: 8192 });
      pool.preallocate(8192, 2);
      expect(await said("trim", "trimmed")).toEqual({ freedBytes: 16_384, committedBytes: 0 });
    }));

  test("watch prints a line for each look, and ends when the pool is gone", () =>
    inPoolFolder(async () => {
      using pool = BufferPool.create("watched", { capacity: 4 });
      using _held = pool.acquire(1);
      const looks = (
        await xmem("watch", "watched", "--interval", "20", "--count", "3", "--json")
      ).out
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
      expect(looks.length).toBe(3);
      expect(looks[2]).toMatchObject({ used: 1, capacity: 4, participants: 1 });
      const watching = start("watch", "watched", "--interval", "20");
      const lines = new Lines(watching.stdout);
      expect(await lines.next()).toMatch(/used 1\/4/);
      pool.unlink();
      expect(await watching.stderr.text()).toBe('xmem: POOL_NOT_FOUND: pool "watched" is gone\n');
      expect(await watching.exited).toBe(3);
    }));

  test("doctor tells what it found, and what is left behind", () =>
    inPoolFolder(async (dir) => {
      BufferPool.create("left").close();
      writeFileSync(join(dir, "xmem.broken"), "no pool");
      const { isFit, findings } = (await said("doctor")) as {
        isFit: boolean;
        findings: { what: string; state: string; found: string; advice: string }[];
      };
      expect(isFit).toBe(true);
      const of = (what: string) => findings.filter((each) => each.what === what);
      expect(of("Bun")[0]?.found).toStartWith(Bun.version);
      expect(of("folder")[0]?.found).toContain(dir);
      expect(of("library")[0]?.found).toContain("libxmem");
      expect(of("a pool")[0]?.state).toBe("ok");
      expect(of("pools").map(({ advice }) => advice.split(" ", 2).join(" "))).toEqual([
        "xmem prune",
        "xmem dump",
      ]);
      const missing = join(dir, "nowhere");
      const child = Bun.spawnSync([process.execPath, "src/command/xmem.js", "doctor"], {
        cwd: join(import.meta.dir, ".."),
        env: { ...process.env, XMEM_DIR: missing },
      });
      expect(child.exitCode).toBe(1);
      expect(child.stdout.toString()).toContain(`${missing} does not exist`);
    }));

  test("bench measures beside a copy of the same run", async () => {
    const figures = (await said("bench", "--seconds", "1")) as { what: string; ofACopy: number }[];
    expect(figures.length).toBe(5);
    expect(figures[0]).toMatchObject({ what: "copy 1 MiB", ofACopy: 1 });
    for (const { ofACopy } of figures) expect(ofACopy).toBeGreaterThan(0);
  });
});

describe("dump", () => {
  test("decodes the control area of a pool in use", () =>
    inFullPool(async ({ encoder }) => {
      const { out, exitCode } = await xmem("dump", "frames");
      const dumped = JSON.parse(out);
      expect(exitCode).toBe(0);
      expect(dumped.problems).toEqual([]);
      expect(dumped.header.identity).toMatchObject({
        capacity: 6,
        version: constants.FORMAT_VERSION,
      });
      const row = dumped.participants.find(({ name }: { name: string }) => name === "encoder");
      expect(row).toMatchObject({ pid: encoder.pid, holds: [{ count: 1 }, { count: 1 }] });
      expect(dumped.slots[0]).toMatchObject({
        control: { state: "used", references: 1, in_flight: 0, frozen: false },
        content: { size: 100 },
        description: { content_type: "image/png", producer: "camera" },
      });
      expect(dumped.slots[2]).toMatchObject({ control: { in_flight: 1 } });
      expect(dumped.channels[0]).toMatchObject({ name: "jobs", state: "live", mode: "queue" });
      expect(dumped.channels[0].cells.map(({ index }: { index: number }) => index)).toEqual([3, 4]);
    }));

  test("says what is damaged, whatever is damaged, and never fails", () =>
    inPoolFolder(async (dir) => {
      const pool = BufferPool.create("damaged", { capacity: 4, bufferSize: 4096 });
      const guard = pool.acquire(10);
      const { index } = guard;
      guard.forget();
      // What has the pool open does not survive that its file is cut off.
      pool.close();
      const path = join(dir, "xmem.damaged");
      const dumped = async () => {
        const { out, exitCode } = await xmem("dump", "damaged");
        expect(exitCode).toBe(0);
        return JSON.parse(out) as { problems: string[]; slots: unknown[] };
      };
      const slot = constants.SIZE_SLOT * index + 512 + 64 * constants.SIZE_ROW;
      write(path, slot + constants.AT_SLOT_CONTENT, 0xff);
      write(path, slot + constants.AT_SLOT_CONTENT + 3, 0xff);
      write(path, constants.AT_IDENTITY_SLOTS_OFFSET, 0x01);
      const { problems, slots } = await dumped();
      expect(problems.join("\n")).toMatch(/slots_offset is \d+, and \d+ follows/);
      expect(problems.join("\n")).toMatch(/slot 0: its size is \d{9,}/);
      expect(slots.length).toBe(1);
      write(path, constants.AT_IDENTITY_CAPACITY + 3, 0xff);
      write(path, constants.AT_IDENTITY_MAGIC, 0);
      expect((await dumped()).problems.join("\n")).toMatch(
        /capacity is \d+, and 16777214 is the most/,
      );
      writeFileSync(path, "cut off");
      expect((await dumped()).problems.join("\n")).toContain("does not begin as a pool does");
    }));
});

test("dump refuses at once what is no file, and does not follow a link", () =>
  inPoolFolder(async (dir) => {
    mkdirSync(join(dir, "xmem.folder"));
    symlinkSync("/etc/passwd", join(dir, "xmem.link"));
    Bun.spawnSync(["mkfifo", join(dir, "xmem.fifo")]);
    for (const name of ["folder", "link", "fifo"]) {
      const { exitCode, out, err } = await xmem("dump", name);
      expect([name, exitCode, out]).toEqual([name, 5, ""]);
      expect(err).toEndWith(`xmem.${name} is no regular file, and a pool is one\n`);
    }
  }));

function write(path: string, offset: number, byte: number): void {
  const file = openSync(path, "r+");
  writeSync(file, Uint8Array.of(byte), 0, 1, offset);
  closeSync(file);
}

describe("top", () => {
  test("shows occupancy, participants and channels in 80x24, and answers to its keys", () =>
    inFullPool(async () => {
      const top = onTerminal(80, 24, "top", "frames", "--interval", "50");
      const frame = await top.shows(/encoder +2/);
      const lines = frame.split("\r\n");
      expect(lines.length).toBe(24);
      for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(80);
      expect(frame).toContain("used 6/6 [####################] 100%");
      expect(frame).toMatch(/█/);
      expect(frame).toMatch(/waiting 1 +in flight 1 +queued 2/);
      expect(frame).toMatch(/waiter .*waiting/);
      expect(frame).toMatch(/jobs +2 +4/);
      expect(frame.indexOf("encoder")).toBeLessThan(frame.indexOf("waiter"));
      expect(frame).toContain("q quit  s sort (holds)");
      top.type("s");
      await top.shows("s sort (rate)");
      top.type("s");
      const byWaits = await top.shows("s sort (waits)");
      expect(byWaits.indexOf("waiter")).toBeLessThan(byWaits.indexOf("encoder"));
      top.type("r");
      await top.shows("s sort (waits, reversed)");
      top.resize(60, 10);
      await top.shows(/^(?:[^\n]*\n){9}[^\n]*$/);
      top.type("q");
      expect(await top.exited).toBe(0);
      expect(top.raw().slice(-20)).toContain("\x1b[?25h\x1b[?1049l");
    }));

  test("goes on when the pool vanishes, and when one of that name comes", () =>
    inPoolFolder(async () => {
      const pool = BufferPool.create("brief", { capacity: 2 });
      pool.acquire(1);
      const top = onTerminal(80, 24, "top", "brief", "--interval", "30");
      await top.shows("used 1/2");
      pool.unlink();
      await top.shows(/THE POOL IS GONE since[\s\S]*used 1\/2/);
      pool.close();
      using later = BufferPool.create("brief", { capacity: 8 });
      expect(later.capacity).toBe(8);
      await top.shows("used 0/8");
      process.kill(top.pid, "SIGTERM");
      expect(await top.exited).toBe(128 + 15);
      expect(top.raw().slice(-20)).toContain("\x1b[?25h\x1b[?1049l");
    }));

  test("without a terminal it prints frames, and no escape sequences", () =>
    inPoolFolder(async () => {
      using _pool = BufferPool.create("plain", { capacity: 2 });
      const one = await xmem("top", "plain", "--count", "2", "--interval", "20");
      expect(one.exitCode).toBe(0);
      expect(one.out.match(/used 0\/2/g)?.length).toBe(2);
      expect(one.out).not.toContain("\x1b");
      const all = await xmem("top", "--count", "1");
      expect(all.out).toMatch(/^plain +0 +2 /m);
      expect(await xmem("top", "nothing")).toMatchObject({ exitCode: 3, out: "" });
    }));
});

describe("errors and usage", () => {
  test("each failure is one line with its code, and has the exit code of its kind", () =>
    inPoolFolder(async (dir) => {
      writeFileSync(join(dir, "xmem.broken"), "no pool");
      for (const [code, exitCode, ...given] of [
        ["POOL_NOT_FOUND", 3, "info", "nothing"],
        ["POOL_NOT_FOUND", 3, "dump", "nothing"],
        ["POOL_NOT_FOUND", 3, "unlink", "nothing"],
        ["POOL_CORRUPT", 5, "info", "broken"],
        ["INVALID_ARGUMENT", 2, "trim", "a/b"],
        ["USAGE", 2, "info"],
        ["USAGE", 2, "info", "broken", "--no-such-option"],
        ["USAGE", 2, "no-such-command"],
        ["USAGE", 2],
        ["USAGE", 2, "watch", "broken", "--interval", "soon"],
      ] as [string, number, ...string[]][]) {
        const { err, ...run } = await xmem(...given);
        expect([given, run]).toEqual([given, { exitCode, out: "" }]);
        expect(err).toMatch(new RegExp(`^xmem: ${code}: [^\n]+\n$`));
      }
    }));

  test("a slip of the hand is told with what was meant, and nothing is passed over", () =>
    inPoolFolder(async () => {
      const slips: [string, string][] = [
        ["serve --prot 1234", "serve has no option --prot; did you mean --port?"],
        ["info frames --jsn", "info has no option --jsn; did you mean --json?"],
        ["prune --dry-rum", "prune has no option --dry-rum; did you mean --dry-run?"],
        ["lst", "there is no command lst; did you mean list?"],
        ["frobnicate", "there is no command frobnicate; xmem --help lists them"],
        ["info", "info needs the name of a pool; see xmem info --help"],
        ["list a b", 'list does not take "a", "b"; see xmem list --help'],
        ["serve 8080", 'serve does not take "8080"; see xmem serve --help'],
        ["watch frames --interval 1.5", '--interval is "1.5", expected a whole number'],
        ["watch frames --count 1 --count 2", "--count is given 2 times, expected a whole number"],
        ["complete bsh", "complete needs the name of a shell, one of bash, zsh, fish, powershell"],
        ["complete", "complete needs the name of a shell, one of bash, zsh, fish, powershell"],
      ];
      for (const name of ["info", "watch", "reclaim", "trim", "unlink", "dump", "top"]) {
        slips.push([`${name} a b`, `${name} does not take "b"; see xmem ${name} --help`]);
      }
      for (const name of ["list", "serve", "prune", "doctor", "bench"]) {
        slips.push([`${name} b`, `${name} does not take "b"; see xmem ${name} --help`]);
      }
      const runs = await Promise.all(slips.map(([given]) => xmem(...given.split(" "))));
      for (const [place, { exitCode, out, err }] of runs.entries()) {
        const [given, expected] = slips[place] ?? ["", ""];
        expect({ given, exitCode, out }).toEqual({ given, exitCode: 2, out: "" });
        expect(err).toStartWith(`xmem: USAGE: ${expected}`);
        expect(err.split("\n").length).toBe(2);
      }
      expect((await xmem("--version")).out).toEndWith(` bun-${Bun.version}\n`);
    }));

  test("an option that takes a number takes digits, in every subcommand", () =>
    inPoolFolder(async () => {
      const names = ["list", "info", "top", "watch", "serve", "reclaim", "trim", "bench"];
      const helps = await Promise.all(names.map((name) => xmem(name, "--help")));
      const calls = helps.flatMap(({ out }, place) => {
        const name = names[place] ?? "";
        const pool = new RegExp(`xmem ${name} <pool>`).test(out) ? ["frames"] : [];
        const options = Array.from(
          out.matchAll(/(--[\w-]+) <(?!pool)/g),
          ([, option = ""]) => option,
        );
        return options.map((option) => ({ argv: [name, ...pool], option }));
      });
      expect(calls.length).toBeGreaterThanOrEqual(21);
      const texts = [" ", "1 ", "1e3", "0x10", "+1", "-0", "", "١"];
      const runs = calls.flatMap(({ argv, option }, place) => {
        const text = texts[place % texts.length] ?? "";
        return [
          { argv: [...argv, option, ""], found: `${option} is ""` },
          { argv: [...argv, `${option}=${text}`], found: `${option} is ${JSON.stringify(text)}` },
        ];
      });
      const said = await Promise.all(runs.map(({ argv }) => xmem(...argv)));
      const found = said.map(({ err, out, exitCode }, place) => {
        const expected = `xmem: USAGE: ${runs[place]?.found}, expected a whole number; see xmem `;
        return [err.startsWith(expected) ? runs[place]?.found : err, out, exitCode];
      });
      expect(found).toEqual(runs.map(({ found }) => [found, "", 2]));
    }));

  test("every subcommand explains itself, and the shells complete all of them and pools", () =>
    inPoolFolder(async () => {
      const { out } = await xmem("--help");
      const commands = [...out.matchAll(/^ {2}(\w+)[ \w<>[\]]* {2,}[A-Z]/gm)].map(
        ([, name]) => name,
      );
      expect(commands.length).toBe(12);
      const helps = await Promise.all(commands.map((name) => xmem(name as string, "--help")));
      for (const [place, { exitCode, out: help }] of helps.entries()) {
        expect(exitCode).toBe(0);
        expect(help).toContain(`$ xmem ${commands[place]}`);
      }
      using _pool = BufferPool.create("completed");
      const [all, pools, ...scripts] = await Promise.all([
        xmem("complete", "--", ""),
        xmem("complete", "--", "info", "c"),
        ...["bash", "zsh", "fish"].map((shell) => xmem("complete", shell)),
      ]);
      for (const name of commands) expect(all?.out).toContain(name as string);
      expect(pools?.out).toContain("completed");
      for (const { exitCode, out: script } of scripts) {
        expect(exitCode).toBe(0);
        expect(script).toContain("complete");
      }
    }));
});

/** Numbers, times and sizes differ from run to run; columns move with them. */
function shape(text: string): string {
  return (
    text
      .replaceAll(/\S*xmem\.frames/g, "FILE")
      .replaceAll(/\S*(?=\/(?:encoder|program)\.ts)\/\w+\.ts/g, "SOURCE")
      .replaceAll(/\d+(?:[.:]\d+)*(?: ?(?:ms|s|m|h|KiB|MiB|B)\b)?/g, "N")
      .replaceAll(/(?:N )+ago/g, "N ago")
      .replaceAll(/ +/g, " ")
      // A heading is moved in by numbers that are longer than it, as most process ids are.
      .replaceAll(/^ (?=PID |N )/gm, "")
  );
}

test("the page about the command shows what its program and the command print", () =>
  inPoolFolder(async () => {
    const page = await Bun.file(join(import.meta.dir, "../docs/command.md")).text();
    const [, source = ""] = /```ts\nimport[^\n]*\n([\s\S]*?)```/.exec(page) ?? [];
    const [, shown = ""] = /```\n(\$ xmem list[\s\S]*?)```/.exec(page) ?? [];
    const program = programFile(source, { env: { XMEM_TRACE: "1" } });
    try {
      await program.lineOf("full");
      const steps = shown.split(/^\$ xmem /m).slice(1);
      expect(steps.length).toBe(5);
      for (const step of steps) {
        const [, given = "", expected = ""] = /^(.*)\n([\s\S]*)$/.exec(step) ?? [];
        const { out, err } = await xmem(...given.split(" "));
        expect(shape(out + err)).toBe(shape(expected));
      }
    } finally {
      await program.end();
    }
  }));

test("the page names every exit code, and each field of the JSON", () =>
  inPoolFolder(async () => {
    const page = await Bun.file(join(import.meta.dir, "../docs/command.md")).text();
    for (const code of Object.values(exit))
      expect(page).toMatch(new RegExp(`^\\| ${code} \\|`, "m"));
    using _pool = BufferPool.create("fields", { capacity: 2 });
    const { layout } = (await said("info", "fields")) as Info;
    const reclaimed = (await said("reclaim", "fields")) as object;
    for (const field of [...Object.keys(layout), ...Object.keys(reclaimed)]) {
      expect(page).toContain(`\`${field}\``);
    }
  }));
