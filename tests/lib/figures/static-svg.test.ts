import { describe, expect, test } from "vitest";
import { barsWithIntervals, Figure, imageGrid, stillOf } from "../../../lib/figures/index.js";
import { axisRange, linearTicks, logTicks, placeAxis } from "../../../lib/figures/static-axes.js";
import { decodePng, Rng } from "../../../lib/tensor/index.js";
import { exampleFigures } from "./example-figures.js";

describe("ticks", () => {
  test("stand at 1, 2 or 5 times a power of ten", () => {
    expect(linearTicks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1].map((v) => expect.closeTo(v, 12)));
    expect(linearTicks(-7, 12, 4)).toEqual([-5, 0, 5, 10]);
  });

  test("of a short logarithmic axis have 2 and 5 between the decades, of a long one not", () => {
    expect(logTicks(-1, 1)).toEqual([0.1, 0.2, 0.5, 1, 2, 5, 10].map((v) => expect.closeTo(v, 12)));
    expect(logTicks(0, 3)).toEqual([1, 10, 100, 1000]);
  });
});

describe("axes", () => {
  test("a bar's axis starts at its base, the other holds the whole bars", () => {
    const bars = { type: "bar", x: [0, 1], y: [3, 5], width: 1 };
    expect(axisRange({}, [bars], "y")).toEqual([0, 5.25]);
    expect(axisRange({}, [bars], "x")).toEqual([-0.6, 1.6]);
  });

  test("a reversed axis runs downward, a logarithmic one in decades", () => {
    const line = { type: "scatter", mode: "lines", x: [1, 100], y: [1, 2] };
    expect(axisRange({ type: "log" }, [line], "x")).toEqual([0, 2]);
    expect(axisRange({ autorange: "reversed" }, [line], "x")).toEqual([100, 1]);
    expect(placeAxis({ type: "log" }, [0, 2], 100, 300).at(10)).toBe(200);
  });
});

describe("the still picture", () => {
  for (const [name, figure] of Object.entries(exampleFigures(80))) {
    if (!(figure instanceof Figure)) continue;
    test(`of ${name} is whole: every number finite, every tag closed`, () => {
      const svg = figure.toSvg();
      expect(svg).not.toMatch(/NaN|Infinity|undefined/);
      const open: string[] = [];
      for (const [, close, tag, self] of svg.matchAll(/<(\/?)([a-z]+)(?:[^<>"]|"[^"]*")*?(\/?)>/g)) {
        if (self === "/") continue;
        if (close === "/") expect(open.pop()).toBe(tag);
        else open.push(tag!);
      }
      expect(open).toEqual([]);
    });
  }

  test("shows markup in names as text", () => {
    const [, figure] = Object.entries(exampleFigures(8)).find(([name]) => name === "lossCurve")!;
    const { data, layout } = figure as Figure;
    const named = new Figure({ data: data.map((t) => ({ ...t, name: "&lt;script&gt;" })), layout, summary: "<b>" });
    expect(named.toSvg()).toContain("&lt;script&gt;");
    expect(named.toSvg()).toContain("<title>&lt;b&gt;</title>");
    expect(named.toSvg()).not.toContain("<script");
  });
});

test("a picture of more pixels than its place is made smaller, and is whole in the HTML where it is too long to stand beside it", () => {
  const pixels = Uint8Array.from(new Rng(1).normals(3 * 256 ** 2), (z) => 128 + 40 * z);
  const figure = imageGrid(Array(8).fill({ pixels, width: 256, height: 256, channels: 3 }), { columns: 8 });
  const bundle = figure.mimeBundle() as Record<string, string>;
  const svg = stillOf(bundle["text/html"]!)!;
  expect(svg).toBe(figure.toSvg());
  const sizes = [...svg.matchAll(/href="data:image\/png;base64,([^"]+)" x="[\d.]+" y="[\d.]+" width="([\d.]+)"/g)];
  expect(sizes).toHaveLength(8);
  for (const [, png, drawn] of sizes) expect(decodePng(Buffer.from(png!, "base64")).width).toBeCloseTo(2 * Number(drawn), -0.5);
  expect("image/svg+xml" in bundle).toBe(false);
});

test("a bar begins at its axis where that begins above the bar's base", () => {
  const values = [1, 0.9, 0.2].map((mean) => ({ mean, low: mean, high: mean }));
  const figure = barsWithIntervals(["a", "b", "c"], [{ name: "bars", values }], { title: "Bars", range: [0.5, 1] });
  const bars = [...figure.toSvg().matchAll(/<rect x="([\d.]+)" [^>]*?width="([\d.]+)" [^>]*opacity="0/g)];
  const [whole, most, none] = bars.map(([, x, width]) => ({ x: Number(x), width: Number(width) }));
  expect([most!.x, none!.x]).toEqual([whole!.x, whole!.x]);
  expect(most!.width / whole!.width).toBeCloseTo(0.8, 2);
  expect(none!.width).toBe(0);
});

test("a caption of several lines ends above its picture", () => {
  const picture = { width: 4, height: 4, channels: 3, pixels: new Uint8Array(48) } as const;
  const words = "a caption that goes on for more than one line of this narrow column";
  const svg = imageGrid(
    Array.from({ length: 6 }, () => picture),
    { titles: [words, "b", "c", "d", "e", "f"] },
  ).toSvg();
  const top = Number(/<image [^>]*y="([\d.]+)"/.exec(svg)![1]);
  const lines = [...svg.matchAll(/<text x="[\d.]+" y="([\d.]+)"[^>]*font-size="11"/g)].map((match) => Number(match[1]));
  expect(lines.length).toBeGreaterThan(6);
  expect(Math.max(...lines)).toBe(top - 4);
});
