import { describe, expect, it } from "vitest";
import { floats } from "../../../../lib/onnx/graph.js";
import { infer, known, knownScalar, of, shapeAfter, valueAfter } from "./graphs.js";

const grid = { dtype: "int64", shape: [2, 3], value: [0, 1, 2, 3, 4, 5] } as const;

describe("Reshape", () => {
  it("copies 0, infers -1", () => {
    expect(shapeAfter("Reshape", [of([2, 3, 4]), known([0, -1])])).toEqual([2, 12]);
    expect(shapeAfter("Reshape", [of([2, 3, 4]), known([4, 6])])).toEqual([4, 6]);
    expect(shapeAfter("Reshape", [of([0, 3]), known([0, 5])], { allowzero: 1 })).toEqual([0, 5]);
  });

  it("named lengths cancel", () => {
    expect(shapeAfter("Reshape", [of(["batch", 4, 8]), known([0, -1])])).toEqual(["batch", 32]);
    expect(shapeAfter("Reshape", [of(["batch", 4, 8]), known([-1, 32])])).toEqual(["batch", 32]);
    expect(shapeAfter("Reshape", [of([undefined, 4, 8]), known([0, -1])])).toEqual([undefined, 32]);
    const target = { dtype: "int64", shape: [3], partial: ["batch", -1, 2] } as const;
    expect(shapeAfter("Reshape", [of(["batch", 4, 8]), target])).toEqual(["batch", 16, 2]);
    expect(shapeAfter("Reshape", [of(["batch", "height", 8]), known([0, -1])])).toEqual(["batch", undefined]);
  });

  it("without contents the target still tells the rank", () => {
    expect(shapeAfter("Reshape", [of([2, 3]), of([4], "int64")])).toEqual([undefined, undefined, undefined, undefined]);
    expect(shapeAfter("Reshape", [of([2, 3]), of(["n"], "int64")])).toBeUndefined();
  });

  it("refuses another number of elements", () => {
    expect(() => infer("Reshape", [of([2, 3, 4]), known([5, -1])])).toThrow(
      'Reshape "y0": cannot view [2,3,4] as [5,-1]: 24 elements cannot be divided by 5',
    );
    expect(() => infer("Reshape", [of([2, 3, 4]), known([5, 5])])).toThrow("24 elements do not fill 25");
    expect(() => infer("Reshape", [of([2, 3]), known([-1, -1])])).toThrow("only one entry may be -1");
    expect(() => infer("Reshape", [of([6]), known([6, 0])])).toThrow("entry 1 copies an axis the input does not have");
  });
});

