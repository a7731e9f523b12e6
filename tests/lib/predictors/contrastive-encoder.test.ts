import { describe, expect, it } from "vitest";
import { similarities } from "../../../lib/predictors/index.js";
import { float32 } from "../../../lib/tensor/index.js";

describe("similarities", () => {
  it("is the dot product of every row with every row", () => {
    const a = float32([1, 2, 3, 4], [2, 2]);
    const b = float32([1, 0, 0, 1, 1, 1], [3, 2]);
    expect(similarities(a, b)).toEqual(float32([1, 2, 3, 3, 4, 7], [2, 3]));
  });

  it("refuses rows of different width", () => {
    expect(() => similarities(float32([1, 2], [1, 2]), float32([1, 2, 3], [1, 3]))).toThrow(RangeError);
  });
});
