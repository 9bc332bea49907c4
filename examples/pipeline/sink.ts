// Puts the hashes in the order of their blocks, and hashes them into one.

import { hashes } from "./stage.ts";

const found: Uint8Array[] = [];
for await (using hash of hashes) found[hash.meta.sequence] = hash.bytes.slice();
const root = new Bun.CryptoHasher("sha256");
for (const hash of found) root.update(hash);
console.log(`${root.digest("hex")}  ${found.length} blocks`);
