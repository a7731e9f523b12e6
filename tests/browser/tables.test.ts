import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Locator } from "playwright-core";
import { describe, expect, test } from "vitest";
import { type Cell, table } from "../../lib/figures/index.js";
import { temporaryFolder } from "../temporary-folder.js";
import { BROWSER_TIMEOUT_MS, CHROMIUM, openFile, sharedBrowser } from "./chromium.js";
import { ATTACKS } from "./injection-corpus.js";

describe.skipIf(CHROMIUM === undefined)("tables in a browser", { timeout: BROWSER_TIMEOUT_MS }, () => {
  const browser = sharedBrowser();
  const folder = temporaryFolder();
  let pages = 0;

  async function opened(...tables: readonly Record<string, readonly Cell[]>[]) {
    const path = join(folder, `${pages++}.html`);
    const html = tables.map((columns) => table(columns).html).join("");
    writeFileSync(path, `<!doctype html><meta charset="utf-8"><style>:root{color-scheme:light dark}</style>${html}`);
    const { page, trouble } = await openFile(browser(), path);
    return { page, trouble, all: tables.map((_, i) => page.locator("[data-table]").nth(i)) };
  }

  const column = (of: Locator, c = 0): Promise<string[]> =>
    of.locator(`tbody td:nth-child(${c + 1})`).evaluateAll((cells) => cells.map((cell) => cell.textContent!));
  const status = (of: Locator): Promise<string> => of.getByRole("status").innerText();
  const press = (of: Locator, name: string): Promise<void> => of.getByRole("button", { name, exact: true }).click();

  test("turn their pages, each its own", async () => {
    const n = Array.from({ length: 60 }, (_, i) => i);
    const { page, trouble, all } = await opened({ n, third: n.map((i) => -i / 3) }, { n }, { n });
    const [one, two, three] = all as [Locator, Locator, Locator];
    await press(one, "next page");
    expect(await column(one)).toEqual(n.slice(25, 50).map(String));
    expect((await column(one, 1)).slice(0, 3)).toEqual(["−8.33", "−8.67", "−9"]);
    expect(await status(one)).toBe("rows 26–50 of 60");
    await press(one, "last page");
    expect(await column(one)).toEqual(n.slice(50).map(String));
    expect(await status(one)).toBe("rows 51–60 of 60");
    await press(one, "previous page");
    expect(await status(one)).toBe("rows 26–50 of 60");
    // Two that are equal are still two.
    await press(three, "last page");
    expect([await status(two), await status(three)]).toEqual(["rows 1–25 of 60", "rows 51–60 of 60"]);
    await press(one, "first page");
    expect(await column(one)).toEqual(n.slice(0, 25).map(String));
    expect(trouble).toEqual([]);
    await page.close();
  });

  test("do not move under the pointer: the last page is as high and as wide as the first", async () => {
    const { page, all } = await opened({ n: Array.from({ length: 26 }, (_, i) => (i < 25 ? 123456.7 : 1)) });
    const next = all[0]!.getByRole("button", { name: "next page" });
    const before = await next.boundingBox();
    await next.click();
    expect(await column(all[0]!)).toEqual(["1"]);
    expect(await next.boundingBox()).toEqual(before);
    await page.close();
  });

  test("are worked by keys alone, which the notebook does not hear, and the focus stays", async () => {
    const { page, all } = await opened({ n: Array.from({ length: 60 }, (_, i) => i) });
    await page.evaluate("globalThis.heard = 0; document.addEventListener('keydown', (e) => { if (e.key !== 'Tab') heard++; })");
    const focused = (): Promise<string> =>
      page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.textContent");
    const order: string[] = [];
    for (let i = 0; i < 5; i++) {
      await page.keyboard.press("Tab");
      order.push(await focused());
    }
    expect(order).toEqual(["n", "first page", "previous page", "next page", "last page"]);
    const outline = "getComputedStyle(document.activeElement).outlineStyle";
    expect(await page.evaluate(outline)).toBe("solid");
    await page.keyboard.press("Enter");
    expect(await status(all[0]!)).toBe("rows 51–60 of 60");
    // At the end already.
    await page.keyboard.press("Space");
    expect(await status(all[0]!)).toBe("rows 51–60 of 60");
    expect(await focused()).toBe("last page");
    const ends = await all[0]!.locator("[aria-label]").evaluateAll((b) => b.map((one) => one.ariaDisabled));
    expect(ends).toEqual(["false", "false", "true", "true"]);
    expect(await page.evaluate("heard")).toBe(0);
    await page.close();
  });

  test("are sorted by a column: numbers as numbers, what is missing last, rows whole, and back", async () => {
    const values: Cell[] = [
      10,
      9,
      null,
      -1e-7,
      12_345,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
      2n ** 70n,
      2n ** 70n - 1n,
      0.5,
      0.25,
    ];
    const names = ["b", "step 10", "step 9", "é", "a", "–", "B", "x", "y", "z", ""];
    const { page, trouble, all } = await opened({ v: values, name: names, i: values.map((_, i) => i) });
    const [shown] = all as [Locator];
    const head = shown.getByRole("columnheader").first();
    expect(await head.getAttribute("aria-sort")).toBe(null);
    await press(shown, "v");
    expect(await head.getAttribute("aria-sort")).toBe("ascending");
    expect(await column(shown, 2)).toEqual(["5", "3", "10", "9", "1", "0", "4", "8", "7", "2", "6"]);
    expect((await column(shown, 0)).slice(0, 2)).toEqual(["−∞", "−1e−7"]);
    await press(shown, "v");
    expect(await head.getAttribute("aria-sort")).toBe("descending");
    expect(await column(shown, 2)).toEqual(["7", "8", "4", "0", "1", "9", "10", "3", "5", "2", "6"]);
    await press(shown, "name");
    expect(await head.getAttribute("aria-sort")).toBe(null);
    expect(await column(shown, 1)).toEqual(["", "a", "b", "B", "é", "step 9", "step 10", "x", "y", "z", "–"]);
    await press(shown, "name");
    await press(shown, "name");
    expect(await column(shown, 2)).toEqual(values.map((_, i) => String(i)));
    expect(trouble).toEqual([]);
    await page.close();
  });

  test("are sorted as a whole, from their first page on; equal rows keep their order", async () => {
    const { page, all } = await opened({
      n: Array.from({ length: 1000 }, (_, i) => 12 * (999 - i)),
      even: Array.from({ length: 1000 }, (_, i) => i % 2 === 0),
    });
    const [shown] = all as [Locator];
    await press(shown, "last page");
    await press(shown, "n");
    expect(await status(shown)).toBe("rows 1–25 of 1000");
    expect((await column(shown)).slice(0, 3)).toEqual(["0", "12", "24"]);
    await press(shown, "next page");
    expect((await column(shown))[0]).toBe("300");
    await press(shown, "even");
    expect((await column(shown)).slice(0, 2)).toEqual(["11\u202f976", "11\u202f952"]);
    await page.close();
  });

  test("show texts as texts, on every page and in every order", async () => {
    const rows = ATTACKS.length;
    const { page, trouble, all } = await opened(
      { [ATTACKS.join(" ")]: ATTACKS, text: [...ATTACKS].reverse() },
      Object.fromEntries(ATTACKS.map((text, i) => [text, [i, 1, text]])),
    );
    const [long, wide] = all as [Locator, Locator];
    // As a page keeps them: it drops zeros and writes ends of lines its own way.
    const kept = (text: string): string => text.replace(/\r\n?/g, "\n").replaceAll("\0", "");
    const seen: string[] = [];
    for (const head of [0, 0, 1]) {
      await long.locator("th button").nth(head).click();
      for (let from = 0; from < rows; from += 25) {
        seen.push(...(await column(long)));
        if (from + 25 < rows) await press(long, "next page");
      }
      expect(seen.splice(0).map(kept).sort()).toEqual(ATTACKS.map(kept).sort());
    }
    for (const button of await wide.locator("th button").all()) await button.evaluate((b: { click(): void }) => b.click());
    expect(await page.evaluate("typeof attacked")).toBe("undefined");
    const elements = await page.evaluate(
      "[...new Set([...document.body.querySelectorAll('*')].map((e) => e.tagName))].sort().join()",
    );
    expect(elements).toBe("BUTTON,DIV,SCRIPT,SPAN,STYLE,TABLE,TBODY,TD,TH,THEAD,TR");
    expect(trouble).toEqual([]);
    await page.close();
  });

  test("without scripts show the first page, how many rows there are, and no button", async () => {
    const path = join(folder, "still.html");
    writeFileSync(path, `<!doctype html><meta charset="utf-8">${table({ n: Array.from({ length: 60 }, (_, i) => i) }).html}`);
    const page = await browser().newPage({ javaScriptEnabled: false });
    await page.goto(`file://${path}`);
    expect(await page.getByRole("row").count()).toBe(26);
    expect(await page.getByText("rows 1–25 of 60").isVisible()).toBe(true);
    expect(await page.getByRole("button").count()).toBe(0);
    await page.close();
  });
});
