// What keeps a version from being published is named, each with what to do about it.

import { describe, expect, test } from "bun:test";
import { disagreements, obstacles, type Tree } from "../scripts/readiness.ts";
import { otherBuns } from "../scripts/workflows.ts";

const ready: Tree = {
  version: "1.2.3",
  changelog:
    "# Changelog\n\n## 1.2.3 - 2026-01-31\n\n### Added\n\n- All.\n\n## 1.2.2 - 2026-01-01\n",
  changes: "",
  tag: null,
  head: "abc",
  repository: { type: "git", url: "git+https://example.org/xmem.git" },
};

describe("a version", () => {
  test("that is ready meets no obstacle, also when its tag is already here", () => {
    expect(obstacles(ready)).toEqual([]);
    expect(obstacles({ ...ready, tag: "abc" })).toEqual([]);
  });

  const unreleased = "# Changelog\n\n## Unreleased\n\n### Added\n\n- One.\n- Two,\n  and more.\n\n";
  test.each([
    ["the tree is not clean", { changes: " M README.md\n?? new.ts" }, "2 changed or unknown files"],
    ["it is no clone", { changes: null }, "no clone"],
    ["the tag is elsewhere", { tag: "def" }, "v1.2.3 is another commit"],
    ["something is unreleased", { changelog: unreleased + ready.changelog }, "2 entries"],
    ["the changelog lacks it", { version: "1.2.4" }, 'no section "## 1.2.4 - YYYY-MM-DD"'],
    ["a longer version is no section of it", { version: "1.2" }, "no semantic version"],
    ["its section has no date", { changelog: "## 1.2.3\n\n- All.\n" }, "has no date"],
    ["its section is empty", { changelog: "## 1.2.3 - 2026-01-31\n" }, "says nothing of 1.2.3"],
    ["nobody knows the repository", { repository: undefined }, "no `repository`"],
  ])("cannot be published where %s", (_, change, words) => {
    expect(obstacles({ ...ready, ...change }).join("\n")).toContain(words);
  });

  test("is the same in every package, and in what packages say of each other", () => {
    const names = { "xmem-linux-x64-gnu": "1.2.3", "xmem-darwin-x64": "1.2.2" };
    const made = [
      { file: "xmem-1.2.3.tgz", version: "1.2.3", names },
      { file: "xmem-1.2.3-py3-none-any.whl", version: "1.2.0" },
    ];
    expect(disagreements("1.2.3", made)).toEqual([
      "xmem-1.2.3.tgz names xmem-darwin-x64 1.2.2, and not 1.2.3",
      "xmem-1.2.3-py3-none-any.whl is version 1.2.0, and package.json 1.2.3",
    ]);
  });
});

test("the workflows run the Bun that the tree is tested with", () => {
  expect(otherBuns()).toEqual([]);
});
