// The other side of the tests in test_bun.py: a process of Bun on the same pools.

import { BufferPool } from "../../src/index.ts";

const [role = "", name = "", ...rest] = process.argv.slice(2);
const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** For ever, or until it is killed. */
const stay = (): Promise<never> => new Promise(() => setInterval(() => {}, 1000));

const roles: Record<string, () => Promise<void>> = {
  async produce() {
    using pool = BufferPool.openOrCreate(name, { capacity: 4, bufferSize: 65_536 });
    using frames = pool.channel("frames");
    for (let sequence = 0; sequence < Number(rest[0]); sequence++) {
      const frame = await pool.acquireAsync(4 * 6);
      frame.meta.dtype = "float32";
      frame.meta.shape = [2, 3];
      frame.meta.sequence = sequence;
      frame.meta.contentType = "test/bun";
      frame.view("float32").fill(sequence);
      await frames.sendAsync(frame);
    }
    frames.close();
  },

  async consume() {
    using pool = BufferPool.open(name);
    say("ready");
    for await (using frame of pool.channel("frames")) {
      const { dtype, shape, strides, sequence } = frame.meta;
      const sum = frame.bytes.reduce((total, byte) => total + byte, 0);
      say(JSON.stringify({ dtype, shape, strides, sequence, size: frame.size, sum }));
    }
  },

  async take() {
    using pool = BufferPool.open(name);
    using frame = pool.take(Number(rest[0]));
    say(frame.bytes.join(" "));
    frame.bytes.reverse();
  },

  async handOff() {
    using pool = BufferPool.open(name);
    const frame = pool.acquire(3);
    frame.bytes.set([7, 8, 9]);
    say(String(frame.handOff()));
  },

  async hold() {
    const pool = BufferPool.open(name);
    const held = [];
    for (let frame = pool.tryAcquire(8); frame !== null; frame = pool.tryAcquire(8)) {
      held.push(frame);
    }
    say(`holds ${held.length}`);
    await stay();
  },

  async wait() {
    using pool = BufferPool.open(name);
    say("waits");
    using frame = await pool.acquireAsync(8);
    say(`got ${frame.size}`);
  },

  /** One after the other; says the first byte of each reply, or the code. */
  async ask() {
    using pool = BufferPool.open(name);
    using jobs = pool.channel("jobs");
    for (const byte of rest) {
      const job = pool.acquire(4);
      job.bytes.fill(Number(byte));
      try {
        using reply = await jobs.request(job, { timeout: 20_000 });
        say(String(reply.bytes[0]));
      } catch (error) {
        say((error as { code: string }).code);
      }
    }
    jobs.close();
  },

  async receiveAndStay() {
    const pool = BufferPool.open(name);
    const job = await pool.channel("jobs").receive();
    say(`delivery ${job.deliveries}`);
    await stay();
  },
};

await roles[role]?.();
