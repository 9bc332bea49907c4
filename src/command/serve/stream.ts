// A stream of server-sent events, which takes from a feed only what its page has room for.

import type { Viewing } from "./feed.ts";
import { headers } from "./gate.ts";

export function streamed(request: Request, viewing: Viewing): Response {
  request.signal.addEventListener("abort", () => viewing.leave());
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const text = await viewing.next();
        if (text === null) {
          controller.enqueue(encoder.encode("event: end\ndata:\n\n"));
          controller.close();
        } else {
          controller.enqueue(encoder.encode(`data: ${text}\n\n`));
        }
      },
      cancel: () => viewing.leave(),
    },
    // Nothing is taken before the connection asks for it.
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { ...headers, "Content-Type": "text/event-stream" } });
}
