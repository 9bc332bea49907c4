#!/usr/bin/env bun
// The command's first file. It is JavaScript that every runtime loads, so that one that is not Bun
// can say so.

if (process.versions.bun === undefined) {
  const found = process.versions.deno
    ? `Deno ${process.versions.deno}`
    : `Node ${process.versions.node}`;
  process.stderr.write(
    `xmem: UNSUPPORTED_PLATFORM: this is ${found}, and xmem needs Bun 1.4.5 or later: ` +
      "run it with `bunx xmem`, or `bunx --bun xmem`\n",
  );
  process.exit(7);
}
// In the package it is one file, which scripts/pack.ts makes.
await import("./program.ts");
