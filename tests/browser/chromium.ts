import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll } from "vitest";

/** Chromium on this machine, if any. */
export const CHROMIUM: string | undefined = [
  process.env.CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
].find((path) => path !== undefined && existsSync(path));

if (CHROMIUM === undefined) console.warn("nothing is opened in a browser: no Chromium found; set CHROMIUM to its path");

const FLAGS =
  "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";

/** Seconds on a quiet machine; the rest is for one that is busy. */
export const BROWSER_TIMEOUT_MS = 600_000;

/** One browser for the tests around the call, closed after them. */
export function sharedBrowser(): () => Browser {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: FLAGS.split(" "), timeout: BROWSER_TIMEOUT_MS });
  }, BROWSER_TIMEOUT_MS);
  afterAll(() => browser?.close(), BROWSER_TIMEOUT_MS);
  return () => browser;
}

/** Opens an HTML file and waits until every figure in it is drawn.
 * @returns the page, and `trouble`: what must not happen, as it happens (console messages, errors, dialogs, requests) */
export async function openFile(browser: Browser, path: string): Promise<{ page: Page; trouble: string[] }> {
  const page = await browser.newPage({ viewport: { width: 880, height: 1000 } });
  page.setDefaultTimeout(BROWSER_TIMEOUT_MS);
  const trouble: string[] = [];
  page.on("console", (m) => trouble.push(`console ${m.type()}: ${m.text()}`));
  page.on("pageerror", (e) => trouble.push(`error: ${e.message}`));
  page.on("dialog", (d) => {
    trouble.push(`dialog: ${d.message()}`);
    void d.dismiss();
  });
  page.on("request", (r) => {
    if (/^(data|blob):/.test(r.url()) || r.url() === pathToFileURL(path).href) return;
    trouble.push(`request: ${r.url()}`);
  });
  await page.goto(pathToFileURL(path).href);
  await page
    .locator("[id^=tweedie-figure]:not([data-drawn=yes]), .figure:not(:has(.main-svg))")
    .first()
    .waitFor({ state: "detached" });
  return { page, trouble };
}
