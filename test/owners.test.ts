// Pools of other users: whom a process trusts, what root sees, and a group that shares a pool. Each
// user is a process of its own, which root starts.

import { describe, expect, test } from "bun:test";
import { chmodSync, chownSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { BufferPool } from "../src/index.ts";
import { codeOf, errorOf } from "./codes.ts";
import { inPoolFolder } from "./folders.ts";
import { type Script, script, unshare } from "./scripts.ts";

const alice = 12_001;
const bob = 12_002;
const stranger = 12_003;
const team = 13_001;

/** The command that runs a program as that user. Its groups are its own number and those given. */
function userOf(user: number, groups: number[]): string[] {
  const rest = groups.length === 0 ? "--clear-groups" : `--groups=${groups.join(",")}`;
  return ["setpriv", `--reuid=${user}`, `--regid=${user}`, rest, "--"];
}

/** In a process of that user. */
function as(user: number, source: string, groups: number[] = []): Script {
  return script(source, { under: userOf(user, groups) });
}

function whyNot(): string {
  if (process.geteuid?.() !== 0) return "only root can be several users";
  if (Bun.which("setpriv") === null) return "there is no setpriv";
  const library = join(import.meta.dir, "../src/index.ts");
  const argv = [...userOf(alice, []), process.execPath, library];
  const { exitCode, stderr } = Bun.spawnSync(argv);
  return exitCode === 0 ? "" : `another user cannot read this repository: ${stderr}`;
}

const skipped = whyNot();
if (skipped !== "") console.log(`skipped: ${skipped}`);

/** What it says, and that it ended well. */
async function said(child: Script): Promise<string[]> {
  const lines = await child.rest();
  expect(await child.ended).toBe(0);
  return lines;
}

/** In a folder like /dev/shm: everybody may make files, and remove their own. */
function inFolder(body: (dir: string) => unknown, mode = 0o1777): Promise<void> {
  return inPoolFolder(body, mode);
}

const small = "{ capacity: 2, bufferSize: 64 }";

describe.skipIf(skipped !== "")("a pool of another user", () => {
  /** With a pool of Alice's, that she has open. */
  async function withAlices(
    options: string,
    body: (dir: string, owner: Script) => Promise<void>,
    groups: number[] = [],
    mode?: number,
  ): Promise<void> {
    await inFolder(async (dir) => {
      const source = `const pool = BufferPool.create("p", ${options}); pool.acquire(1);
        say("there"); await heard(); pool.close(); say("closed"); await heard();`;
      const owner = as(alice, source, groups);
      expect(await owner.line()).toBe("there");
      try {
        await body(dir, owner);
      } finally {
        await owner.rest();
        await owner.ended;
      }
    }, mode);
  }

  test("is seen by root's list and inspect, and root opens it only where its owner is named", () =>
    withAlices(small, async () => {
      expect(BufferPool.list()).toMatchObject([
        { name: "p", capacity: 2, bufferSize: 64, participants: 1 },
      ]);
      expect(BufferPool.list()[0]?.problem).toBeUndefined();
      expect(BufferPool.inspect("p")).toMatchObject({ used: 1, free: 1 });
      const error = errorOf(() => BufferPool.open("p"));
      expect(error.code).toBe("PERMISSION_DENIED");
      expect(error.message).toContain(`allowOwner: ${alice}`);
      using pool = BufferPool.open("p", { allowOwner: alice });
      expect(pool.stats().used).toBe(1);
    }));

  test("is seen by a third user's list and inspect only where they name its owner", () =>
    withAlices(`{ ...${small}, mode: 0o644 }`, async () => {
      const source = `
        const { capacity, participants, problem } = BufferPool.list()[0];
        say([capacity, participants, problem.startsWith("PERMISSION_DENIED")]);
        say(codeOf(() => BufferPool.inspect("p")));
        say(codeOf(() => BufferPool.inspect("p", { allowOwner: ${stranger} })));
        say(BufferPool.list({ allowOwner: ${alice} }).map((info) => [info.capacity, info.participants, info.problem]));
        say(BufferPool.inspect("p", { allowOwner: ${alice} }).used);
        say(codeOf(() => BufferPool.open("p", { allowOwner: ${alice} })));`;
      expect(await said(as(bob, source))).toEqual([
        "[0,0,true]",
        "PERMISSION_DENIED",
        "PERMISSION_DENIED",
        "[[2,1,null]]",
        "1",
        // It may be read, and not be written.
        "PERMISSION_DENIED",
      ]);
    }));

  test("is left by other users' prune and sweep, also root's; its owner's remove it", () =>
    inFolder(async (dir) => {
      await said(as(alice, `BufferPool.create("p", ${small}).close();`));
      const kill = 'process.kill(process.pid, "SIGKILL")';
      const child = as(alice, `BufferPool.create("e", { ...${small}, ephemeral: true }); ${kill};`);
      await child.rest();
      expect(await child.ended).toBe("SIGKILL");
      BufferPool.create("r", { capacity: 1 }).close();
      expect(await said(as(bob, `BufferPool.list(); say(BufferPool.prune());`))).toEqual(["[]"]);
      expect(BufferPool.list().map(({ name }) => name)).toEqual(["e", "p", "r"]);
      expect(BufferPool.prune({ dryRun: true })).toEqual(["r"]);
      expect(BufferPool.prune()).toEqual(["r"]);
      const own = await said(
        as(alice, `BufferPool.list(); say(entries()); say(BufferPool.prune());`),
      );
      expect(own).toEqual(['["xmem.p"]', '["p"]']);
      expect(readdirSync(dir)).toEqual([]);
    }));

  test("keeps its name where another user may not remove it, and tells that user whose it is", () =>
    withAlices(`{ ...${small}, mode: 0o666 }`, async (dir, owner) => {
      owner.tell("close");
      expect(await owner.line()).toBe("closed");
      const allow = `{ allowOwner: ${alice}, replaceAbandoned: true }`;
      const source = `
        const errorOf = (body) => { try { body(); } catch (error) { return [error.code, error.message.includes("user ${alice}")]; } };
        say(errorOf(() => BufferPool.create("p", ${small})));
        say(errorOf(() => BufferPool.unlink("p")));
        say(errorOf(() => BufferPool.openOrCreate("p", ${allow})));
        say(BufferPool.open("p", { allowOwner: ${alice} }).stats().linked);`;
      expect(await said(as(bob, source))).toEqual([
        '["POOL_EXISTS",true]',
        '["PERMISSION_DENIED",true]',
        '["PERMISSION_DENIED",true]',
        // It is as it was: a user who cannot remove the name does not make the pool unusable.
        "true",
      ]);
      expect(readdirSync(dir)).toEqual(["xmem.p"]);
    }));

  const shared = `{ ...${small}, allowGroup: ${team} }`;

  test("belongs to the group that it was made for, whose members share it, and nobody else", () =>
    withAlices(
      shared,
      async (dir) => {
        const { gid, mode } = statSync(join(dir, "xmem.p"));
        expect([gid, mode & 0o777]).toEqual([team, 0o660]);
        const member = `
          const pool = BufferPool.openOrCreate("p", ${shared});
          using guard = pool.acquire(1);
          say([guard.index, pool.stats().participants.length]);
          say(BufferPool.inspect("p", { allowGroup: ${team} }).used);
          say(BufferPool.list({ allowGroup: ${team} })[0].participants);
          try { BufferPool.open("p"); } catch ({ code, message }) { say([code, message.includes("allowGroup: ${team}")]); }
          say(codeOf(() => BufferPool.open("p", { allowGroup: ${team + 1} })));`;
        expect(await said(as(bob, member, [team]))).toEqual([
          "[1,2]",
          "2",
          "2",
          '["PERMISSION_DENIED",true]',
          "PERMISSION_DENIED",
        ]);
        const outsider = `
          say(codeOf(() => BufferPool.open("p", { allowGroup: ${team} })));
          try { BufferPool.create("mine", ${shared}); } catch ({ code, message }) { say([code, message.includes("group ${team}")]); }
          say(entries());
          // A pool that he makes belongs to a group of his own, whatever its name is.
          const squatted = BufferPool.create("q", { ...${small}, mode: 0o666 });
          say("there"); await heard();`;
        const squatter = as(stranger, outsider);
        expect(await squatter.line()).toBe("PERMISSION_DENIED");
        expect(await squatter.line()).toBe('["PERMISSION_DENIED",true]');
        expect(await squatter.line()).toBe('["xmem.p"]');
        expect(await squatter.line()).toBe("there");
        const open = `say(codeOf(() => BufferPool.openOrCreate("q", ${shared})));`;
        expect(await said(as(bob, open, [team]))).toEqual(["PERMISSION_DENIED"]);
        await squatter.rest();
        await squatter.ended;
      },
      [team],
    ));

  test("that is ephemeral and the last member may not unlink keeps its name for its owner", () =>
    withAlices(
      `{ ...${shared}, ephemeral: true }`,
      async (dir, owner) => {
        const last = as(
          bob,
          `const pool = BufferPool.open("p", ${shared}); say("there"); await heard(); pool.close();
          try { BufferPool.open("p", ${shared}); } catch ({ code, message }) { say([code, message.includes("user ${alice}")]); }
          say(codeOf(() => BufferPool.openOrCreate("p", ${shared})));`.replaceAll(
            `open("p", ${shared})`,
            `open("p", { allowGroup: ${team} })`,
          ),
          [team],
        );
        expect(await last.line()).toBe("there");
        owner.tell("close");
        expect(await owner.line()).toBe("closed");
        last.tell("close");
        expect(await said(last)).toEqual(['["PERMISSION_DENIED",true]', "PERMISSION_DENIED"]);
        expect(readdirSync(dir)).toEqual(["xmem.p"]);
        expect(await said(as(alice, "say(BufferPool.list().length);"))).toEqual(["0"]);
        expect(readdirSync(dir)).toEqual([]);
      },
      [team],
    ));

  test("in a folder of the group's own is removed by the last member of the group", () =>
    inFolder(async (dir) => {
      chownSync(dir, 0, team);
      chmodSync(dir, 0o2770);
      const options = `{ ...${shared}, ephemeral: true }`;
      const first = as(
        alice,
        `const pool = BufferPool.create("p", ${options}); say("there"); await heard(); pool.close();`,
        [team],
      );
      expect(await first.line()).toBe("there");
      const last = as(
        bob,
        `const pool = BufferPool.openOrCreate("p", ${options}); say("there"); await heard(); pool.close();`,
        [team],
      );
      expect(await last.line()).toBe("there");
      await said(first);
      expect(readdirSync(dir)).toEqual(["xmem.p"]);
      await said(last);
      expect(readdirSync(dir)).toEqual([]);
      const outside = `say(codeOf(() => BufferPool.openOrCreate("p", ${small})));`;
      expect(await said(as(stranger, outside))).toEqual(["PERMISSION_DENIED"]);
    }));
});

test("wrong options of list and inspect are INVALID_ARGUMENT", () => {
  const wrongs = [
    { allowOwner: -1 },
    { allowOwner: 1.5 },
    { allowGroup: "x" },
    null,
    { allowGroup: null },
  ];
  for (const wrong of [...wrongs, { allowGroup: 2 ** 32 - 1 }]) {
    const list = (): unknown => Reflect.apply(BufferPool.list, BufferPool, [wrong]);
    const inspect = (): unknown => Reflect.apply(BufferPool.inspect, BufferPool, ["p", wrong]);
    expect([wrong, codeOf(list), codeOf(inspect)]).toEqual([
      wrong,
      "INVALID_ARGUMENT",
      "INVALID_ARGUMENT",
    ]);
  }
});

describe("a folder", () => {
  const mounted = unshare("--mount");

  test("that is mounted read-only is said to be, and is looked at", async () => {
    if (mounted === null) return;
    const child = script(
      `const tried = (body) => { try { body(); return "none"; } catch (error) { return [error.code, error.message.includes("mounted read-only"), error.cause.code]; } };
      BufferPool.create("p", ${small}).close();
      Bun.spawnSync(["mount", "-o", "remount,ro", folder]);
      say(tried(() => BufferPool.open("p")));
      say(tried(() => BufferPool.create("q", ${small})));
      say([BufferPool.list()[0].capacity, BufferPool.inspect("p").free, BufferPool.prune({ dryRun: true })]);`,
      {
        under: [...mounted, "sh", "-c", 'mount -t tmpfs none /mnt && XMEM_DIR=/mnt exec "$0" "$@"'],
      },
    );
    expect(await said(child)).toEqual([
      '["PERMISSION_DENIED",true,"EROFS"]',
      '["PERMISSION_DENIED",true,"EROFS"]',
      '[2,2,["p"]]',
    ]);
  });

  test("is said to have no inodes left where its file system has none", async () => {
    if (mounted === null) return;
    const child = script(
      `let error; try { for (let i = 0; ; i++) BufferPool.create("p" + i, ${small}); } catch (thrown) { error = thrown; }
      say([error.code, error.message.includes("no inodes left"), error.cause.code]);`,
      {
        under: [
          ...mounted,
          "sh",
          "-c",
          'mount -t tmpfs -o nr_inodes=8 none /mnt && XMEM_DIR=/mnt exec "$0" "$@"',
        ],
      },
    );
    expect(await said(child)).toEqual(['["OUT_OF_MEMORY",true,"ENOSPC"]']);
  });
});
