// The generated constants are those of the loaded library.

import { expect, test } from "bun:test";
import * as constants from "../src/generated/constants.gen.ts";
import { native } from "../src/native/native.ts";
import { bytes } from "../src/native/scratch.ts";

test("src/generated/constants.gen.ts says what the library says", () => {
  const scratch = bytes(64);
  const loaded: Record<string, number> = {};
  for (let i = 0; i < native.xmem_bun_constant_count(); i++) {
    const length = native.xmem_bun_constant_name(i, scratch, scratch.length);
    const name = new TextDecoder().decode(scratch.subarray(0, length));
    loaded[name] = native.xmem_bun_constant_value(i);
  }
  expect({ ...constants }).toEqual(loaded as unknown as typeof constants);
});
