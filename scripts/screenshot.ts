// Takes the picture of `xmem serve` that the README shows: a pipeline runs for two minutes, and one of
// its encoders is killed on the way. Like the tests of the page it needs Chromium.

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { chromium as launcher } from "playwright-core";
import { until } from "../test/scripts.ts";
import { Pipeline } from "../test/serve/pipeline.ts";
import { Serving } from "../test/serve/serving.ts";
import { chromium, ensureChromium } from "./chromium.ts";
import { root, run, setup } from "./setup.ts";

setup();
if (!ensureChromium()) process.exit(1);
if (Bun.which("pngquant") === null) run(["apt-get", "install", "--yes", "pngquant"]);
const seconds = Number(process.argv[2] ?? 120);
const dir = mkdtempSync("/dev/shm/xmem-screenshot-");
process.env["XMEM_DIR"] = dir;
try {
  await using pipeline = new Pipeline("frames");
  await using serving = await Serving.start("--interval", "500");
  const browser = await launcher.launch({
    executablePath: chromium() ?? "",
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    await page.goto(`${serving.url}#pool=frames`);
    await page.locator("#participants tr").nth(4).waitFor();
    await Bun.sleep(seconds * 500);
    // The picture shows in its curves what a death costs.
    await pipeline.restart("encoder-2");
    await Bun.sleep(seconds * 500);
    await page.keyboard.press("Home");
    // A moment at which there is something of everything.
    const count = (kind: string): Promise<number> => page.locator(`#map .s-${kind}`).count();
    await until(async () => (await count("q")) > 14 && (await count("h")) > 9);
    const encoder = page.locator("#participants tr", { hasText: "encoder-1" });
    const letter = await encoder.locator(".cell").textContent();
    await page.locator(`#map .cell.s-h[data-letter="${letter}"]`).first().click({ force: true });
    await page.locator("#details tr").nth(4).waitFor();
    const taken = async (name: string): Promise<void> => {
      await page.screenshot({ path: name, animations: "disabled" });
    };
    const picture = join(root, "docs", "serve.png");
    await taken(picture);
    run(["pngquant", "--force", "--strip", "--output", picture, "64", picture]);
    // Not part of the documents: what else should be looked at before they change.
    for (const [name, colorScheme, width] of [
      ["dark", "dark", 1280],
      ["narrow", "light", 400],
    ] as const) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 800 });
      await Bun.sleep(1000);
      await taken(join(root, "build", `serve-${name}.png`));
    }
  } finally {
    await browser.close();
  }
} finally {
  rmSync(dir, { recursive: true });
}
