import { describe, expect, it } from "vitest";
import { infer, known, knownScalar, of, shapeAfter, valueAfter } from "./graphs.js";

const x = of(["batch", 3, 4]);

describe("reductions", () => {
  it("axes are an input, an attribute in old opsets, all when absent", () => {
    expect(shapeAfter("ReduceMean", [x, known([-1])])).toEqual(["batch", 3, 1]);
    expect(shapeAfter("ReduceMean", [x], { axes: [1, 2], keepdims: 0 }, { opset: 13 })).toEqual(["batch"]);
    expect(shapeAfter("ReduceSum", [x], { keepdims: 0 })).toEqual([]);
    expect(shapeAfter("ReduceSum", [x], { noop_with_empty_axes: 1 })).toEqual(["batch", 3, 4]);
    expect(shapeAfter("ReduceMax", [x, of([1], "int64")])).toEqual([undefined, undefined, undefined]);
    expect(() => infer("ReduceSum", [x, known([3])])).toThrow('ReduceSum "y0": axis 3 lies outside -3…2 of a rank-3 value');
  });

  it("follows whole numbers", () => {
    expect(valueAfter("ReduceProd", [known([2, 3, 4])], { keepdims: 0 })).toEqual([24]);
    expect(valueAfter("ReduceMax", [known([2, 9, 4])])).toEqual([9]);
    const grid = { dtype: "int64", shape: [2, 2], value: [1, 2, 3, 4] } as const;
    expect(valueAfter("ReduceSum", [grid, known([0])])).toEqual([4, 6]);
    expect(valueAfter("ReduceMin", [grid, known([1])], { keepdims: 0 })).toEqual([1, 3]);
  });

  it("ArgMax gives int64 indices", () => {
    expect(infer("ArgMax", [x], { axis: -1, keepdims: 0 })[0]).toEqual({ dtype: "int64", shape: ["batch", 3] });
    expect(shapeAfter("ArgMin", [x], { axis: 1 })).toEqual(["batch", 1, 4]);
  });

  it("TopK cuts the axis to k", () => {
    expect(infer("TopK", [x, known([2])], {}, { outputs: 2 })).toEqual([
      { dtype: "float32", shape: ["batch", 3, 2] },
      { dtype: "int64", shape: ["batch", 3, 2] },
    ]);
    expect(() => infer("TopK", [x, known([5])])).toThrow("k is 5, axis 2 of [batch,3,4] has only 4 entries");
  });

  it("CumSum keeps the shape", () => {
    expect(shapeAfter("CumSum", [x, knownScalar(-1)])).toEqual(["batch", 3, 4]);
    expect(() => infer("CumSum", [x, knownScalar(3)])).toThrow("axis 3 lies outside");
  });
});
