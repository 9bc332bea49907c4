// `xmem serve`: a page that shows pools, for browsers of this machine that know its token.

import { randomBytes } from "node:crypto";
import type { LookOptions } from "../../index.ts";
import { exit } from "../failure.ts";
import { lookOf } from "../list.ts";
import { PageServer } from "./server.ts";

export interface ServeOptions extends LookOptions {
  port: number;
  interval: number;
  json?: boolean;
}

const terminated = 128 + 15;

/** Returns the exit code. */
export async function serve(options: ServeOptions): Promise<number> {
  const { port, interval } = options;
  const ended = Promise.withResolvers<number>();
  process.on("SIGINT", () => ended.resolve(exit.ok));
  process.on("SIGTERM", () => ended.resolve(terminated));
  const token = randomBytes(16).toString("hex");
  using server = new PageServer({ port, token, interval, look: lookOf(options) });
  const { url } = server;
  if (options.json === true) console.log(JSON.stringify({ url, port: server.port, token }));
  else console.log(`${url}\nWhoever has this address can look. Ctrl-C ends it.`);
  const exitCode = await ended.promise;
  await Promise.race([server.close(), Bun.sleep(200)]);
  return exitCode;
}
