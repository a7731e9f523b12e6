import { expect, test } from "vitest";
import {
  attentionOverPicture,
  attributionOverPicture,
  convergenceOrder,
  denoisedOverTime,
  errorCurves,
  type Figure,
  latentsAndDenoised,
  type Picture,
  patchingHeatmap,
  scheduleComparison,
  steeringComparison,
} from "../../../lib/figures/index.js";
import { colorWithOpacityAt, overlay, signed, viridis } from "../../../lib/figures/palette.js";
import { evenSteps } from "../../../lib/figures/stepper.js";
import { decodePng } from "../../../lib/tensor/png.js";
import { float32, zeros } from "../../../lib/tensor/tensor.js";

const picture: Picture = { pixels: new Uint8Array(12), width: 2, height: 2, channels: 3 };

function pixelsOf(figure: Figure, trace: number): number[] {
  const source = String(figure.data[trace]!.source);
  return [...decodePng(Buffer.from(source.slice(source.indexOf(",") + 1), "base64")).pixels];
}

test("latents of four channels are mixed to orthonormal colours", () => {
  // Red = ½ (1 + 1 + 1 + 1) = 2 of 3, green and blue 0: 127.5 · (1 + 2/3, 1, 1).
  const latents = float32([1, 1, -1, -1], [1, 1, 4, 1, 1]);
  expect(pixelsOf(latentsAndDenoised({ latents, denoised: latents }), 0)).toEqual([212, 128, 128]);
  const projection = [0, 0, 0, 1].map((k) => [k, 0, -k] as const);
  expect(pixelsOf(latentsAndDenoised({ latents, denoised: latents }, { projection, reach: 1 }), 0)).toEqual([0, 128, 255]);
});

test("the channels of a latent stand side by side, clear between them", () => {
  const latents = float32([3, 0, -3, 9], [1, 1, 4, 1, 1]);
  const pixels = pixelsOf(latentsAndDenoised({ latents, denoised: latents }, { view: "channels" }), 0);
  expect(pixels.length).toBe(4 * 9);
  expect(pixels.slice(0, 4)).toEqual([0x67, 0x00, 0x1f, 255]);
  expect(pixels.slice(4, 8)).toEqual([0, 0, 0, 0]);
  expect(pixels.slice(8, 12)).toEqual([0xf7, 0xf7, 0xf7, 255]);
  expect(pixels.slice(24, 28)).toEqual([0x05, 0x30, 0x61, 255]);
});

test("a film names its steps by timestep and σ, has a frame for each, and shrinks what is large", () => {
  const large: Picture = { pixels: new Uint8Array(3 * 900 * 900), width: 900, height: 900, channels: 3 };
  const film = denoisedOverTime({ denoised: [large, large], timesteps: [981, 1], sigmas: [14.6, 0.03, 0] });
  const [slider] = film.layout.sliders as { steps: { label: string }[] }[];
  expect(slider!.steps.map((s) => s.label)).toEqual(["step 0 · t = 981 · σ = 14.6", "step 1 · t = 1 · σ = 0.03"]);
  expect(film.frames!.map((f) => f.name)).toEqual(["0", "1"]);
  const many = denoisedOverTime({ denoised: Array.from({ length: 40 }, () => large) });
  const source = String((many.frames![0] as { data: { source: string }[] }).data[0]!.source);
  // 40 · 3 · side² ≤ 6 million.
  expect(decodePng(Buffer.from(source.slice(source.indexOf(",") + 1), "base64")).width).toBe(224);
});

test("a film of one step has no slider", () => {
  const film = denoisedOverTime({ denoised: [picture] });
  expect([film.layout.sliders, film.frames, film.behaviour]).toEqual([undefined, undefined, undefined]);
});

test("stills are spread from the first step to the last", () => {
  expect(evenSteps(20, 4)).toEqual([0, 6, 13, 19]);
  expect(evenSteps(3, 10)).toEqual([0, 1, 2]);
});

test("a mask is outlined along its cells' borders", () => {
  const map = float32([0, 0.9, 0, 0], [2, 2]);
  const { data } = attentionOverPicture({ picture, words: [{ word: "w", map }] }, { threshold: 0.5, columns: 1 });
  const line = data.find((t) => t.type === "scatter") as unknown as { x: Float32Array; y: Float32Array };
  const top = Number(data.find((t) => t.type === "heatmap")!.y0) - 0.5;
  const pieces = [0, 1, 2, 3].map((i) => [
    ...line.x.slice(3 * i, 3 * i + 2),
    ...line.y.slice(3 * i, 3 * i + 2).map((y) => y - top),
  ]);
  const close = (piece: number[]): unknown => piece.map((v) => expect.closeTo(v, 4));
  expect(pieces).toEqual([close([1, 1, 0, 1]), close([1, 2, 0, 0]), close([2, 2, 0, 1]), close([1, 2, 1, 1])]);
  expect(line.x.length).toBe(12);
});

