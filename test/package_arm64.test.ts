// What the check on arm64 makes of the runs of its tests: it must see a failure among those that the
// emulator explains.

import { expect, test } from "bun:test";
import { judged } from "../scripts/arm64.ts";

const refused = `error: 'process.damage_test.test.a list that runs in a circle' failed:
       zig/process/opening.zig:134:36: 0x128b703 in open (test)
           if (!robust_mutex.supported()) return errors.fail(
`;
const mutex = `error: 'system.robust_mutex.test.another thread cannot unlock it' failed:
       zig/system/robust_mutex.zig:229:5: 0x1210de7
`;
const wrong = `error: 'format.words.test.fields do not overlap' failed:
       zig/format/words.zig:29:5: 0x1210de7
`;
const summary = (passed: number, total: number): string =>
  `\nBuild Summary: 2/4 steps succeeded (1 failed); ${passed}/${total} tests passed (x failed)\n`;

test("failures for want of robust lists are excused, others are not", () => {
  expect(judged(refused + mutex + summary(8, 10))).toBe(true);
  expect(judged(refused + wrong + summary(8, 10))).toBe(false);
});

test("a run that ended early, or in which few tests passed, counts as failed", () => {
  expect(judged("")).toBe(false);
  expect(judged(refused + summary(8, 10))).toBe(false);
  expect(judged(refused + mutex + summary(1, 3))).toBe(false);
});