describe("axes", () => {
  it("Transpose permutes, reversing by default", () => {
    expect(shapeAfter("Transpose", [of(["a", 2, 3])], { perm: [2, 0, 1] })).toEqual([3, "a", 2]);
    expect(shapeAfter("Transpose", [of(["a", 2, 3])])).toEqual([3, 2, "a"]);
    expect(valueAfter("Transpose", [grid])).toEqual([0, 3, 1, 4, 2, 5]);
    expect(() => infer("Transpose", [of([2, 3])], { perm: [0, 0] })).toThrow(
      "perm [0,0] is not a permutation of the 2 axes of [2,3]",
    );
  });

  it("Unsqueeze and Squeeze take axes as an input, as an attribute before opset 13", () => {
    expect(shapeAfter("Unsqueeze", [of([2, 3]), known([0, -1])])).toEqual([1, 2, 3, 1]);
    expect(shapeAfter("Unsqueeze", [of([2, 3])], { axes: [1] }, { opset: 11 })).toEqual([2, 1, 3]);
    expect(shapeAfter("Squeeze", [of([1, 2, 1]), known([-1])])).toEqual([1, 2]);
    expect(shapeAfter("Squeeze", [of([1, 2, 1])])).toEqual([2]);
    expect(shapeAfter("Squeeze", [of([1, "n"])])).toBeUndefined();
    expect(shapeAfter("Squeeze", [of([1, "n"])], { axes: [0] }, { opset: 11 })).toEqual(["n"]);
    expect(() => infer("Squeeze", [of([1, 2]), known([1])])).toThrow(
      "axis 1 of [1,2] has length 2; only length 1 can be removed",
    );
    expect(() => infer("Unsqueeze", [of([2]), known([0, -3])])).toThrow("name one axis twice");
  });

  it("Flatten multiplies lengths before and after the axis", () => {
    expect(shapeAfter("Flatten", [of(["batch", 3, 4])])).toEqual(["batch", 12]);
    expect(shapeAfter("Flatten", [of([2, 3, 4])], { axis: -1 })).toEqual([6, 4]);
    expect(shapeAfter("Flatten", [of([2, 3])], { axis: 0 })).toEqual([1, 6]);
  });

  it("Expand broadcasts both ways, Tile repeats", () => {
    expect(shapeAfter("Expand", [of([3, 1]), known([2, 1, 4])])).toEqual([2, 3, 4]);
    expect(valueAfter("Expand", [known([7, 8]), known([2, 2])])).toEqual([7, 8, 7, 8]);
    expect(() => infer("Expand", [of([3, 2]), known([3, 4])])).toThrow("[3,2] does not expand to [3,4]: axis -1 is 2, not 1");
    expect(shapeAfter("Tile", [of([2, "n"]), known([3, 1])])).toEqual([6, "n"]);
    expect(valueAfter("Tile", [known([1, 2]), known([2])])).toEqual([1, 2, 1, 2]);
    expect(() => infer("Tile", [of([2, 3]), known([3])])).toThrow("repeats [3] has 1 entries, [2,3] has 2 axes");
  });
});

describe("Concat and Split", () => {
  it("lengths add up along the axis, elsewhere the better known is kept", () => {
    expect(shapeAfter("Concat", [of([2, "h"]), of([3, undefined])], { axis: 0 })).toEqual([5, "h"]);
    expect(shapeAfter("Concat", [of([2, 3]), of([2, "n"])], { axis: -1 })).toEqual([2, undefined]);
    expect(valueAfter("Concat", [known([1, 2]), known([3])], { axis: 0 })).toEqual([1, 2, 3]);
    expect(valueAfter("Concat", [grid, grid], { axis: 1 })).toEqual([0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]);
    const batch = { dtype: "int64", shape: [1], partial: ["batch"] } as const;
    expect(infer("Concat", [batch, known([4])], { axis: 0 })[0]!.partial).toEqual(["batch", 4]);
    expect(infer("Concat", [of([1], "int64"), known([4])], { axis: 0 })[0]!.partial).toEqual([undefined, 4]);
  });

  it("refuses inputs that differ elsewhere", () => {
    expect(() => infer("Concat", [of([2, 3]), of([2, 4])], { axis: 0 })).toThrow(
      'Concat "y0": inputs [2,3], [2,4] joined along axis 0 differ on axis 1: 3 and 4',
    );
    expect(() => infer("Concat", [of([2, 3]), of([2])], { axis: 0 })).toThrow("must have equal rank");
  });

  it("Split into given or equal parts", () => {
    const shapes = (...call: Parameters<typeof infer>) => infer(...call).map((v) => v.shape);
    expect(shapes("Split", [of([2, 7]), known([3, 4])], { axis: -1 }, { outputs: 2 })).toEqual([
      [2, 3],
      [2, 4],
    ]);
    expect(shapes("Split", [of([6])], {}, { outputs: 3, opset: 13 })).toEqual([[2], [2], [2]]);
    expect(shapes("Split", [of([7])], { num_outputs: 3 }, { outputs: 3 })).toEqual([[3], [3], [1]]);
    expect(shapes("Split", [of([6])], { split: [1, 5] }, { outputs: 2, opset: 11 })).toEqual([[1], [5]]);
    expect(infer("Split", [grid], { axis: 1, num_outputs: 3 }, { outputs: 3 })[1]!.value).toEqual([1, 4]);
    expect(() => infer("Split", [of([7]), known([3, 3])], {}, { outputs: 2 })).toThrow(
      "split [3,3] adds up to 6, the axis has length 7",
    );
    expect(() => infer("Split", [of([7])], {}, { outputs: 2, opset: 13 })).toThrow("length 7 cannot be split into 2 equal parts");
  });
});

