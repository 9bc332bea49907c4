// Formats everything and mends what the linter can mend by itself.

import { run, setup, tool, zig } from "./setup.ts";

setup();
run(zig("fmt", "zig"));
run(tool("@biomejs/biome/bin/biome", "check", "--write"));
