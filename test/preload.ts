// Runs before the first test file. What it finds fails the whole run after the last.

import { afterAll, expect } from "bun:test";
import { undocumented } from "./check_documented.ts";

afterAll(() => expect(undocumented).toEqual([]));