describe("Slice", () => {
  const slice = (starts: number[], ends: number[], axes?: number[], steps?: number[]) => [
    known(starts),
    known(ends),
    axes && known(axes),
    steps && known(steps),
  ];
  const max = 2 ** 63;

  it("follows Python's rules for negative and overlong ends and negative steps", () => {
    expect(valueAfter("Slice", [known([0, 1, 2, 3, 4]), ...slice([1], [4])])).toEqual([1, 2, 3]);
    expect(valueAfter("Slice", [known([0, 1, 2, 3, 4]), ...slice([-2], [max])])).toEqual([3, 4]);
    expect(valueAfter("Slice", [known([0, 1, 2, 3, 4]), ...slice([-1], [-max], [0], [-1])])).toEqual([4, 3, 2, 1, 0]);
    expect(valueAfter("Slice", [known([0, 1, 2, 3, 4]), ...slice([4], [0], [0], [-2])])).toEqual([4, 2]);
    expect(valueAfter("Slice", [known([0, 1, 2, 3, 4]), ...slice([0], [5], [0], [2])])).toEqual([0, 2, 4]);
    expect(valueAfter("Slice", [grid, ...slice([1], [3], [-1])])).toEqual([1, 2, 4, 5]);
    expect(shapeAfter("Slice", [of([5]), ...slice([4], [2])])).toEqual([0]);
  });

  it("takes attributes before opset 10", () => {
    expect(shapeAfter("Slice", [of([2, 9])], { starts: [2], ends: [-1], axes: [1] }, { opset: 9 })).toEqual([2, 6]);
  });

  it("leaves other axes, and a named axis when all of it is taken", () => {
    expect(shapeAfter("Slice", [of(["batch", 9, "n"]), ...slice([0, 2], [max, 5], [2, 1])])).toEqual(["batch", 3, "n"]);
    expect(shapeAfter("Slice", [of(["batch", 9]), ...slice([1], [max], [0])])).toEqual([undefined, 9]);
    expect(shapeAfter("Slice", [of([4, 9]), of([1], "int64"), of([1], "int64"), known([1])])).toEqual([4, undefined]);
    expect(shapeAfter("Slice", [of([4, 9]), of([1], "int64"), of([1], "int64")])).toEqual([undefined, 9]);
  });

  it("refuses step 0 and lists of different lengths", () => {
    expect(() => infer("Slice", [of([4]), ...slice([0], [4], [0], [0])])).toThrow("step 0 on axis 0");
    expect(() => infer("Slice", [of([4, 4]), ...slice([0, 0], [4], [0, 1])])).toThrow(
      "ends [4] has 1 entries for 2 axes of [4,4]",
    );
  });
});

describe("Pad", () => {
  it("adds begins and ends, negative ones cut", () => {
    expect(shapeAfter("Pad", [of([2, 3]), known([0, 1, 2, -1])])).toEqual([4, 3]);
    expect(shapeAfter("Pad", [of(["n", 3]), known([1, 1]), undefined, known([-1])])).toEqual(["n", 5]);
    expect(shapeAfter("Pad", [of([2, 3])], { pads: [0, 0, 0, 1] }, { opset: 2 })).toEqual([2, 4]);
    expect(() => infer("Pad", [of([2, 3]), known([1, 1])])).toThrow(
      "pads [1,1] has 2 entries, 2 axes need 4: all begins, then all ends",
    );
    expect(() => infer("Pad", [of([2]), known([-2, -1])])).toThrow("remove more than the 2 entries of axis 0");
  });
});

