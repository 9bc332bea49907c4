// Looks at each frame, writes into its description what is seen, and sends it on: to all who want to
// see it, and, where a bay has changed, to the evidence stage. Wherever this is killed, the frame comes
// back and is looked at again, with the same result.

import { numberIn, readingOf, remember } from "./detection.ts";
import { describe } from "./lot.ts";
import { frames, memoryOf, events as openEvents, seen as openSeen } from "./stage.ts";

const memory = await memoryOf("detect");
const seen = openSeen({ subscribe: false });
const events = openEvents();
for await (const frame of frames()) {
  const { bytes, meta } = frame;
  const number = meta.sequence;
  if (numberIn(bytes) !== number) throw new Error(`frame ${number} shows ${numberIn(bytes)}`);
  const found = remember(memory, number, frame.deliveries > 1, readingOf(bytes));
  if (found === null) {
    frame.release();
    continue;
  }
  meta.contentType = describe(found);
  await seen.sendAsync(frame.clone());
  // The frame itself is the message that comes back: it ends last.
  if (found.changed === 0) frame.release();
  else await events.sendAsync(frame);
}
