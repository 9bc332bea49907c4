// A Worker of the soak: one actor. Its first message is its task.

import { Actor } from "./actor.ts";
import type { FromWorker, ThreadTask, ToWorker } from "./messages.ts";

declare const self: Worker;

let actor: Actor | null = null;
self.onmessage = async ({ data }: MessageEvent<ThreadTask | ToWorker>) => {
  if ("id" in data) {
    actor = new Actor(data, (to, parcel) => {
      postMessage({ what: "send", to, parcel } satisfies FromWorker);
    });
    await actor.run();
    process.exit(0);
  } else if (data.what === "deliver") actor?.deliver(data.parcel);
  else actor?.end();
};