describe("resolution", () => {
  const image = of(["batch", 4, 6, 6]);
  const scales = (values: number[]) => known(values, "float32");

  it("Resize by scales rounds down, by sizes it is exact", () => {
    expect(shapeAfter("Resize", [image, undefined, scales([1, 1, 2, 1.5])])).toEqual(["batch", 4, 12, 9]);
    expect(shapeAfter("Resize", [image, undefined, scales([1, 1, 0.6, 0.6])])).toEqual(["batch", 4, 3, 3]);
    expect(shapeAfter("Resize", [image, undefined, undefined, known([2, 4, 7, 8])])).toEqual([2, 4, 7, 8]);
    expect(shapeAfter("Resize", [image, scales([1, 1, 2, 2])], {}, { opset: 10 })).toEqual(["batch", 4, 12, 12]);
    expect(shapeAfter("Resize", [image, undefined, scales([2])], { axes: [-1] })).toEqual(["batch", 4, 6, 12]);
    expect(
      shapeAfter("Resize", [of([1, 1, 6, 3]), undefined, undefined, known([3, 3])], {
        axes: [2, 3],
        keep_aspect_ratio_policy: "not_larger",
      }),
    ).toEqual([1, 1, 3, 2]);
    expect(() => infer("Resize", [image, undefined, scales([2, 2])])).toThrow(
      "scales [2,2] has 2 entries for 4 axes of [batch,4,6,6]",
    );
  });

  it("Upsample has scales as an attribute, then as an input", () => {
    expect(shapeAfter("Upsample", [image], { scales: floats([1, 1, 2, 2]) }, { opset: 7 })).toEqual(["batch", 4, 12, 12]);
    expect(shapeAfter("Upsample", [image, scales([1, 1, 2, 2])], {}, { opset: 9 })).toEqual(["batch", 4, 12, 12]);
  });

  it("DepthToSpace and SpaceToDepth trade channels for pixels", () => {
    expect(shapeAfter("DepthToSpace", [image], { blocksize: 2 })).toEqual(["batch", 1, 12, 12]);
    expect(shapeAfter("SpaceToDepth", [image], { blocksize: 3 })).toEqual(["batch", 36, 2, 2]);
    expect(() => infer("DepthToSpace", [image], { blocksize: 3 })).toThrow("channels 4 of [batch,4,6,6] cannot be divided by 9");
  });
});

describe("generation", () => {
  it("Shape and Size know named axes", () => {
    expect(infer("Shape", [of(["batch", 4, 8])])[0]).toEqual({ dtype: "int64", shape: [3], partial: ["batch", 4, 8] });
    expect(valueAfter("Shape", [of(["batch", 4, 8])], { start: -2 })).toEqual([4, 8]);
    expect(valueAfter("Size", [of([3, 4])])).toEqual([12]);
    expect(infer("Shape", [{}])[0]).toEqual({ dtype: "int64", shape: [undefined] });
  });

  it("ConstantOfShape, Range, Constant, OneHot, EyeLike, random values", () => {
    expect(infer("ConstantOfShape", [known([2, 2])])[0]).toEqual({ dtype: "float32", shape: [2, 2], value: [0, 0, 0, 0] });
    expect(infer("Range", [knownScalar(2), knownScalar(9), knownScalar(3)])[0]).toEqual({
      dtype: "int64",
      shape: [3],
      value: [2, 5, 8],
    });
    expect(valueAfter("Range", [knownScalar(3), knownScalar(0), knownScalar(-1)])).toEqual([3, 2, 1]);
    expect(() => infer("Range", [knownScalar(3), knownScalar(0), knownScalar(0)])).toThrow("delta is 0");
    expect(infer("Constant", [], { value_ints: [4, 5] })[0]).toEqual({ dtype: "int64", shape: [2], value: [4, 5] });
    expect(infer("OneHot", [of(["n"], "int64"), knownScalar(10), of([2])])[0]).toEqual({ dtype: "float32", shape: ["n", 10] });
    expect(infer("EyeLike", [of([2, 3])], { dtype: 7 })[0]).toEqual({ dtype: "int64", shape: [2, 3] });
    expect(infer("RandomNormal", [], { shape: [2, 3] })[0]).toEqual({ dtype: "float32", shape: [2, 3] });
    expect(infer("RandomNormalLike", [of(["n", 3], "float16")])[0]).toEqual({ dtype: "float16", shape: ["n", 3] });
  });
});
