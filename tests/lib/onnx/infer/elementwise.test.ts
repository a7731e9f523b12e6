import { describe, expect, it } from "vitest";
import { float } from "../../../../lib/onnx/graph.js";
import { infer, known, knownScalar, of, shapeAfter, valueAfter } from "./graphs.js";

describe("broadcasting", () => {
  it("aligns shapes at the right and stretches length 1", () => {
    expect(shapeAfter("Add", [of([4, 1, 3]), of([5, 1])])).toEqual([4, 5, 3]);
    expect(shapeAfter("Mul", [of([]), of([2])])).toEqual([2]);
    expect(shapeAfter("Sum", [of([2, 1]), of([1, 3]), of([4, 1, 1])])).toEqual([4, 2, 3]);
    expect(shapeAfter("Where", [of([3, 1], "bool"), of([4]), of([])])).toEqual([3, 4]);
  });

  it("keeps a name where both lengths bear it, and gives none where they may differ", () => {
    expect(shapeAfter("Add", [of(["batch", 4]), of(["batch", 1])])).toEqual(["batch", 4]);
    expect(shapeAfter("Add", [of(["batch", 4]), of([4])])).toEqual(["batch", 4]);
    expect(shapeAfter("Add", [of(["batch"]), of(["tokens"])])).toEqual([undefined]);
    expect(shapeAfter("Add", [of(["batch"]), of([7])])).toEqual([7]);
    expect(shapeAfter("Add", [of([undefined]), of([1])])).toEqual([undefined]);
  });

  it("names the axis that does not fit", () => {
    expect(() => shapeAfter("Add", [of([2, 3]), of([4, 3])])).toThrow(
      'Add "y0": shapes [2,3] and [4,3] do not broadcast: axis -2 is 2 against 4; lengths must be equal or 1',
    );
  });

  it("refuses operands of different dtypes with a TypeError that names both", () => {
    expect(() => infer("Add", [of([2]), of([2], "int64")])).toThrow(TypeError);
    expect(() => infer("Add", [of([2]), of([2], "int64")])).toThrow('"a" is float32, "b" is int64');
    expect(() => infer("Pow", [of([2]), of([2], "int64")])).not.toThrow();
  });

  it("compares to bool, selects the dtype of the branches", () => {
    expect(infer("Less", [of([2]), of([2])])[0]!.dtype).toBe("bool");
    expect(infer("Where", [of([2], "bool"), of([2], "float16"), of([2], "float16")])[0]!.dtype).toBe("float16");
  });
});

