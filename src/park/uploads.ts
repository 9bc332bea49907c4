// Uploads in parts that nobody will end, since whoever began them died. S3 keeps their parts, and Bun's
// client has no call that finds them.

import { AwsClient } from "aws4fetch";

/** A bucket, and the login for it. */
export interface Login {
  bucket: string;
  endpoint: string | undefined;
  region: string | undefined;
  accessKeyId: string | undefined;
  secretAccessKey: string | undefined;
  sessionToken: string | undefined;
}

export interface Upload {
  key: string;
  id: string;
  /** In milliseconds since 1970. */
  initiated: number;
}

export class Uploads {
  readonly #client: AwsClient;
  readonly #url: string;
  readonly #timeout: number;

  constructor(login: Login, timeout: number) {
    const { accessKeyId = "", secretAccessKey = "", sessionToken, region = "us-east-1" } = login;
    this.#client = new AwsClient({
      accessKeyId,
      secretAccessKey,
      ...(sessionToken !== undefined && { sessionToken }),
      service: "s3",
      region,
      retries: 0,
    });
    const endpoint = login.endpoint ?? `https://s3.${region}.amazonaws.com`;
    this.#url = `${endpoint.replace(/\/$/, "")}/${login.bucket}`;
    this.#timeout = timeout;
  }

  /** Those of keys that begin so. */
  async list(prefix: string): Promise<Upload[]> {
    const found: Upload[] = [];
    for (let marker = ""; ; ) {
      const query = new URLSearchParams({ uploads: "", prefix });
      if (marker !== "") query.set("key-marker", marker);
      const text = await (await this.#fetch(`${this.#url}?${query}`, "GET")).text();
      for (const [, upload = ""] of text.matchAll(/<Upload>([\s\S]*?)<\/Upload>/g)) {
        const key = field(upload, "Key");
        const initiated = Date.parse(field(upload, "Initiated"));
        found.push({ key, id: field(upload, "UploadId"), initiated });
      }
      const next = field(text, "NextKeyMarker");
      if (field(text, "IsTruncated") !== "true" || next === "" || next === marker) return found;
      marker = next;
    }
  }

  async abort({ key, id }: Upload): Promise<void> {
    const path = key.split("/").map(encodeURIComponent).join("/");
    const query = new URLSearchParams({ uploadId: id });
    await this.#fetch(`${this.#url}/${path}?${query}`, "DELETE");
  }

  async #fetch(url: string, method: string): Promise<Response> {
    const signal = AbortSignal.timeout(this.#timeout);
    const response = await this.#client.fetch(url, { method, signal });
    // It may have ended meanwhile.
    if (response.ok || (method === "DELETE" && response.status === 404)) return response;
    const code = field(await response.text(), "Code") || `status ${response.status}`;
    throw Object.assign(new Error(`the server said ${code}`), { code });
  }
}

function field(xml: string, name: string): string {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1] ?? "";
  const entities: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replace(/&(lt|gt|quot|apos|amp);/g, (_, entity: string) => entities[entity] ?? "");
}
