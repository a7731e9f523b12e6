import { describe, expect, it } from "vitest";
import { infer, known, knownScalar, of, shapeAfter, valueAfter } from "./graphs.js";

describe("gathering", () => {
  it("Gather puts the indices' shape in place of the axis", () => {
    expect(shapeAfter("Gather", [of([50, 8]), of(["batch", 7], "int64")])).toEqual(["batch", 7, 8]);
    expect(shapeAfter("Gather", [of([2, 3, 4]), knownScalar(-1)], { axis: 1 })).toEqual([2, 4]);
    expect(valueAfter("Gather", [known([5, 6, 7]), known([2, -3])])).toEqual([7, 5]);
    const grid = { dtype: "int64", shape: [2, 3], value: [0, 1, 2, 3, 4, 5] } as const;
    expect(valueAfter("Gather", [grid, known([2, 0])], { axis: 1 })).toEqual([2, 0, 5, 3]);
    const dims = { dtype: "int64", shape: [2], partial: ["batch", 4] } as const;
    expect(infer("Gather", [dims, knownScalar(0)])[0]).toEqual({ dtype: "int64", shape: [], partial: ["batch"] });
  });

  it("an index outside the axis is found where it is known", () => {
    expect(() => infer("Gather", [of([3]), known([3])])).toThrow('Gather "y0": index 3 lies outside axis 0 of length 3 in [3]');
  });

  it("GatherElements has the indices' shape, GatherND replaces the axes it addresses", () => {
    expect(shapeAfter("GatherElements", [of([3, 4]), of([3, 2], "int64")], { axis: 1 })).toEqual([3, 2]);
    expect(() => infer("GatherElements", [of([3, 4]), of([3], "int64")])).toThrow("must have equal rank");
    expect(shapeAfter("GatherND", [of([2, 3, 4]), of([5, 2], "int64")])).toEqual([5, 4]);
    expect(shapeAfter("GatherND", [of([2, 3, 4]), of([2, 1], "int64")], { batch_dims: 1 })).toEqual([2, 4]);
    expect(() => infer("GatherND", [of([2, 3]), of([5, 3], "int64")])).toThrow("indices [5,3] address 3 axes of data [2,3]");
  });
});

describe("scattering", () => {
  it("keeps the data's shape and checks the updates", () => {
    expect(shapeAfter("ScatterElements", [of([3, 4]), of([2, 2], "int64"), of([2, 2])])).toEqual([3, 4]);
    expect(() => infer("ScatterElements", [of([3, 4]), of([2, 2], "int64"), of([2, 3])])).toThrow(
      "indices [2,2] and updates [2,3] must have one shape",
    );
    expect(shapeAfter("ScatterND", [of([3, 4]), of([2, 1], "int64"), of([2, 4])])).toEqual([3, 4]);
    expect(() => infer("ScatterND", [of([3, 4]), of([2, 1], "int64"), of([2, 3])])).toThrow(
      "updates are [2,3], indices [2,1] into [3,4] need [2,4]",
    );
  });

  it("ScatterND assigns elements and rows of known contents", () => {
    const at = { dtype: "int64", shape: [2, 1], value: [0, -1] } as const;
    expect(valueAfter("ScatterND", [known([1, 2, 3]), at, known([8, 9])])).toEqual([8, 2, 9]);
    const grid = { dtype: "int64", shape: [2, 2], value: [1, 2, 3, 4] } as const;
    const row = { dtype: "int64", shape: [1, 1], value: [1] } as const;
    expect(valueAfter("ScatterND", [grid, row, { dtype: "int64", shape: [1, 2], value: [7, 8] }])).toEqual([1, 2, 7, 8]);
  });
});

describe("selection", () => {
  it("NonZero lists coordinates by axis", () => {
    const grid = { dtype: "int64", shape: [2, 2], value: [0, 5, 6, 0] } as const;
    expect(infer("NonZero", [grid])[0]).toEqual({ dtype: "int64", shape: [2, 2], value: [0, 1, 1, 0] });
    expect(infer("NonZero", [of([2, 3])])[0]).toEqual({ dtype: "int64", shape: [2, undefined] });
  });

  it("Compress and Trilu", () => {
    expect(shapeAfter("Compress", [of([3, 4]), known([1, 0, 1], "bool")], { axis: 0 })).toEqual([2, 4]);
    expect(shapeAfter("Trilu", [of(["n", 4])])).toEqual(["n", 4]);
    expect(() => infer("Trilu", [of([4])])).toThrow("input [4] has rank 1, at least 2 is needed");
  });
});
