// A flood: four producers send numbered messages to four consumers through one channel, each a
// process, while some are killed at random and started again. What may be lost and doubled is what
// was in the hands of the killed, and with `redeliver` nothing is lost.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { whenInterrupted } from "../../scripts/interrupted.ts";
import { BufferPool, type Channel } from "../../src/index.ts";
import { Random } from "../soak/random.ts";
import { Account, consumers, handful, producers } from "./account.ts";

export interface FloodOptions {
  messages: number;
  redeliver: boolean;
  /** Per minute. */
  kills: number;
  seed: number;
}

interface Child {
  role: "producer" | "consumer";
  place: number;
  process: Subprocess;
  killed: boolean;
}

const capacity = 256;
const channelCapacity = 64;

class Flood {
  readonly children: Child[] = [];
  readonly wrong: string[] = [];
  readonly kills = { producer: 0, consumer: 0 };
  readonly #pool: string;
  readonly #account: string;

  constructor(pool: string, account: string) {
    this.#pool = pool;
    this.#account = account;
    for (let place = 0; place < producers; place++) this.#start("producer", place);
    for (let place = 0; place < consumers; place++) this.#start("consumer", place);
  }

  #start(role: Child["role"], place: number): void {
    const program = join(import.meta.dir, "participant.ts");
    const argv = [process.execPath, program, this.#pool, this.#account, role, String(place)];
    const child: Child = {
      ...{ role, place, killed: false },
      process: Bun.spawn(argv, {
        env: { ...process.env },
        stdio: ["ignore", "inherit", "inherit"],
      }),
    };
    this.children.push(child);
    child.process.exited.then((code) => this.#ended(child, code));
  }

  #ended(child: Child, code: number): void {
    this.children.splice(this.children.indexOf(child), 1);
    if (child.killed) this.#start(child.role, child.place);
    else if (code !== 0) this.wrong.push(`a ${child.role} ended with ${code}`);
  }

  of(role: Child["role"]): Child[] {
    return this.children.filter((child) => child.role === role);
  }

  kill(child: Child): void {
    // It may just have ended by itself.
    if (child.killed || child.process.exitCode !== null) return;
    child.killed = true;
    child.process.kill("SIGKILL");
    this.kills[child.role]++;
  }

  /** Waits until all of that role have ended by themselves. */
  async until(role: Child["role"]): Promise<void> {
    while (this.of(role).length > 0 && this.wrong.length === 0) await Bun.sleep(5);
  }

  async destroy(): Promise<void> {
    const left = this.children.splice(0);
    for (const { process: child } of left) child.kill("SIGKILL");
    await Promise.all(left.map(({ process: child }) => child.exited));
  }
}

/** What is left for the end; each message is received for whoever did not live to. */
function drain(channel: Channel, account: Account): void {
  for (let guard = channel.tryReceive(); guard !== null; guard = channel.tryReceive()) {
    const [message = 0] = guard.view("uint32");
    account.receive(message);
    account.finish(message);
    guard.release();
  }
}

/** True when nothing was wrong. Prints one line of figures, and what was wrong. */
export async function flood({ messages, redeliver, kills, seed }: FloodOptions): Promise<boolean> {
  const random = new Random(seed);
  const directory = mkdtempSync(join(tmpdir(), "xmem-flood-"));
  const path = join(directory, "account");
  const name = `flood.${process.pid}.${seed}`;
  const account = Account.create(path, messages);
  using pool = BufferPool.create(name, { capacity, bufferSize: 64, maxParticipants: 32 });
  const options = {
    capacity: channelCapacity,
    ...(redeliver && { redeliver, maxDeliveries: 1000 }),
  };
  using channel = pool.channel("flood", options);
  const began = performance.now();
  const herd = new Flood(name, path);
  const forget = whenInterrupted(() => {
    for (const { process: child } of herd.children) child.kill("SIGKILL");
    pool.unlink();
    rmSync(directory, { recursive: true });
  });
  try {
    const ended = herd.until("producer").then(() => true);
    while (kills > 0) {
      const pause = Bun.sleep(random.below((2 * 60_000) / kills)).then(() => false);
      if (await Promise.race([ended, pause])) break;
      if (herd.children.length > 0) herd.kill(random.pick(herd.children));
    }
    await ended;
    const seconds = (performance.now() - began) / 1000;
    // A close lets consumers end; a killed one is started again, and ends at once.
    channel.close();
    await herd.until("consumer");
    pool.reclaim();
    try {
      drain(channel, account);
    } catch (error) {
      if ((error as { code?: string }).code !== "CHANNEL_CLOSED") throw error;
    }
    const { unsure, lost, again, most } = account.sums();
    const { redelivered } = channel.stats();
    const check = (holds: boolean, what: string): void => {
      if (!holds) herd.wrong.push(what);
    };
    // What a consumer has in its hands, and the one that it is receiving.
    const inHands = herd.kills.consumer * (handful + 1);
    const [lostMost, againMost] = redeliver ? [0, inHands] : [inHands, 0];
    check(lost <= lostMost, `${lost} messages are lost, ${lostMost} may be`);
    check(again <= againMost, `${again} were received again, ${againMost} may be`);
    check(unsure <= herd.kills.producer, `${unsure} were being sent by the killed`);
    const { used } = pool.stats();
    check(used === 0, `${used} buffers are in use in the end`);
    for (const what of herd.wrong) console.error(`flood: ${what}`);
    console.log(
      `flood: seed ${seed}, ${messages} messages${redeliver ? ", redelivered" : ""}, ` +
        `${seconds.toFixed(1)} s; killed ${herd.kills.producer} producers (sends unsure ${unsure}), ` +
        `${herd.kills.consumer} consumers; came back ${redelivered}, received again ${again} ` +
        `(one ${most} times at most), lost ${lost}`,
    );
    return herd.wrong.length === 0;
  } finally {
    forget();
    await herd.destroy();
    pool.unlink();
    rmSync(directory, { recursive: true });
  }
}
