import { describe, expect, test } from "vitest";
import {
  countText,
  downsample,
  escapeHtml,
  heatOverlay,
  histogram,
  hoverText,
  numberText,
  percentText,
  picturesOf,
  plotJson,
  plotText,
  pngUri,
  resizePicture,
  scriptJson,
  smooth,
  spriteSheet,
} from "../../../lib/figures/index.js";
import { colorAt, signed, viridis } from "../../../lib/figures/palette.js";
import { decodePng } from "../../../lib/tensor/png.js";
import { float32, Tensor } from "../../../lib/tensor/tensor.js";

describe("plotJson", () => {
  test("ships numbers as Plotly's base64, matrices with their shape", () => {
    expect(plotJson(Float32Array.of(1))).toEqual({ dtype: "f4", bdata: "AACAPw==" });
    expect(plotJson(new Tensor("uint8", Uint8Array.of(1, 2, 3, 4, 5, 6), [2, 3]))).toEqual({
      dtype: "u1",
      bdata: "AQIDBAUG",
      shape: "2, 3",
    });
  });

  test("writes null for what JSON cannot say and drops undefined fields", () => {
    expect(plotJson({ a: Number.NaN, b: undefined, c: [Number.POSITIVE_INFINITY, "x", true, null] })).toEqual({
      a: null,
      c: [null, "x", true, null],
    });
  });
});

describe("escaping", () => {
  test("escapeHtml leaves no markup and no open attribute", () => {
    expect(escapeHtml(`<a href="x" title='y'>&`)).toBe("&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;");
  });

  test("plotText keeps line breaks and nothing else", () => {
    expect(plotText("a<b>\nc & d")).toBe("a&lt;b&gt;<br>c &amp; d");
  });

  test("hoverText cannot name a template field", () => {
    expect(hoverText("%{x} 5%")).not.toContain("%{");
  });

  test("scriptJson cannot end a script and reads back the same", () => {
    const text = "</script><!-- \u2028 &amp;";
    expect(scriptJson({ text })).not.toMatch(/[<>&\u2028]/);
    expect(JSON.parse(scriptJson({ text }))).toEqual({ text });
  });
});

describe("numbers for people", () => {
  test.each([
    [0.123456, "0.123"],
    [1234, "1234"],
    [1234567, "1\u202f234\u202f567"],
    [0.000012, "1.2e−5"],
    [-2.5, "−2.5"],
    [1234.56, "1235"],
    [Number.NaN, "–"],
    [0, "0"],
  ])("%d is written %s", (x, text) => {
    expect(numberText(x)).toBe(text);
  });

  test("counts and shares", () => {
    expect([countText(2_184_323), countText(50_000), countText(999), percentText(0.1234)]).toEqual([
      "2.18 M",
      "50 k",
      "999",
      "12.3 %",
    ]);
  });
});

describe("curves", () => {
  test("downsample keeps the ends and every peak that stands alone", () => {
    const y = new Float32Array(10_000);
    y[4321] = 9;
    y[8765] = -9;
    const curve = downsample(
      Float64Array.from(y, (_, i) => i),
      y,
      200,
    );
    expect(curve.x.length).toBeLessThanOrEqual(200);
    expect([curve.x[0], curve.x.at(-1)]).toEqual([0, 9999]);
    expect(Array.from(curve.x)).toEqual(expect.arrayContaining([4321, 8765]));
  });

  test("downsample leaves out what is not finite", () => {
    expect(Array.from(downsample([0, 1, 2], [1, Number.NaN, 3]).x)).toEqual([0, 2]);
  });

  test("smooth leaves a constant and the middle of a line as they are", () => {
    expect(Array.from(smooth([2, 2, 2], 0.9))).toEqual([2, 2, 2]);
    const line = Float64Array.from({ length: 201 }, (_, i) => i);
    expect(smooth(line, 0.8)[100]).toBeCloseTo(100, 9);
  });

  test("smooth weighs neighbours by the decay: (1 + ½·4) / (1 + ½) at the end of [1, 4]", () => {
    expect(Array.from(smooth([1, 4], 0.5))).toEqual([2, 3]);
  });

  test("histogram counts every finite value once", () => {
    const { counts, centers } = histogram([0, 0.1, 0.5, 1, Number.NaN], 2);
    expect(Array.from(counts)).toEqual([2, 2]);
    expect(Array.from(centers)).toEqual([0.25, 0.75]);
  });
});

describe("pictures", () => {
  test("picturesOf interleaves channels and maps the range to 0…255, rounded and clamped", () => {
    const [p] = picturesOf(float32([-1, 1, 0, 2, -1, -3], [1, 3, 1, 2]), [-1, 1]);
    expect(Array.from(p!.pixels)).toEqual([0, 128, 0, 255, 255, 0]);
  });

  test("pngUri holds the very pixels", () => {
    const [p] = picturesOf(float32([0, 0.2, 0.4, 1], [1, 1, 2, 2]));
    const back = decodePng(Buffer.from(pngUri(p!).split(",")[1]!, "base64"));
    expect(Array.from(back.pixels)).toEqual([0, 51, 102, 255]);
  });

  test("resizePicture averages when it shrinks and repeats when it grows", () => {
    const p = { pixels: Uint8Array.of(0, 100, 200, 100), width: 2, height: 2, channels: 1 } as const;
    expect(Array.from(resizePicture(p, 1, 1).pixels)).toEqual([100]);
    expect(Array.from(resizePicture(p, 4, 2).pixels)).toEqual([0, 0, 100, 100, 200, 200, 100, 100]);
  });

  test("spriteSheet puts picture i at column i mod columns", () => {
    const gray = (v: number): { pixels: Uint8Array; width: 1; height: 1; channels: 1 } => ({
      pixels: Uint8Array.of(v),
      width: 1,
      height: 1,
      channels: 1,
    });
    const { sheet, columns } = spriteSheet([gray(1), gray(2), gray(3)], 1);
    expect(columns).toBe(2);
    expect(Array.from(sheet.pixels)).toEqual([1, 1, 1, 2, 2, 2, 3, 3, 3, 0, 0, 0]);
  });

  test("heatOverlay is clear at zero and below, strongest at the top", () => {
    const { pixels } = heatOverlay(float32([0, -1, 2, 1], [2, 2]), viridis);
    expect([pixels[3], pixels[7], pixels[11]]).toEqual([0, 0, 225]);
    expect(pixels[15]).toBe(159);
  });

  test("colour scales end where they say, and the signed one is white at its middle", () => {
    expect(colorAt(viridis, 0)).toEqual([0x44, 0x01, 0x54]);
    expect(colorAt(viridis, 1)).toEqual([0xfd, 0xe7, 0x25]);
    expect(colorAt(signed, 0.5)).toEqual([0xf7, 0xf7, 0xf7]);
  });
});
