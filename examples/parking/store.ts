// Where evidence goes: a bucket of any S3, or a folder where the environment names no bucket. The key
// of an event is made of the event alone, so that one that is stored twice is stored once.

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { S3Client } from "bun";
import type { Change } from "./scene.ts";

export interface Store {
  /** For people. */
  readonly name: string;
  put(key: string, type: string, content: Uint8Array | string): Promise<void>;
  keys(): Promise<string[]>;
  text(key: string): Promise<string>;
}

/** Without its ending: the picture and the description of an event have the same. */
export function keyOf({ bay, kind, frame }: Change): string {
  return `events/${String(frame).padStart(6, "0")}-bay-${String(bay).padStart(2, "0")}-${kind}`;
}

export function storeOf({ S3_BUCKET, OUT }: NodeJS.ProcessEnv): Store {
  return S3_BUCKET === undefined
    ? folderStore(join(OUT ?? "", "evidence"))
    : bucketStore(S3_BUCKET);
}

/** Bun's own client, which reads S3_ENDPOINT and the credentials from the environment. */
function bucketStore(bucket: string): Store {
  const client = new S3Client({ bucket });
  return {
    name: `the bucket ${bucket} at ${process.env["S3_ENDPOINT"] ?? "AWS"}`,
    put: async (key, type, content) => void (await client.write(key, content, { type })),
    async keys() {
      const found: string[] = [];
      let startAfter = "";
      while (true) {
        const page = await client.list({ prefix: "events/", startAfter });
        found.push(...(page.contents ?? []).map(({ key }) => key));
        if (page.isTruncated !== true) return found;
        startAfter = found.at(-1) ?? "";
      }
    },
    text: (key) => client.file(key).text(),
  };
}

function folderStore(folder: string): Store {
  return {
    name: `the folder ${folder}`,
    async put(key, _, content) {
      const path = join(folder, key);
      mkdirSync(dirname(path), { recursive: true });
      // Under another name first, so that a kill leaves no half of it.
      writeFileSync(`${path}.part`, content);
      renameSync(`${path}.part`, path);
    },
    async keys() {
      const events = join(folder, "events");
      const names = existsSync(events) ? readdirSync(events) : [];
      return names.filter((name) => !name.endsWith(".part")).map((name) => `events/${name}`);
    },
    text: async (key) => readFileSync(join(folder, key), "utf8"),
  };
}
