// Images as they come: PPM, of type P6. The pixels of an upload go into a buffer as its chunks arrive.

import type { BufferGuard, BufferPool } from "../../src/index.ts";

export class BadImage extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Longer than any sensible header. */
const headerMost = 256;

interface Header {
  width: number;
  height: number;
  /** Where the pixels begin. */
  end: number;
}

/** Null: it goes on. */
function headerOf(bytes: Uint8Array): Header | null {
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, headerMost));
  const found = /^P6\s(?:#[^\n]*\n|\s)*(\d+)\s+(\d+)\s+255\s/.exec(text);
  if (found !== null) {
    return { width: Number(found[1]), height: Number(found[2]), end: found[0].length };
  }
  if (bytes.length >= headerMost || !"P6".startsWith(text.slice(0, 2))) {
    throw new BadImage(415, "the body is no PPM image (P6, 8 bits)");
  }
  return null;
}

/**
 * A buffer of the pool with the image's pixels: rows of red, green and blue. POOL_FULL where there is
 * none.
 */
export async function receiveImage(request: Request, pool: BufferPool): Promise<BufferGuard> {
  let image: BufferGuard | undefined;
  let head: Uint8Array = new Uint8Array();
  let received = 0;
  try {
    for await (const chunk of request.body ?? []) {
      let pixels: Uint8Array = chunk;
      if (image === undefined) {
        head = Buffer.concat([head, chunk]);
        const header = headerOf(head);
        if (header === null) continue;
        image = bufferFor(header, pool);
        pixels = head.subarray(header.end);
      }
      if (received + pixels.length > image.size) break;
      image.bytes.set(pixels, received);
      received += pixels.length;
    }
    if (image === undefined || received !== image.size) {
      throw new BadImage(400, "the image has not as many bytes as it says");
    }
    return image;
  } catch (error) {
    image?.release();
    throw error;
  }
}

function bufferFor({ width, height }: Header, pool: BufferPool): BufferGuard {
  const size = width * height * 3;
  // A worker looks at the neighbours of a pixel, and the answer has to fit.
  if (width < 4 || height < 4) throw new BadImage(400, "the image is smaller than 4 x 4");
  if (size > pool.bufferSize) throw new BadImage(413, `more than ${pool.bufferSize} bytes`);
  const image = pool.acquire(size);
  image.meta.shape = [height, width, 3];
  return image;
}
