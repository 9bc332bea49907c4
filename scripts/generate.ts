// Writes src/constants.gen.ts from the core's layout.

import { run, setup, zigBuild } from "./setup.ts";

setup();
run(zigBuild("build", "generate"));