test("maps are clear where they say nothing and share one scale, or have their own", () => {
  expect(colorWithOpacityAt(overlay(viridis, 0), 0)[3]).toBe(0);
  expect(colorWithOpacityAt(overlay(viridis, 0), 1)).toEqual([0xfd, 0xe7, 0x25, 0.88]);
  expect(colorWithOpacityAt(overlay(signed, 0.5), 0.5)[3]).toBe(0);
  expect(colorWithOpacityAt(overlay(signed, 0.5), 0)).toEqual([0x05, 0x30, 0x61, 0.88]);
  const maps = [1, -4].map((v) => ({ name: String(v), map: float32([v], [1, 1]) }));
  const { coloraxis } = attributionOverPicture({ picture, maps }).layout as { coloraxis: { cmin: number; cmax: number } };
  expect([coloraxis.cmin, coloraxis.cmax]).toEqual([-4, 4]);
  const own = attributionOverPicture({ picture, maps }, { scale: "each" }).data.filter((t) => t.type === "heatmap");
  expect(own.map((t) => t.zmax)).toEqual([1, 4]);
});

test("the order of convergence is the slope between logarithms", () => {
  const costs = [4, 8, 32];
  expect(
    convergenceOrder(
      costs,
      costs.map((n) => 3 / n ** 2),
    ),
  ).toBeCloseTo(2, 12);
  expect(convergenceOrder([1, 2, 4], [0.5, 0, 0.125])).toBeCloseTo(1, 12);
  expect(convergenceOrder([5, 5], [1, 2])).toBeUndefined();
  const figure = errorCurves([{ name: "heun", x: costs, error: costs.map((n) => 3 / n ** 2) }], { orders: true });
  expect(figure.data.map((t) => t.name)).toEqual(["slope −2", "heun, order 2.0"]);
});

test("long hook points are shortened where they stay apart, and whole under the pointer", () => {
  const path = (end: string): string => `up_blocks.1.attentions.1.transformer_blocks.0.${end}`;
  const rows = (hookPoints: string[]): string[] => {
    const effect = zeros([hookPoints.length, 1]);
    const figure = patchingHeatmap({ hookPoints, timesteps: [1], effect });
    expect((figure.data[0]!.customdata as string[][][]).map((row) => row[0]![0])).toEqual(hookPoints);
    return (figure.layout.yaxis as { ticktext: string[] }).ticktext;
  };
  expect(rows(["mid_block", path("attn1"), path("attn2")])).toEqual([
    "mid_block",
    "up_blocks.1.attentions.1 … attn1",
    "up_blocks.1.attentions.1 … attn2",
  ]);
  const alike = ["0", "1"].map((k) => `up_blocks.1.attentions.1.transformer_blocks.${k}.attn2`);
  expect(rows(alike)).toEqual(alike);
});

test("patching is coloured from minus to plus the largest effect, at least 1, and says where it is", () => {
  const figure = patchingHeatmap({ hookPoints: ["a", "b"], timesteps: [9, 5], effect: float32([0, 0.2, 0.7, -0.1], [2, 2]) });
  expect([figure.data[0]!.zmin, figure.data[0]!.zmax]).toEqual([-1, 1]);
  expect((figure.layout.title as { subtitle: { text: string } }).subtitle.text).toBe("most at b, t = 9: 0.7");
});

test("σ, ᾱ and the signal-to-noise ratio follow from each other", () => {
  const byAlpha = scheduleComparison([{ name: "s", alphasCumprod: [0.8, 0.5, 0.2] }]).data;
  const bySigma = scheduleComparison([{ name: "s", sigmas: [0.5, 1, 2] }]).data;
  for (const data of [byAlpha, bySigma]) {
    const [sigma, alpha, snr] = data.map((t) => [...(t.y as Float32Array)].map((v) => Number(v.toFixed(5))));
    expect([sigma, alpha, snr]).toEqual([
      [0.5, 1, 2],
      [0.8, 0.5, 0.2],
      [4, 1, 0.25],
    ]);
  }
});

test("the still of a film has no room for the slider", () => {
  const film = denoisedOverTime({ denoised: [picture, picture] });
  const [, height] = /viewBox="0 0 800 (\d+)"/.exec(film.toSvg())!;
  expect(Number(height)).toBe(Number(film.layout.height) - 84 + 12);
});

test("the column of factors that is framed as unedited is 1, where 0 is another strength", () => {
  const strengths = [0, 1, 2];
  const comparison = { strengths, rows: [{ name: "row", pictures: [picture, picture, picture] }] };
  const texts = (options: object) =>
    (steeringComparison(comparison, options).layout.annotations as { text: string }[]).map(({ text }) => text);
  expect(texts({})).toEqual(["<b>unedited</b>", "1", "2", "row"]);
  expect(texts({ unedited: 1 })).toEqual(["0", "<b>unedited</b>", "2", "row"]);
});

test("a comparison of curves alone has no labels of pictures, and says which strength is the unedited one", () => {
  const curves = [{ name: "judged", mean: [0.1, 0.5, 0.9] }];
  const { layout, summary } = steeringComparison({ strengths: [0, 1, 2], rows: [], curves });
  expect((layout.annotations as { text: string; x: number; xref: string }[]).map(({ text, x, xref }) => [text, x, xref])).toEqual(
    [["unedited", 0, "x2"]],
  );
  expect(Object.keys(layout).filter((key) => /axis/.test(key))).toEqual(["xaxis2", "yaxis2"]);
  expect(summary).toBe("Steering: strengths 0, 1, 2; judged 0.1, 0.5, 0.9");
});
