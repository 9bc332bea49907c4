// A whole application: a pipeline of three stages. This process fills frames, the next one changes
// every word of them, the last one sums them. Arguments: by what the frames travel ("xmem", "ipc",
// "transfer"), and how many. Not by tinybench: a run is one figure, and its processor and memory count
// as well.

import { BufferPool } from "../../src/index.ts";
import { answer } from "../suite/loop.ts";
import { add, check, fill, frameSize } from "./frames.ts";
import { usage } from "./usage.ts";

declare const self: Worker;

const depth = 6;
const [by = "", text = "0", role = "source", poolName = ""] = process.argv.slice(2);
const frames = Number(text);
const nanoseconds = (): number => Bun.nanoseconds();

function spawn(as: string, name: string, ipc?: (message: unknown) => void): Bun.Subprocess {
  const argv = [by, text, as, name];
  return Bun.spawn([process.execPath, import.meta.path, ...argv], {
    stdio: ["ignore", "inherit", "inherit"],
    ...(ipc === undefined ? {} : { serialization: "advanced", ipc }),
  });
}

/** Seconds of the frames alone, and the processes that they went through. */
type Run = { seconds: number; children: Bun.Subprocess[] };

async function byXmem(): Promise<Run> {
  const name = `bench.pipeline.${process.pid}`;
  using pool = BufferPool.create(name, { capacity: depth, bufferSize: frameSize, ephemeral: true });
  using raw = pool.channel("raw");
  using done = pool.channel("done");
  const children = ["stage", "sink"].map((as) => spawn(as, name));
  while (raw.stats().openBy < 2 || done.stats().openBy < 3) await Bun.sleep(1);
  const start = nanoseconds();
  for (let i = 0; i < frames; i++) {
    const frame = await pool.acquireAsync(frameSize);
    fill(frame.bytes, i);
    raw.send(frame);
  }
  raw.close();
  await Promise.all(children.map(({ exited }) => exited));
  return { seconds: (nanoseconds() - start) / 1e9, children };
}

async function stageByXmem(): Promise<void> {
  using pool = BufferPool.open(poolName);
  using done = pool.channel("done");
  using raw = pool.channel("raw");
  for await (const frame of raw) {
    add(frame.bytes, 1);
    done.send(frame);
  }
  done.close();
}

async function sinkByXmem(): Promise<void> {
  using pool = BufferPool.open(poolName);
  using done = pool.channel("done");
  let count = 0;
  for await (using frame of done) check(frame.bytes, ++count);
  if (count !== frames) throw new Error(`${count} frames came`);
}

/** Bun's IPC joins only a parent and its child, so that the frames go through this process twice. */
async function byIpc(): Promise<Run> {
  let credits = depth;
  let goOn: (() => void) | undefined;
  const ready = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
  const sink = spawn("sink", "", (message) => {
    if (message === "ready") ready[0].resolve();
    else {
      credits++;
      goOn?.();
    }
  });
  const stage = spawn("stage", "", (message) => {
    if (message === "ready") ready[1].resolve();
    else sink.send(message);
  });
  await Promise.all(ready.map(({ promise }) => promise));
  const start = nanoseconds();
  const frame = new Uint8Array(frameSize);
  for (let i = 0; i < frames; i++) {
    while (credits === 0) {
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
    }
    credits--;
    fill(frame, i);
    stage.send(frame);
  }
  await sink.exited;
  const seconds = (nanoseconds() - start) / 1e9;
  stage.disconnect();
  await stage.exited;
  return { seconds, children: [stage, sink] };
}

function stageByIpc(): void {
  process.on("message", (frame: Uint8Array) => {
    add(frame, 1);
    process.send?.(frame);
  });
  process.on("disconnect", () => process.exit(0));
  process.send?.("ready");
}

function sinkByIpc(): void {
  let count = 0;
  process.on("message", (frame: Uint8Array) => {
    check(frame, ++count);
    if (count === frames) process.exit(0);
    process.send?.(count);
  });
  process.send?.("ready");
}

/** The stages are Workers, which have the memory of one process. */
async function byTransfer(): Promise<Run> {
  const [stage, sink] = [new Worker(import.meta.path), new Worker(import.meta.path)];
  const { port1, port2 } = new MessageChannel();
  const spare = Array.from({ length: depth }, () => new ArrayBuffer(frameSize));
  let goOn: (() => void) | undefined;
  let ready = 0;
  const finished = Promise.withResolvers<void>();
  const heard = ({ data }: { data: unknown }): void => {
    if (data === "ready") ready++;
    else if (data === "end") finished.resolve();
    else spare.push(data as ArrayBuffer);
    goOn?.();
  };
  const news = (): Promise<void> =>
    new Promise((resolve) => {
      goOn = resolve;
    });
  stage.onmessage = heard;
  sink.onmessage = heard;
  stage.postMessage({ as: "stage", port: port1, frames }, [port1]);
  sink.postMessage({ as: "sink", port: port2, frames }, [port2]);
  while (ready < 2) await news();
  const start = nanoseconds();
  for (let i = 0; i < frames; i++) {
    while (spare.length === 0) await news();
    const buffer = spare.pop() as ArrayBuffer;
    fill(new Uint8Array(buffer), i);
    stage.postMessage(buffer, [buffer]);
  }
  await finished.promise;
  return { seconds: (nanoseconds() - start) / 1e9, children: [] };
}

function serveByTransfer(): void {
  let port: MessagePort;
  let wanted = 0;
  let count = 0;
  self.onmessage = ({ data }) => {
    if (data instanceof ArrayBuffer) {
      add(new Uint8Array(data), 1);
      port.postMessage(data, [data]);
      return;
    }
    port = data.port;
    wanted = data.frames;
    if (data.as === "sink") {
      port.onmessage = (event: { data: ArrayBuffer }) => {
        check(new Uint8Array(event.data), ++count);
        postMessage(event.data, [event.data]);
        if (count === wanted) postMessage("end");
      };
    }
    postMessage("ready");
  };
}

const roles: Record<string, () => void | Promise<void>> = {
  "xmem stage": stageByXmem,
  "xmem sink": sinkByXmem,
  "ipc stage": stageByIpc,
  "ipc sink": sinkByIpc,
};
const sources: Record<string, () => Promise<Run>> = {
  xmem: byXmem,
  ipc: byIpc,
  transfer: byTransfer,
};

if (!Bun.isMainThread) serveByTransfer();
else if (role !== "source") await roles[`${by} ${role}`]?.();
else {
  const source = sources[by];
  if (source === undefined) throw new Error(`no way ${by}`);
  const { seconds, children } = await source();
  answer({ ...usage(seconds, children) });
}
