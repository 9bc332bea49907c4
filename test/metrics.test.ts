// metricsText(), as the parsers of Prometheus' own client for Python read it.

import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tools } from "../scripts/python.ts";
import { root } from "../scripts/setup.ts";
import { BufferPool } from "../src/index.ts";
import { inPoolFolder } from "./folders.ts";
import { Lines } from "./lines.ts";
import { withPool } from "./processes.ts";
import { programFile } from "./program_files.ts";
import { inUserFolder } from "./user_folder.ts";

const python = tools("metrics");
if (python === null) console.log("left out, for want of prometheus_client: test/metrics.test.ts");

const reader = `
import json, sys
from prometheus_client.parser import text_string_to_metric_families as prometheus
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
parse = openmetrics if sys.argv[1] == "openmetrics" else prometheus
print(json.dumps([
    [family.name, family.type, family.documentation, [[s.name, s.labels, s.value] for s in family.samples]]
    for family in parse(sys.stdin.read())
]))
`;

type Labels = Record<string, string>;
type Family = [name: string, type: string, help: string, samples: [string, Labels, number][]];

async function parsed(text: string, format: "prometheus" | "openmetrics"): Promise<Family[]> {
  const child = Bun.spawn([python ?? "", "-c", reader, format], {
    stdin: new Blob([text]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  expect(await child.exited, err).toBe(0);
  return JSON.parse(out);
}

function sampleOf(families: Family[], name: string, labels: Labels): number | undefined {
  const all = families.flatMap(([, , , samples]) => samples);
  const found = all.filter(
    ([each, has]) => each === name && Bun.deepEquals({ ...has, ...labels }, has),
  );
  expect(found.length, `${name} ${JSON.stringify(labels)}`).toBeLessThanOrEqual(1);
  return found[0]?.[2];
}

const odd = 'a "quoted"\\ \nname';

if (python !== null) {
  describe("a parser", () => {
    for (const format of ["prometheus", "openmetrics"] as const) {
      test(`reads what the statistics say: ${format}`, () =>
        withPool(
          {
            capacity: 4,
            bufferSize: 8192,
            leaseTimeout: 1500,
            maxParticipants: 3,
            participantName: odd,
          },
          async (pool, name) => {
            using held = pool.acquire(8192);
            using _clone = held.clone();
            pool.acquire(1).handOff();
            const channel = pool.channel(odd, { capacity: 1, overflow: "drop-newest" });
            channel.send(pool.acquire(1));
            channel.send(pool.acquire(1));
            const _last = [pool.acquire(1)];
            expect(pool.tryAcquire(1)).toBeNull();
            await Bun.sleep(40);
            const stats = pool.stats();
            const texts = [
              pool.metricsText({ format }),
              BufferPool.metricsText(name, { format }),
              BufferPool.metricsText(undefined, { format }),
            ];
            for (const text of texts) {
              const families = await parsed(text, format);
              for (const [family, , help, samples] of families) {
                expect([family, help.length > 5, samples.length > 0]).toEqual([family, true, true]);
              }
              const of = (sample: string, labels: Labels = {}): number | undefined =>
                sampleOf(families, `xmem_${sample}`, { pool: name, ...labels });
              const { counters } = stats;
              const expected = {
                pool_up: 1,
                buffers_capacity: 4,
                buffers_free: 0,
                buffers_used: 4,
                buffers_parked: 0,
                references_in_flight: 1,
                waiters: 0,
                buffer_size_bytes: 8192,
                committed_bytes: stats.committedBytes,
                committed_limit_bytes: 4 * 8192,
                flushing: 0,
                linked: 1,
                lease_timeout_seconds: 1.5,
                participants_alive: 1,
                participants_dead: 0,
                participants_limit: 3,
                acquired_total: counters.acquired,
                released_total: 1,
                full_total: 1,
                waits_total: 0,
                timeouts_total: 0,
                out_of_memory_total: 0,
                recoveries_total: 0,
                recoveries_deferred_total: 0,
                recovered_participants_total: 0,
                recovered_references_total: 0,
                recovered_buffers_total: 0,
                expired_references_total: 0,
                memory_committed_bytes_total: counters.bytesCommitted,
                memory_given_back_bytes_total: 0,
              };
              for (const [sample, value] of Object.entries(expected)) {
                expect([sample, of(sample)]).toEqual([sample, value]);
              }
              for (const age of ["longest_hold_seconds", "oldest_lease_seconds"]) {
                expect(of(age)).toBeGreaterThan(0.01);
              }
              const inChannel = {
                channel_capacity: 1,
                channel_queued: 1,
                channel_subscribers: 0,
                channel_lag: 0,
                channel_waiting_receivers: 0,
                channel_waiting_senders: 0,
                channel_open_by: 1,
                channel_closed: 0,
                channel_sent_total: 1,
                channel_received_total: 0,
                channel_dropped_total: 1,
                channel_redelivered_total: 0,
              };
              for (const [sample, value] of Object.entries(inChannel)) {
                expect([sample, of(sample, { channel: odd })]).toEqual([sample, value]);
              }
              const named = { participant: odd };
              expect(of("participant_holds", named)).toBe(3);
              expect(of("participant_threads", named)).toBe(1);
              expect(of("participant_waiting", named)).toBe(0);
              const types = new Map(families.map(([family, type]) => [family, type]));
              expect(types.get("xmem_full")).toBe("counter");
              expect(types.get("xmem_buffers_free")).toBe("gauge");
              const known = new Set(
                [expected, inChannel].flatMap((each) => Object.keys(each)).map((each) => each),
              );
              expect(families.length).toBe(known.size + 2 + 3);
            }
          },
        ));
    }

    test("finds several pools, a broken one among them, and each sample once", () =>
      inPoolFolder(async (dir) => {
        expect(await parsed(BufferPool.metricsText(), "prometheus")).toEqual([]);
        using one = BufferPool.create("one", { capacity: 1, participantName: "same" });
        using _two = BufferPool.create("two", { capacity: 2, channels: 0 });
        writeFileSync(join(dir, "xmem.three"), "no pool");
        one.channel("frames");
        for (const format of ["prometheus", "openmetrics"] as const) {
          const families = await parsed(BufferPool.metricsText(undefined, { format }), format);
          const up = families.find(([name]) => name === "xmem_pool_up")?.[3] ?? [];
          expect(up.map(([, labels, value]) => [labels["pool"], value])).toEqual([
            ["one", 1],
            ["three", 0],
            ["two", 1],
          ]);
          expect(sampleOf(families, "xmem_buffers_capacity", { pool: "two" })).toBe(2);
          expect(sampleOf(families, "xmem_buffers_capacity", { pool: "three" })).toBeUndefined();
          const all = families.flatMap(([, , , samples]) => samples);
          const keys = all.map(([name, labels]) => name + JSON.stringify(labels));
          expect(new Set(keys).size).toBe(keys.length);
        }
      }));
  });
}

test("participants of one name are one series, however many processes have it", () =>
  withPool({ capacity: 4, bufferSize: 64, participantName: "worker" }, async (pool, name) => {
    const child = programFile(
      `const pool = BufferPool.open("${name}", { participantName: "worker" });
      globalThis.held = [pool.acquire(1), pool.acquire(1)];
      say("held");
      setInterval(() => {}, 1000);`,
    );
    await child.lineOf("held");
    using _own = pool.acquire(1);
    const lines = pool.metricsText().split("\n");
    const of = (sample: string) => lines.filter((line) => line.startsWith(`xmem_${sample}{`));
    const labels = `{pool="${name}",participant="worker"}`;
    expect(of("participant_holds")).toEqual([`xmem_participant_holds${labels} 3`]);
    expect(of("participant_threads")).toEqual([`xmem_participant_threads${labels} 2`]);
    await child.end();
    expect(pool.metricsText()).toContain(`xmem_participants_dead{pool="${name}"} 1\n`);
  }));

test("what cannot be looked at, and options that do not exist, are refused", () =>
  withPool({ capacity: 1, bufferSize: 64 }, (pool, name) => {
    const codeOf = (run: () => unknown): unknown => {
      try {
        return run();
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    expect(codeOf(() => BufferPool.metricsText("never.made"))).toBe("POOL_NOT_FOUND");
    expect(codeOf(() => BufferPool.metricsText("a/b"))).toBe("INVALID_ARGUMENT");
    const wrong = [{ format: "json" }, { formt: "openmetrics" }, null, 7] as never[];
    for (const options of wrong) {
      expect(codeOf(() => pool.metricsText(options))).toBe("INVALID_ARGUMENT");
      expect(codeOf(() => BufferPool.metricsText(name, options))).toBe("INVALID_ARGUMENT");
    }
    expect(codeOf(() => pool.metricsText({ allowOwner: 0 } as never))).toBe("INVALID_ARGUMENT");
    expect(BufferPool.metricsText(name, { allowOwner: 0 })).toContain("xmem_pool_up");
    pool.close();
    expect(codeOf(() => pool.metricsText())).toBe("POOL_CLOSED");
  }));

test("docs/operations.md lists the metrics that there are, and its server serves them", () =>
  withPool({ capacity: 2, bufferSize: 64, channels: 2 }, async (pool) => {
    pool.channel("frames");
    const page = readFileSync(join(root, "docs", "operations.md"), "utf8");
    const section = /^## Metrics\n([\s\S]*?)^## /m.exec(page)?.[1] ?? "";
    const listed = section.split("\n").filter((line) => line.startsWith("| `xmem"));
    const documented = listed.flatMap((line) => {
      const type = / (\w+) +\|$/.exec(line)?.[1];
      return Array.from(line.matchAll(/`(xmem_\w+)`/g), ([, name]) => `${name} ${type}`);
    });
    const program = /```ts\n([\s\S]*?)```/.exec(section)?.[1] ?? "";
    await inUserFolder({ "server.ts": program }, async (folder) => {
      const child = Bun.spawn([process.execPath, "server.ts"], {
        cwd: folder,
        env: { ...process.env, PORT: "0" },
        stdout: "pipe",
      });
      try {
        const address = await new Lines(child.stdout).next();
        const response = await fetch(address ?? "");
        expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4");
        const text = await response.text();
        expect(text).toContain(`xmem_channel_queued{pool="${pool.name}",channel="frames"} 0\n`);
        const written = Array.from(text.matchAll(/^# TYPE (\w+) (\w+)$/gm), ([, ...found]) =>
          found.join(" "),
        );
        expect(written.sort()).toEqual(documented.sort());
      } finally {
        child.kill();
        await child.exited;
      }
    });
  }));
