import { table as arquero } from "arquero";
import { describe, expect, test } from "vitest";
import { arrayFacts, audio, type MimeBundle } from "../../../lib/figures/index.js";
import { bundleOf } from "../../../lib/notebook/index.js";
import { decodePng, float32, int64, Tensor, zeros } from "../../../lib/tensor/index.js";

const shown = async (value: unknown): Promise<{ text: string; html: string }> => {
  const bundle: MimeBundle = await bundleOf(value);
  return { text: String(bundle["text/plain"]), html: String(bundle["text/html"] ?? "") };
};

/** The pictures in a piece of HTML, decoded. */
const pictures = (html: string) =>
  [...html.matchAll(/data:image\/png;base64,([^"]+)/g)].map(([, data]) => decodePng(Buffer.from(data!, "base64")));

describe("tensors and typed arrays", () => {
  test("are summarized by dtype, shape, range, mean and what is not finite", async () => {
    const t = float32([0, 1, 2, 3, 4, 5, 6, Number.NaN, Number.POSITIVE_INFINITY, -7], [2, 5]);
    expect((await shown(t)).text).toBe("Tensor float32 [2, 5] · −7 … 6 · mean 1.75 · 1 NaN · 1 infinite");
    expect((await shown(new Float64Array(1000).fill(0.5))).text).toBe("Float64Array float64 [1000] · 0.5 … 0.5 · mean 0.5");
    expect((await shown(int64([1, 2, 3]))).text).toBe("Tensor int64 [3] · 1, 2, 3");
    expect((await shown(new Tensor("float16", Uint16Array.of(0x3c00, 0xc000), [2]))).text).toBe("Tensor float16 [2] · 1, −2");
    expect((await shown(zeros([0, 3]))).text).toBe("Tensor float32 [0, 3]");
    expect((await shown(float32([2.5], []))).text).toBe("Tensor float32 [] · 2.5");
    expect(arrayFacts([])).toEqual({ min: Number.NaN, max: Number.NaN, mean: Number.NaN, nan: 0, infinite: 0 });
  });

  test("of one axis have a sparkline from the least to the greatest value", async () => {
    const { html } = await shown(Float32Array.from({ length: 5000 }, (_, i) => Math.sin(i / 100)));
    const points = /points="([^"]+)"/
      .exec(html)![1]!
      .split(" ")
      .map((point) => point.split(",").map(Number));
    expect(points.length).toBeLessThanOrEqual(400);
    expect(Math.min(...points.map(([, y]) => y!))).toBeCloseTo(2, 0);
    expect(Math.max(...points.map(([, y]) => y!))).toBeCloseTo(34, 0);
    expect(html).toContain('role="img" aria-label="Float32Array float32 [5000]');
  });

  test("with planes are heat maps: white at zero where there are both signs, clear where there is no number", async () => {
    const [map] = pictures((await shown(float32([-2, 0, 2, 1, -1, Number.NaN, 0, 0, 0], [3, 3]))).html);
    const at = (p: number): number[] => [...map!.pixels.subarray(4 * p, 4 * p + 4)];
    expect([map!.width, map!.height]).toEqual([3, 3]);
    expect(at(0)).toEqual([0x05, 0x30, 0x61, 255]);
    expect(at(1)).toEqual([0xf7, 0xf7, 0xf7, 255]);
    expect(at(2)).toEqual([0x67, 0x00, 0x1f, 255]);
    expect(at(5)[3]).toBe(0);
    const { html } = await shown(zeros([20, 64, 64]));
    expect(pictures(html)).toHaveLength(8);
    expect(html).toContain("8 of 20 planes");
  });

  test("that look like colours are pictures", async () => {
    const pixels = Float32Array.from({ length: 3 * 64 }, (_, i) => (i < 64 ? 1 : -1));
    const [picture] = pictures((await shown(float32(pixels, [3, 8, 8]))).html);
    expect([...picture!.pixels.subarray(0, 3)]).toEqual([255, 0, 0]);
    expect(pictures((await shown(new Tensor("uint8", new Uint8Array(2 * 64), [2, 1, 8, 8]))).html)).toHaveLength(2);
  });
});

describe("tables", () => {
  test("of arquero show their first page and say how many rows there are; their text shows 200", async () => {
    const { text, html } = await shown(arquero({ n: Array.from({ length: 300 }, (_, i) => i / 7), s: Array(300).fill("<b>") }));
    expect(html.match(/<tr>/g)).toHaveLength(26);
    expect(html).toContain("rows 1–25 of 300");
    expect(html).toContain("&lt;b&gt;");
    expect(text.split("\n").slice(0, 4)).toEqual(["      n  s", "───────  ───", "      0  <b>", "0.14286  <b>"]);
    expect(text.split("\n").slice(-2)).toEqual([" 28.429  <b>", "(200 of 300 rows)"]);
  });

  test("are what arrays of flat records are shown as", async () => {
    const { text, html } = await shown([
      { a: 1, b: "x" },
      { a: 2, b: null },
    ]);
    expect(html.match(/<th[^>]*>(\w)<\/th>/g)).toHaveLength(2);
    expect(text).toBe("[ { a: 1, b: 'x' }, { a: 2, b: null } ]");
    expect((await shown([{ a: 1 }, { b: 2 }])).html).toBe("");
  });
});

describe("collections of results", () => {
  const result = (name: string) => ({
    [Symbol.for("Jupyter.display")]: async () => ({ "text/html": `<b>${name}</b>`, "text/plain": name }),
  });

  test.each([
    ["an array", [result("one"), result("two")], ["0", "1"]],
    ["a map", new Map([["<k>", result("one")]]), ["&lt;k&gt;"]],
    ["a set", new Set([result("one")]), ["0"]],
    ["a record", { before: result("one"), after: result("two") }, ["before", "after"]],
  ])("%s is a grid", async (_, value, names) => {
    const { text, html } = await shown(value);
    expect([...html.matchAll(/<figcaption[^>]*>([^<]*)</g)].map(([, name]) => name)).toEqual(names);
    expect(html).toContain("<b>one</b>");
    expect(text.split("\n")).toHaveLength(names.length);
  });

  test("long ones are cut with a note of how much", async () => {
    const { html } = await shown(Array.from({ length: 100 }, (_, i) => result(`${i}`)));
    expect(html.match(/<figure/g)).toHaveLength(24);
    expect(html).toContain("24 of 100");
  });

  test("pictures are drawn, with a text for who cannot see them", async () => {
    const picture = { pixels: new Uint8Array(12), width: 2, height: 2, channels: 3 } as const;
    expect((await shown(picture)).html).toMatch(/^<img alt="picture of 2×2 pixels, 3 channels" src="data:image\/png/);
    expect(pictures((await shown([picture, picture])).html)).toHaveLength(2);
  });
});

describe("nested values", () => {
  test("are trees whose text cannot become markup; small ones stay a line of text", async () => {
    expect(await shown({ a: 1, b: [2] })).toEqual({ text: "{ a: 1, b: [ 2 ] }", html: "" });
    const { html } = await shown({ deep: { er: { still: { on: { and: "<img src=x>" } } } }, list: [1, 2] });
    expect(html.match(/<details/g)).toHaveLength(6);
    expect(html.match(/<details open/g)).toHaveLength(1);
    expect(html).toContain("&#39;&lt;img src=x&gt;&#39;");
  });

  test("tensors and typed arrays in them are summarized", async () => {
    const { html } = await shown({ a: { deep: { points: float32([1, 2], [2, 1]), bytes: new Uint8Array(1000) } } });
    expect(html).toContain("Tensor float32 [2, 1] · 1, 2<");
    expect(html).toContain("Uint8Array uint8 [1000] · 0 … 0 · mean 0<");
  });

  test("cycles end, getters are not called, iterators are not consumed, promises and functions are named", async () => {
    class Node {
      self: unknown;
      readonly next = (function* () {
        yield 1;
        throw new Error("consumed");
      })();
      readonly promise = Promise.resolve(1);
      readonly work = (): number => 1;
      readonly map = new Map<unknown, unknown>([[{ k: 1 }, { deep: { deeper: { deepest: 1 } } }]]);
    }
    const node = new Node();
    node.self = node;
    Object.defineProperty(node, "costly", {
      enumerable: true,
      get: () => {
        throw new Error("called");
      },
    });
    const { html, text } = await shown(node);
    expect(text).toContain("[Circular *1]");
    expect(html).toContain("Node {6 properties} <i>contains itself</i>");
    for (const part of ["Object [Generator] {}", "Promise { 1 }", "[Function: work]", "(getter)", "Map(1)"])
      expect(html).toContain(part);
    expect(
      (
        await shown({
          get never() {
            throw new Error("called");
          },
        })
      ).text,
    ).toBe("{ never: [Getter] }");
  });

  test("big ones are cut with a note of how much", async () => {
    const wide = Object.fromEntries(Array.from({ length: 200_000 }, (_, i) => [`k${i}`, i]));
    const { text, html } = await shown(wide);
    expect(text).toContain("200 k more properties");
    expect(html).toContain("200 k more of 200 k");
    expect(html.length + text.length).toBeLessThan(30_000);
    const nested = (depth: number): unknown => (depth === 0 ? "leaf" : Array.from({ length: 30 }, () => nested(depth - 1)));
    expect((await shown(nested(4))).html.length).toBeLessThan(300_000);
    expect((await shown("x".repeat(50_000))).text).toContain("40000 more characters");
  });

  test("a proxy that answers everything is left alone", async () => {
    const all = new Proxy({}, { get: () => () => 1, ownKeys: () => [] });
    expect((await shown(all)).html).toBe("");
  });
});

describe("audio", () => {
  test("is a player with a 16-bit WAV, its wave form and its length", async () => {
    const bundle = await bundleOf(audio([0, 0.5, -0.5, 2], 8000, { title: "<tone>" }));
    const sound = Buffer.from(/audio\/wav;base64,([^"]+)/.exec(String(bundle["text/html"]))![1]!, "base64");
    expect(sound.subarray(0, 4).toString()).toBe("RIFF");
    expect([sound.readUInt16LE(22), sound.readUInt32LE(24), sound.readUInt32LE(40)]).toEqual([1, 8000, 8]);
    expect([44, 46, 48, 50].map((at) => sound.readInt16LE(at))).toEqual([0, 16384, -16383, 32767]);
    expect(bundle["text/plain"]).toBe("<tone>: 5e−4 s at 8000 Hz, mono, clipped at ±1");
    expect(String(bundle["text/html"])).not.toContain("<tone>");
  });

  test("stereo is interleaved; unequal channels and impossible rates are refused", () => {
    expect(String(audio([new Float32Array(4), new Float32Array(4)], 2))).toBe("audio: 2 s at 2 Hz, 2 channels");
    expect(() => audio([new Float32Array(4), new Float32Array(3)], 2)).toThrow(RangeError);
    expect(() => audio([], 2)).toThrow("expected samples");
    expect(() => audio([1], 0.5)).toThrow("rate must be a whole number");
  });
});
