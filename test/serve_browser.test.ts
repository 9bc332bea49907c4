// The page of `xmem serve` in a real browser, beside processes that use the pool.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Browser, chromium as launcher, type Page } from "playwright-core";
import { chromium } from "../scripts/chromium.ts";
import { BufferPool } from "../src/index.ts";
import { xmem } from "./commands.ts";
import { inPoolFolder } from "./folders.ts";
import { programFile } from "./program_files.ts";
import { until } from "./scripts.ts";
import { Pipeline } from "./serve/pipeline.ts";
import { Serving } from "./serve/serving.ts";

const program = chromium();
if (program === null) {
  console.log(
    "the page of xmem serve is not tested in a browser: there is no Chromium here; " +
      "`bun scripts/chromium.ts` installs it, XMEM_CHROMIUM names another, and CI needs it",
  );
}

type Scheme = "light" | "dark";

/** A page in a browser of its own profile; afterwards it must have asked for nothing elsewhere. */
async function onPage(
  browser: Browser,
  serving: Serving,
  hash: string,
  body: (page: Page) => Promise<void>,
  scheme: Scheme = "light",
  expected: RegExp = /^$/,
): Promise<void> {
  const viewport = { width: 1280, height: 800 };
  const context = await browser.newContext({ colorScheme: scheme, viewport });
  const page = await context.newPage();
  const complaints: string[] = [];
  const requests: string[] = [];
  page.on("console", (message) => {
    if (!expected.test(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => void complaints.push(String(error)));
  page.on("request", (request) => void requests.push(request.url()));
  await page.goto(serving.url + hash);
  await body(page);
  expect(requests.length).toBeGreaterThan(3);
  expect(requests.filter((each) => !each.startsWith(serving.url))).toEqual([]);
  expect(complaints).toEqual([]);
  await context.close();
}

/** How many cells there are with that class, and that letter. */
async function cellsOf(page: Page, kind: string, letter: string): Promise<number> {
  return await page.locator(`#map .cell.s-${kind}[data-letter="${letter}"]`).count();
}

async function letterOf(page: Page, participant: string): Promise<string> {
  const row = page.locator("#participants tr", { hasText: participant });
  return (await row.locator(".cell").textContent()) ?? "";
}

const focusedOn = "document.activeElement.id || document.activeElement.textContent";

if (program !== null) {
  let browser: Browser;

  beforeAll(async () => {
    // The sandbox needs rights that root in a container lacks; the page is the test's own.
    const args = ["--no-sandbox", "--disable-dev-shm-usage"];
    browser = await launcher.launch({ executablePath: program, args });
  });

  afterAll(() => browser?.close());

  describe("the page of xmem serve", () => {
    test("shows who holds which slot of a running pipeline, and that a killed one holds none", () =>
      inPoolFolder(async () => {
        await using pipeline = new Pipeline("frames");
        await using serving = await Serving.start();
        await onPage(browser, serving, "#pool=frames", async (page) => {
          await page.locator("#participants tr", { hasText: "encoder-1" }).waitFor();
          const letter = await letterOf(page, "encoder-1");
          expect(letter).toMatch(/^[A-D]$/);
          await until(async () => (await cellsOf(page, "h", letter)) > 4);
          const title = page.locator(`#map .cell.s-h[data-letter="${letter}"]`).first();
          expect(await title.getAttribute("title", { timeout: 5000 })).toMatch(
            /^Slot \d+: held by /,
          );
          await until(async () => (await page.locator("#map .cell.s-q").count()) > 0);
          await until(async () => (await page.locator("#map .cell.s-i").count()) > 0);
          expect(await page.locator("#map .cell").count()).toBe(96);
          expect(await page.locator("#channels tbody tr").count()).toBe(2);
          await until(async () =>
            ((await page.locator("#share path").last().getAttribute("d")) ?? "").includes("L"),
          );
          await until(async () => Number(await page.locator("#rate-now").textContent()) > 1);

          await pipeline.kill("encoder-1");
          // The others find out, and give back what it held.
          await until(async () => (await cellsOf(page, "h", letter)) === 0);
          await until(async () => (await cellsOf(page, "x", letter)) === 0);
          await page
            .locator("#participants tr", { hasText: "encoder-1" })
            .waitFor({ state: "detached" });
          // The pipeline goes on, and the other's slots are still on the map.
          const other = await letterOf(page, "encoder-2");
          expect(other).not.toBe(letter);
          await until(async () => (await cellsOf(page, "h", other)) > 4);
        });
      }));

    test("marks what a dead participant holds, until it is given back", () =>
      inPoolFolder(async () => {
        using _pool = BufferPool.create("idle", { capacity: 12 });
        const victim = programFile(
          `const pool = BufferPool.open("idle", { participantName: "victim" });
          globalThis.held = [1, 2, 3].map((size) => pool.acquire(size));
          say("ready");
          setInterval(() => {}, 1000);`,
        );
        await victim.lineOf("ready");
        await using serving = await Serving.start();
        await onPage(browser, serving, "#pool=idle", async (page) => {
          await until(async () => (await cellsOf(page, "h", "B")) === 3);
          await victim.end();
          await until(async () => (await cellsOf(page, "x", "B")) === 3);
          expect(await page.locator("#map .cell.s-x").first().getAttribute("title")).toMatch(
            /^Slot 0: held by B victim \(\d+\), dead$/,
          );
          await page.locator("#participants td.bad", { hasText: "dead" }).waitFor();
          expect((await xmem("reclaim", "idle")).exitCode).toBe(0);
          await until(async () => (await page.locator("#map .cell.s-\\.").count()) === 12);
        });
      }));

    test("is used by keys alone", () =>
      inPoolFolder(async () => {
        const [first, second] = [3, 100].map((capacity, place) =>
          BufferPool.create(`pool-${place}`, { capacity }),
        );
        const held = [first?.acquire(1), second?.acquire(1000), second?.acquire(2000)];
        if (held[2] !== undefined) held[2].meta.contentType = "text/plain";
        await using serving = await Serving.start();
        await onPage(browser, serving, "", async (page) => {
          const focused = (): Promise<string> => page.evaluate(focusedOn);
          const press = (...keys: string[]): Promise<void> =>
            keys.reduce(
              (before, key) => before.then(() => page.keyboard.press(key)),
              Promise.resolve(),
            );
          await page.locator("#pools a").nth(1).waitFor();
          await press("ArrowDown");
          expect(await focused()).toBe("pool-0");
          await press("ArrowDown", "Enter");
          await page.locator("#map .cell").nth(99).waitFor();
          await until(async () => (await focused()) === "map");
          const at = (): Promise<string | null> =>
            page.locator("#map").getAttribute("aria-activedescendant");
          expect(await at()).toBe("c0");
          await press("ArrowRight");
          expect(await at()).toBe("c1");
          expect(await page.locator("#said").textContent()).toStartWith(
            "Slot 1: held by A unnamed",
          );
          await page.locator("#details", { hasText: "text/plain" }).waitFor();
          expect(await page.locator("#details-title").textContent()).toBe("Slot 1");
          const facts = await page.locator("#details tr").allTextContents();
          expect(facts.slice(0, 3).map((fact) => fact.replace(/[\d.]+ m?s/, "N"))).toEqual([
            "State held",
            `Held byA unnamed (${process.pid})`,
            "Acquired N ago",
          ]);
          expect(facts).toContain("Size 2 KiB");
          await press("ArrowDown");
          const below = Number((await at())?.slice(1));
          expect(below).toBeGreaterThan(5);
          const box = async (id: string) => await page.locator(`#${id}`).boundingBox();
          expect((await box(`c${below}`))?.x).toBe((await box("c1"))?.x);
          await press("ArrowUp", "End");
          expect(await at()).toBe("c99");
          await page.locator("#details", { hasText: "free" }).waitFor();
          await press("p");
          expect(await at()).toBe("c1");
          await press("Enter");
          expect(await focused()).toBe("details");
          await press("Escape");
          expect(await focused()).toBe("map");
          await press("Tab");
          expect(await focused()).toBe("unnamed");
          await press("Enter");
          expect(await page.locator("#map .cell.mine").count()).toBe(2);
          await press("?");
          expect(await page.locator("#help").isVisible()).toBe(true);
          await press("Escape");
          expect(await page.locator("#help").isVisible()).toBe(false);
          await press("Escape");
          await page.locator("#pools").waitFor();
          await until(async () => (await focused()) === "pool-1");
          // Nobody looks at the pool any more, and the way back is the browser's, too.
          await page.goBack();
          await page.locator("#map").waitFor();
        });
        for (const each of held) each?.release();
        for (const each of [first, second]) each?.close();
      }));

    test("shows names as they are, and none of them becomes markup", () =>
      inPoolFolder(async (dir) => {
        const hostile = "<img src=x onerror=hit(1)>";
        writeFileSync(join(dir, `xmem.${hostile}`), "no pool");
        using pool = BufferPool.create("hostile", { capacity: 4, participantName: hostile });
        const channel = pool.channel(hostile);
        using held = pool.acquire(1);
        held.meta.contentType = hostile;
        held.meta.producer = hostile;
        channel.send(pool.acquire(2));
        await using serving = await Serving.start();
        await onPage(browser, serving, "", async (page) => {
          await page.evaluate("globalThis.hit = () => { globalThis.isHit = true; }");
          await page.locator("#pools a", { hasText: hostile }).waitFor();
          const opened = "location.hash = '#pool=hostile'";
          await page.evaluate(opened);
          for (const id of ["participants", "channels", "details"]) {
            await page.locator(`#${id}`, { hasText: hostile }).first().waitFor();
          }
          expect(await page.locator("#map .cell").first().getAttribute("title")).toContain(hostile);
          await page.evaluate(`location.hash = "#pool=" + encodeURIComponent("${hostile}")`);
          await page.locator("#where", { hasText: hostile }).waitFor();
          await page.locator("#banner", { hasText: "INVALID_ARGUMENT" }).waitFor();
          expect(await page.locator("img, script:not([src])").count()).toBe(0);
          expect(await page.evaluate("globalThis.isHit")).toBeUndefined();
        });
      }));

    test("says of an address that names no pool what is wrong with it", () =>
      inPoolFolder(async () => {
        await using serving = await Serving.start();
        for (const hash of ["#pool=%zz", "#pool=%00", "#pool=a%2Fb", "#pool=a+b&c"]) {
          await onPage(browser, serving, hash, async (page) => {
            await page.locator("#banner", { hasText: "INVALID_ARGUMENT: " }).waitFor();
          });
        }
      }));

    test("says that the pool is gone, that another one came, and that the server has ended", () =>
      inPoolFolder(async () => {
        const pool = BufferPool.create("brief", { capacity: 2 });
        await using serving = await Serving.start();
        const body = async (page: Page): Promise<void> => {
          await until(async () => (await page.locator("#map .cell").count()) === 2);
          pool.unlink();
          pool.close();
          await page.locator("#banner", { hasText: "The pool is gone since" }).waitFor();
          using _later = BufferPool.create("brief", { capacity: 5 });
          await until(async () => (await page.locator("#map .cell").count()) === 5);
          expect(await page.locator("#banner").isVisible()).toBe(false);
          await serving.end("SIGINT");
          await page.locator("#live", { hasText: "has ended" }).waitFor();
        };
        // The page tries once more.
        await onPage(browser, serving, "#pool=brief", body, "light", /ERR_CONNECTION_REFUSED/);
      }));

    test("draws a large pool in cells that stand for runs of slots, and says so", () =>
      inPoolFolder(async () => {
        using pool = BufferPool.create("large", { capacity: 100_000, bufferSize: 64 });
        using _held = pool.acquire(1);
        await using serving = await Serving.start();
        await onPage(browser, serving, "#pool=large", async (page) => {
          await page.locator("#map-note", { hasText: "100000 buffers, 25 to a cell" }).waitFor();
          expect(await page.locator("#map .cell").count()).toBe(4000);
          await page.locator("#details", { hasText: "24 of 25" }).waitFor();
        });
      }));

    for (const scheme of ["light", "dark"] as const) {
      test(`can be read where the system is ${scheme}, and on a narrow screen`, () =>
        inPoolFolder(async () => {
          using pool = BufferPool.create("read", { capacity: 40 });
          using _held = pool.acquire(1);
          await using serving = await Serving.start();
          const body = async (page: Page): Promise<void> => {
            await page.locator("#map .cell.s-h").waitFor();
            const colours = await page.evaluate<Record<string, string>>(`(() => {
              const probe = document.body.appendChild(document.createElement("p"));
              const names = ["ground", "card", "ink", "soft", "link", "bad", "warn", "on", "queue", "flight"];
              const hues = Array.from({ length: 8 }, (_, hue) => "h" + hue);
              return Object.fromEntries([...names, ...hues].map((name) => {
                probe.style.color = "var(--" + name + ")";
                return [name, getComputedStyle(probe).color];
              }));
            })()`);
            const of = (one: string, other: string): number =>
              contrast(colours[one] ?? "", colours[other] ?? "");
            expect(of("ink", "card")).toBeGreaterThan(7);
            expect(of("ink", "ground")).toBeGreaterThan(7);
            for (const text of ["soft", "link", "bad", "warn"]) {
              expect(of(text, "card"), `${text}`).toBeGreaterThan(4.5);
            }
            for (let hue = 0; hue < 8; hue++) {
              expect(of("on", `h${hue}`), `${hue}`).toBeGreaterThan(4.5);
            }
            for (const mark of ["queue", "flight"]) {
              expect(of(mark, "card"), `${mark}`).toBeGreaterThan(3);
            }
            const isDark = luminance(colours["ground"] ?? "") < 0.2;
            expect(isDark).toBe(scheme === "dark");
            await page.setViewportSize({ width: 400, height: 800 });
            await until(
              async () => await page.evaluate("document.documentElement.scrollWidth <= 400"),
            );
            await page.locator("#map .cell").nth(39).scrollIntoViewIfNeeded();
          };
          await onPage(browser, serving, "#pool=read", body, scheme);
        }));
    }
  });
}

/** As WCAG defines it, of `rgb(r, g, b)`. */
function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = (colour.match(/\d+/g) ?? []).map((digits) => {
    const share = Number(digits) / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [light = 0, dark = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}
