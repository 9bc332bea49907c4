// Runs before the first test file, and fails the whole run after the last one where it found
// errors.

import { afterAll, expect } from "bun:test";
import { undocumented } from "./check_documented.ts";

afterAll(() => expect(undocumented).toEqual([]));