describe("known contents", () => {
  it("whole numbers are divided towards zero, floats are not", () => {
    expect(valueAfter("Div", [known([7, -7]), known([2, 2])])).toEqual([3, -3]);
    expect(valueAfter("Div", [known([7], "float32"), known([2], "float32")])).toEqual([3.5]);
    expect(valueAfter("Div", [known([7]), known([0])])).toBeUndefined();
  });

  it("Mod has the sign of the divisor, with fmod that of the dividend", () => {
    expect(valueAfter("Mod", [known([-7, 7]), known([3, -3])])).toEqual([2, -2]);
    expect(valueAfter("Mod", [known([-7, 7]), known([3, -3])], { fmod: 1 })).toEqual([-1, 1]);
  });

  it("broadcasts: a column plus a row", () => {
    const column = { dtype: "int64", shape: [2, 1], value: [10, 20] } as const;
    expect(valueAfter("Add", [column, known([1, 2, 3])])).toEqual([11, 12, 13, 21, 22, 23]);
  });

  it("float32 results are rounded to float32, float16 to float16", () => {
    expect(valueAfter("Add", [known([0.1], "float32"), known([0.2], "float32")])).toEqual([Math.fround(0.1 + 0.2)]);
    expect(valueAfter("Mul", [known([2049], "float16"), known([1.5], "float16")])).toEqual([3074]);
    expect(valueAfter("Reciprocal", [known([3], "float16")])).toEqual([0.333251953125]);
    expect(valueAfter("Mul", [known([65504], "float16"), known([2], "float16")])).toEqual([Number.POSITIVE_INFINITY]);
  });

  it("Min, Max, Neg, Abs, Sqrt, Pow, Floor, Ceil, Sign, Clip, Not, And, Or", () => {
    expect(valueAfter("Min", [known([3, 9]), known([5])])).toEqual([3, 5]);
    expect(valueAfter("Max", [known([3, 9]), known([5]), known([4])])).toEqual([5, 9]);
    expect(valueAfter("Neg", [known([0, 4])])).toEqual([0, -4]);
    expect(valueAfter("Abs", [known([-4])])).toEqual([4]);
    expect(valueAfter("Sqrt", [known([16], "float32")])).toEqual([4]);
    expect(valueAfter("Pow", [known([2, 3]), known([3])])).toEqual([8, 27]);
    expect(valueAfter("Floor", [known([-1.5], "float32")])).toEqual([-2]);
    expect(valueAfter("Ceil", [known([1.25], "float32")])).toEqual([2]);
    expect(valueAfter("Sign", [known([-3, 0, 3])])).toEqual([-1, 0, 1]);
    expect(valueAfter("Clip", [known([-3, 3]), knownScalar(0), knownScalar(2)])).toEqual([0, 2]);
    expect(valueAfter("Clip", [known([-3, 3], "float32")], { min: float(-1) }, { opset: 6 })).toEqual([-1, 3]);
    expect(valueAfter("Not", [known([1, 0], "bool")])).toEqual([0, 1]);
    expect(valueAfter("And", [known([1, 1], "bool"), known([1, 0], "bool")])).toEqual([1, 0]);
    expect(valueAfter("Or", [known([0, 1], "bool"), known([0, 0], "bool")])).toEqual([0, 1]);
  });

  it("comparisons and Where", () => {
    expect(valueAfter("Equal", [known([1, -1]), known([-1])])).toEqual([0, 1]);
    expect(valueAfter("Greater", [known([1, 3]), known([2])])).toEqual([0, 1]);
    expect(valueAfter("LessOrEqual", [known([2, 3]), known([2])])).toEqual([1, 0]);
    expect(valueAfter("Where", [known([1, 0], "bool"), known([5, 6]), known([7, 8])])).toEqual([5, 8]);
  });

  it("Cast truncates to integers, wraps nothing: what does not fit is unknown", () => {
    expect(valueAfter("Cast", [known([2.9, -2.9], "float32")], { to: 7 })).toEqual([2, -2]);
    expect(valueAfter("Cast", [known([0, 5])], { to: 9 })).toEqual([0, 1]);
    expect(valueAfter("Cast", [known([300])], { to: 2 })).toBeUndefined();
    expect(infer("Cast", [of([2])], { to: 10 })[0]).toEqual({ dtype: "float16", shape: [2] });
  });

  it("named lengths pass through neutral arithmetic and differ from -1", () => {
    const batch = { dtype: "int64", shape: [1], partial: ["batch"] } as const;
    expect(infer("Mul", [batch, known([1])])[0]!.partial).toEqual(["batch"]);
    expect(infer("Mul", [batch, known([2])])[0]!.partial).toBeUndefined();
    expect(infer("Add", [known([0]), batch])[0]!.partial).toEqual(["batch"]);
    expect(infer("Sub", [known([0]), batch])[0]!.partial).toBeUndefined();
    expect(valueAfter("Equal", [batch, known([-1])])).toEqual([0]);
    expect(infer("Where", [known([0], "bool"), known([1]), batch])[0]!.partial).toEqual(["batch"]);
  });
});

describe("activations", () => {
  const keep = [
    "Relu",
    "Sigmoid",
    "Tanh",
    "Exp",
    "Log",
    "Erf",
    "Gelu",
    "Sin",
    "Cos",
    "Softplus",
    "LeakyRelu",
    "Elu",
    "HardSigmoid",
    "Round",
  ];
  it.each(keep)("%s keeps shape and dtype", (opType) => {
    expect(infer(opType, [of(["batch", 3], "float16")])).toEqual([{ dtype: "float16", shape: ["batch", 3] }]);
  });

  it("Softmax refuses an axis the value does not have", () => {
    expect(shapeAfter("Softmax", [of([2, 3])], { axis: -2 })).toEqual([2, 3]);
    expect(() => infer("Softmax", [of([2, 3])], { axis: 2 })).toThrow('Softmax "y0": axis 2 lies outside -2…1 of a rank-2 value');
  });

  it("Dropout has a mask", () => {
    expect(infer("Dropout", [of([2, 3])], {}, { outputs: 2 })[1]).toEqual({ dtype: "bool", shape: [2, 3] });
  });

  it("a bias or slope must broadcast into the input", () => {
    expect(shapeAfter("com.microsoft.BiasGelu", [of([2, 3]), of([3])])).toEqual([2, 3]);
    expect(() => infer("PRelu", [of([3]), of([2, 3])])).toThrow("[2,3] must broadcast to [3]");
  });
});
