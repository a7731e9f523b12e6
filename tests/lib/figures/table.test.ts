import { table as arquero, op } from "arquero";
import { describe, expect, test } from "vitest";
import { table } from "../../../lib/figures/index.js";

/** What a table says below its rows. */
const caption = (html: string): string =>
  (/<div class="tweedie-rows"[^>]*>(.*?)<\/div>/.exec(html)?.[1] ?? "").replace(/<[^>]+>/g, "");

/** The columns of the rows behind the first page, as they travel. */
const later = (html: string): unknown[][] => JSON.parse(/"later":(\[\[.*?\]\]),"of"/.exec(html)![1]!);

const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

describe("a table", () => {
  test("of one page has no pager, and one row nothing to sort", () => {
    const page = table({ n: count(25) }).html;
    expect(page.match(/<tr>/g)).toHaveLength(26);
    expect(page).not.toContain('<div class="tweedie-rows"');
    expect(later(page)).toEqual([[]]);
    expect(table({ n: [1] }).html).not.toContain("<script");
  });

  test("of more rows shows the first 25, and keeps the others as columns of what they show", () => {
    const third = Array.from({ length: 27 }, (_, i) => -i / 3);
    const { html } = table({ third, n: third.map((_, i) => 1000 * i), s: third.map(() => "7") });
    expect(html.match(/<tr>/g)).toHaveLength(26);
    expect(caption(html)).toBe("rows 1–25 of 27");
    // −25/3 and −26/3 to three digits; thousands stand apart; a text of digits stays a text.
    expect(later(html)).toEqual([
      [-8.33, -8.67],
      ["25\u202f000", "26\u202f000"],
      ["7", "7"],
    ]);
    expect(html).not.toContain("8.333");
  });

  test("knows what is missing, infinite, tiny and too long for a number in later rows", () => {
    const cells = [...Array<number>(25).fill(0), 1e-7, -2.5e-5, Number.NaN, Number.POSITIVE_INFINITY, null, 2n ** 64n];
    expect(later(table({ cells }).html)).toEqual([[1e-7, "−2.5e−5", "–", "∞", "–", "18446744073709551616"]]);
  });

  test("of very many rows takes less than 200 kB, and says how many it has and how to see the others", () => {
    const rows = 20_000;
    const wide = Object.fromEntries(
      ["a", "b", "c", "d", "e", "f"].map((name, c) => [name, Float64Array.from(count(rows), (i) => Math.sin(i * (c + 1)))]),
    );
    const { html } = table(wide, { digits: 5 });
    const kept = 25 + later(html)[0]!.length;
    expect(Buffer.byteLength(html)).toBeGreaterThan(190_000);
    expect(Buffer.byteLength(html)).toBeLessThan(200_000);
    expect(caption(html)).toBe(`rows 1–25 of the first ${kept} of 20\u202f000; table.slice(${kept}) shows others`);

    const { html: narrow } = table({ n: Uint8Array.from(count(rows), (i) => i % 10) });
    expect(caption(narrow)).toBe("rows 1–25 of the first 5000 of 20\u202f000; table.slice(5000) shows others");
    expect(later(narrow)[0]).toHaveLength(4975);

    // Texts as long as a page, in characters of several bytes that take escapes.
    const { html: long } = table({ s: count(100).map(() => "<→>".repeat(2000)) });
    expect(caption(long)).toMatch(/^rows 1–25 of 100; table.slice\(25\) shows others$/);
  });

  test("that was limited says so without advice", () => {
    expect(caption(table({ n: count(300) }, { limit: 10 }).html)).toBe("rows 1–10 of 300");
    expect(caption(table({ n: count(300) }, { limit: 100 }).html)).toBe("rows 1–25 of the first 100 of 300");
    expect(caption(table({ n: count(300) }, { limit: 9000 }).html)).toBe("rows 1–25 of 300");
  });

  test("is the same HTML each time, and another table another", () => {
    const [one, again, other] = [30, 30, 31].map((n) => /data-table="(\w+)"/.exec(table({ n: count(n) }).html)![1]);
    expect(one).toBe(again);
    expect(one).not.toBe(other);
  });

  test("is told to a terminal by 50 rows or `limit`", () => {
    const n = count(300);
    expect(table({ n }).text.split("\n").slice(-2)).toEqual([" 49", "(50 of 300 rows)"].map((line) => line.trim()));
    expect(table({ n }, { limit: 120 }).text).toMatch(/\n119\n\(120 of 300 rows\)$/);
    expect(table({ n }, { textRows: 2 }).text).toBe("n\n─\n0\n1\n(2 of 300 rows)");
  });

  test("of arquero goes by its own order, filters and names", () => {
    const rows = arquero({ n: count(60), s: count(60).map(String) }).filter((d: { n: number }) => op.abs(d.n) >= 20);
    const { html } = table(rows.select("s", "n"));
    expect(caption(html)).toBe("rows 1–25 of 40");
    expect(later(html)[1]!.slice(0, 2)).toEqual([45, 46]);
  });
});
