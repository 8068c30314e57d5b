// Looks at reports and at the page of a history in a real browser: `node ci/look.mjs PAGE.html… [--shots DIR]`.
//
// Needs Debian's chromium, and playwright-core and axe-core from npm in a folder that NODE_PATH names. Checks, on a telephone
// and on a desk, light and dark: no violation that axe-core knows, nothing loaded from anywhere, no error, no sideways
// scrolling of the page; without JavaScript the matrix, the causes and the details are there; with it filter and keys work.
import { createRequire } from "node:module";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const args = process.argv.slice(2);
const at = args.indexOf("--shots");
const shots = at >= 0 ? args.splice(at, 2)[1] : null;
const browsers = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = browsers.find((path) => existsSync(path));
if (!executablePath || args.length === 0) {
  console.error("usage: node ci/look.mjs REPORT.html… [--shots DIR]; chromium must be installed");
  process.exit(2);
}
if (shots) mkdirSync(shots, { recursive: true });

let wrong = 0;
const check = (good, words) => {
  if (!good) wrong += 1;
  console.log(`${good ? "ok  " : "BAD "} ${words}`);
};

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
for (const file of args) {
  const url = pathToFileURL(resolve(file)).href;
  const name = `${basename(dirname(resolve(file)))}-${basename(file, ".html")}`;
  for (const [size, viewport] of [["phone", { width: 390, height: 844 }], ["desk", { width: 1280, height: 900 }]]) {
    for (const colorScheme of ["light", "dark"]) {
      for (const javaScriptEnabled of [true, false]) {
        const label = `${name} ${size} ${colorScheme} ${javaScriptEnabled ? "with" : "without"} script`;
        const context = await browser.newContext({ viewport, colorScheme, javaScriptEnabled, reducedMotion: "reduce" });
        const page = await context.newPage();
        const troubles = [];
        const requests = [];
        page.on("console", (m) => m.type() === "error" && troubles.push(m.text()));
        page.on("pageerror", (e) => troubles.push(String(e)));
        page.on("request", (r) => r.url() !== url && requests.push(r.url()));
        await page.goto(url);
        if (shots) await page.screenshot({ path: `${shots}/${label.replaceAll(" ", "-")}.png`, fullPage: size === "phone" ? false : false });
        check(requests.length === 0, `${label}: loads nothing else ${requests.join(" ")}`);
        const isHistory = (await page.title()) === "gsh history";
        if (isHistory) {
          check((await page.locator("main h2").count()) === 4, `${label}: what needs attention, runs, pairs and subjects are there`);
          check((await page.locator("main table tbody tr").count()) > 0, `${label}: something stands in them`);
        } else {
          check((await page.locator("table.grid tbody tr").count()) > 0, `${label}: the matrix is there`);
          check(await page.locator("#causes").isVisible(), `${label}: the causes are there`);
        }
        // One table of two axes is seen at a time, chosen by style alone.
        const radios = await page.locator(".heat input[name=r]").count();
        if (radios > 1) {
          check((await page.locator(".heat .x:visible").count()) === 1, `${label}: one table of two axes is seen`);
          const before = await page.locator(".heat .x:visible caption").textContent();
          await page.locator(".heat input[name=r]").nth(radios - 1).check();
          const after = await page.locator(".heat .x:visible").first().textContent();
          check(!after.startsWith(before), `${label}: another axis can be chosen`);
        }
        // A link from the matrix leads to details that are open.
        const link = page.locator("table.grid td.f a, table.grid td.u a").first();
        if (await link.count()) {
          const target = (await link.getAttribute("href")).slice(1);
          await link.click();
          check(await page.locator(`[id="${target}"]`).isVisible(), `${label}: a link from the matrix leads to open details`);
        }
        if (javaScriptEnabled) {
          const sideways = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
          check(sideways <= 0, `${label}: the page does not scroll sideways (${sideways})`);
          await page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })");
          await page.evaluate(axe);
          const { violations } = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })");
          check(violations.length === 0, `${label}: axe-core ${violations.map((v) => `${v.id} (${v.nodes.length}: ${v.nodes[0].html.slice(0, 120)})`).join(", ") || "finds nothing"}`);
          if (isHistory) {
            check(troubles.length === 0, `${label}: no errors ${troubles.slice(0, 2).join(" | ")}`);
            await context.close();
            continue;
          }
          await page.reload();
          const all = await page.locator("article.cell:visible").count();
          await page.keyboard.press("/");
          await page.keyboard.type("status:nothing-has-this");
          check((await page.locator("article.cell:visible").count()) === 0 && all > 0, `${label}: the filter filters`);
          check(page.url().includes("#?"), `${label}: the filter stands in the address`);
          await page.keyboard.press("Escape");
          check((await page.locator("article.cell:visible").count()) === all, `${label}: Esc takes the filter away`);
          await page.keyboard.press("Escape");
          if (await page.locator("article.cause").count()) {
            await page.keyboard.press("j");
            check(await page.evaluate("document.activeElement.closest('article.cause, details.subject') !== null"), `${label}: j goes to the first trouble`);
          }
        }
        check(troubles.length === 0, `${label}: no errors ${troubles.slice(0, 2).join(" | ")}`);
        await context.close();
      }
    }
  }
}
await browser.close();
console.log(wrong === 0 ? "all good" : `${wrong} things are wrong`);
process.exit(wrong === 0 ? 0 : 1);
