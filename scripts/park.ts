// Lets a channel that may hold 64 MiB in memory take far more while its consumer sleeps, in a directory
// and in a real S3, with processes killed meanwhile: nothing may be lost, come twice or be overtaken, and
// memory stays flat. CI runs it shortened; docs/parking.md has the result of the whole.
//
//   bun scripts/park.ts [--bytes MiB] [--s3 MiB] [--messages N] [--seed S]

import { parseArgs } from "node:util";
import { type Overflow, overflow } from "../test/park/overflow.ts";
import { ensureS3Server, Gateway, s3Server } from "./s3_server.ts";
import { setup } from "./setup.ts";

export interface Amounts {
  /** MiB in messages of 1 MiB, through a directory. */
  bytes: number;
  /** MiB in messages of 1 MiB, through S3. */
  s3: number;
  /** Messages of 200 bytes, through a directory. */
  messages: number;
  seed: number;
}

const MiB = 1024 * 1024;
/** Of the Parking itself, whatever went through it; Bun takes some 40 MiB of that. */
const memoryMost = 256 * MiB;
const poolMost = 64 * MiB;

/** Throws where something was lost, doubled, damaged or overtaken, or where memory grew. */
export async function overflows({ bytes, s3, messages, seed }: Amounts): Promise<void> {
  if (!ensureS3Server()) throw new Error("there is no S3 server, and none can be installed");
  const kill = ["parking", "producer", "consumer"] as const;
  const large: Omit<Overflow, "messages"> = { size: MiB, buffers: 64, kill, pause: 300, seed };
  const small: Omit<Overflow, "messages"> = {
    size: 200,
    buffers: 8192,
    capacity: 1024,
    seed,
    kill,
  };
  const runs: [string, number, Omit<Overflow, "messages">, boolean][] = [
    ["messages of 1 MiB, a directory", bytes, large, false],
    ["messages of 1 MiB, S3", s3, large, true],
    ["messages of 200 bytes, a directory", messages, small, false],
  ];
  for (const [name, count, options, isRemote] of runs) {
    if (count === 0) continue;
    await using gateway = isRemote ? await Gateway.start(s3Server() ?? "") : null;
    console.log(`${count} ${name}, seed ${seed}`);
    const log = (line: string): void => console.log(`  ${line}`);
    const env = gateway === null ? {} : { env: gateway.env };
    const report = await overflow({ ...options, ...env, messages: count, log });
    console.log(`ok: ${JSON.stringify(report)}`);
    if (report.memoryMost > memoryMost) throw new Error("the Parking's memory grew");
    if (report.poolMost > poolMost) throw new Error("the pool's memory grew");
  }
}

if (import.meta.main) {
  setup();
  const { values } = parseArgs({
    options: {
      bytes: { type: "string", default: "4096" },
      s3: { type: "string", default: "512" },
      messages: { type: "string", default: "1000000" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
    },
  });
  const amounts = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, Number(value)]),
  );
  await overflows(amounts as unknown as Amounts);
}
