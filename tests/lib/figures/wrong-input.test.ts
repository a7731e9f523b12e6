import { expect, test } from "vitest";
import {
  activationMaps,
  attentionOverPicture,
  attributionOverPicture,
  barsWithIntervals,
  confusionMatrix,
  denoisedOverTime,
  embeddingScatter,
  errorCurves,
  heatmap,
  imageGrid,
  inversionError,
  latentsAndDenoised,
  noiseSchedule,
  patchingHeatmap,
  picturesOf,
  plotJson,
  samplerComparison,
  scheduleComparison,
  steeringComparison,
  table,
} from "../../../lib/figures/index.js";
import { float32, int64, zeros } from "../../../lib/tensor/tensor.js";

const picture = { pixels: new Uint8Array(12), width: 2, height: 2, channels: 3 } as const;

test("a figure refuses wrong input and says what it expected", () => {
  expect(() => imageGrid([])).toThrow(/at least one picture/);
  expect(() => imageGrid([picture], { titles: ["a", "b"] })).toThrow(/expected 1 titles.*got 2/);
  expect(() => imageGrid([{ ...picture, width: 3 }])).toThrow(/needs 18 bytes, got 12/);
  expect(() => picturesOf(zeros([1, 5, 2, 2]))).toThrow(/expected a tensor \[n, 1 \| 3 \| 4/);
  expect(() => picturesOf(zeros([1, 3, 2, 2], "int32"))).toThrow(/float32 or uint8/);
  expect(() => denoisedOverTime({ denoised: [picture], sigmas: [3, 2, 1] })).toThrow(/sigmas has 3 entries for 1/);
  expect(() => denoisedOverTime({ denoised: [picture], timesteps: [2, 1] })).toThrow(/timesteps has 2 entries for 1/);
  expect(() => denoisedOverTime({ denoised: [picture], noisy: [] })).toThrow(/noisy has 0 entries for 1/);
  expect(() => activationMaps(zeros([4, 4]))).toThrow(/expected \[channels, height, width\]/);
  expect(() => activationMaps(zeros([2, 4, 4]), { channels: [2] })).toThrow(/channel 2 is outside 0…1/);
  expect(() => embeddingScatter(zeros([3, 3]))).toThrow(/expected a float32 tensor \[n, 2\]/);
  expect(() => embeddingScatter(zeros([3, 2]), { labels: ["a"] })).toThrow(/expected 3 labels.*got 1/);
  expect(() => heatmap(zeros([2, 2]), { rows: ["a"] })).toThrow(/needs 2 row and 2 column names/);
  expect(() => confusionMatrix([[1]], ["a", "b"])).toThrow(/2 classes need 2×2/);
  expect(() => noiseSchedule([0.5, 1.5])).toThrow(/got 1.5 at 1/);
  expect(() => barsWithIntervals(["a", "b"], [{ name: "s", values: [] }])).toThrow(/0 estimates for 2 categories/);
  expect(() => steeringComparison({ strengths: [0, 1], rows: [{ name: "r", pictures: [picture] }] })).toThrow(
    /1 pictures for 2 strengths/,
  );
  expect(() => steeringComparison({ strengths: [0, 1], rows: [] })).toThrow(/expected a row or a curve, got neither/);
  expect(() => table({ a: [1], b: [1, 2] })).toThrow(/column b has 2 rows, a has 1/);
  expect(() => plotJson(int64([1]))).toThrow(/convert it to float32/);
});

test("a figure of a run refuses wrong input and says what it expected", () => {
  const latents = zeros([2, 1, 4, 2, 2]);
  const map = zeros([2, 2]);
  expect(() => latentsAndDenoised({ latents: zeros([2, 4, 2, 2]), denoised: latents })).toThrow(
    /expected latents \[step, item, channel, y, x\]/,
  );
  expect(() => latentsAndDenoised({ latents, denoised: zeros([3, 1, 4, 2, 2]) })).toThrow(/denoised has 3 steps/);
  expect(() => latentsAndDenoised({ latents, denoised: zeros([2, 2, 4, 2, 2]) })).toThrow(/denoised has 2 items at step 0/);
  expect(() => latentsAndDenoised({ latents, denoised: latents, names: [] })).toThrow(/expected 1 names.*got 0/);
  expect(() => latentsAndDenoised({ latents: zeros([0, 1, 4, 2, 2]), denoised: latents })).toThrow(/at least one step/);
  expect(() => latentsAndDenoised({ latents: zeros([2, 1, 4, 2, 2], "int32"), denoised: latents })).toThrow(TypeError);
  const wide = zeros([2, 1, 16, 2, 2]);
  expect(() => latentsAndDenoised({ latents: wide, denoised: wide }, { view: "color" })).toThrow(/projection of 16 colours/);
  expect(() => scheduleComparison([])).toThrow(/at least one schedule/);
  expect(() => scheduleComparison([{ name: "s", sigmas: [1, -1] }])).toThrow(/σ of at least 0 of s, got -1 at 1/);
  expect(() => scheduleComparison([{ name: "s", alphasCumprod: [2] }])).toThrow(/ᾱ in 0…1 of s, got 2 at 0/);
  expect(() => attentionOverPicture({ picture, words: [] })).toThrow(/at least one map/);
  expect(() => attentionOverPicture({ picture, words: [{ word: "w", map: float32([-1], [1, 1]) }] })).toThrow(/w has -1/);
  expect(() => attributionOverPicture({ picture, maps: [{ name: "m", map: zeros([4]) }] })).toThrow(
    /expected m float32 \[y, x\]/,
  );
  expect(() => attributionOverPicture({ picture, maps: [{ name: "m", map: float32([Number.NaN], [1, 1]) }] })).toThrow(
    /m has NaN at 0/,
  );
  expect(() =>
    attributionOverPicture({
      picture,
      maps: [
        { name: "a", map },
        { name: "b", map: zeros([2, 2, 2]) },
      ],
    }),
  ).toThrow(/b has 2 steps, a has 1/);
  expect(() => patchingHeatmap({ hookPoints: ["a"], timesteps: [1], effect: map })).toThrow(/\[1 hook points, 1 timesteps\]/);
  expect(() => errorCurves([])).toThrow(/at least one curve/);
  expect(() => errorCurves([{ name: "c", x: [1, 2], error: [1] }])).toThrow(/c needs as many errors.*got 1, 1, 1 for 2/);
  expect(() => errorCurves([{ name: "c", x: [0], error: [1] }])).toThrow(/c has a cost of 0/);
  expect(() => errorCurves([{ name: "c", x: [1], error: [-1] }])).toThrow(/c has an error of -1/);
  expect(() => inversionError({ steps: [1], guidanceScales: [1], error: map })).toThrow(/\[1 guidance scales, 1 steps\]/);
  expect(() => samplerComparison({ steps: [], rows: [] })).toThrow(/0 rows and 0 numbers of steps/);
  expect(() => samplerComparison({ steps: [1, 2], rows: [{ name: "r", pictures: [picture] }] })).toThrow(
    /r has 1 pictures for 2 numbers of steps/,
  );
});

test("empty and constant data still make a figure", () => {
  expect(() => embeddingScatter(zeros([0, 2]))).not.toThrow();
  expect(() => activationMaps(zeros([1, 2, 2]))).not.toThrow();
  expect(() => heatmap(float32([1, 1, 1, 1], [2, 2]))).not.toThrow();
  expect(attentionOverPicture({ picture, words: [{ word: "w", map: zeros([2, 2]) }] }).toSvg()).not.toMatch(/NaN|Infinity/);
  expect(errorCurves([{ name: "exact", x: [1, 2], error: [0, 0] }], { orders: true }).toSvg()).not.toMatch(/NaN|Infinity/);
  expect(scheduleComparison([{ name: "zero", alphasCumprod: [1, 0.5, 0] }]).toSvg()).not.toMatch(/NaN|Infinity/);
});
