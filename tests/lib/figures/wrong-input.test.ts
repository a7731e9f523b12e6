import { expect, test } from "vitest";
import {
  activationMaps,
  barsWithIntervals,
  confusionMatrix,
  denoisedOverTime,
  embeddingScatter,
  heatmap,
  imageGrid,
  noiseSchedule,
  picturesOf,
  plotJson,
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
  expect(() => denoisedOverTime({ denoised: [picture], sigmas: [1, 2] })).toThrow(/sigmas has 2 entries for 1/);
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
  expect(() => table({ a: [1], b: [1, 2] })).toThrow(/column b has 2 rows, a has 1/);
  expect(() => plotJson(int64([1]))).toThrow(/convert it to float32/);
});

test("empty and constant data still make a figure", () => {
  expect(() => embeddingScatter(zeros([0, 2]))).not.toThrow();
  expect(() => activationMaps(zeros([1, 2, 2]))).not.toThrow();
  expect(() => heatmap(float32([1, 1, 1, 1], [2, 2]))).not.toThrow();
});
