import { describe, expect, it } from "vitest";
import { infer, of, shapeAfter } from "./graphs.js";

describe("normalizations", () => {
  it("LayerNormalization's mean and inverse deviation have length 1 from the axis on", () => {
    const outputs = infer("LayerNormalization", [of(["batch", 3, 4], "float16"), of([4], "float16")], {}, { outputs: 3 });
    expect(outputs).toEqual([
      { dtype: "float16", shape: ["batch", 3, 4] },
      { dtype: "float32", shape: ["batch", 3, 1] },
      { dtype: "float32", shape: ["batch", 3, 1] },
    ]);
    expect(infer("LayerNormalization", [of([2, 3, 4]), of([3, 4])], { axis: 1 }, { outputs: 2 })[1]!.shape).toEqual([2, 1, 1]);
    expect(infer("SimplifiedLayerNormalization", [of([2, 4]), of([4])], {}, { outputs: 2 })[1]!.shape).toEqual([2, 1]);
    expect(() => infer("LayerNormalization", [of([2, 4]), of([3])])).toThrow("scale [3] does not broadcast to the input [2,4]");
  });

  it("per-channel parameters must have one entry per channel", () => {
    const image = of([1, 6, 5, 5]);
    expect(shapeAfter("InstanceNormalization", [image, of([6]), of([6])])).toEqual([1, 6, 5, 5]);
    expect(() => infer("InstanceNormalization", [image, of([5]), of([6])])).toThrow(
      'InstanceNormalization "y0": scale is [5], the input [1,6,5,5] has 6 channels and needs [6]',
    );
    expect(() => infer("BatchNormalization", [image, of([6]), of([6]), of([6]), of([1])])).toThrow("variance is [1]");
    expect(
      infer("BatchNormalization", [image, ...Array(4).fill(of([6]))], { training_mode: 1 }, { outputs: 3 })[2]!.shape,
    ).toEqual([6]);
  });

  it("GroupNormalization has parameters per channel since opset 21, per group before", () => {
    const image = of([1, 6, 5, 5]);
    expect(shapeAfter("GroupNormalization", [image, of([6]), of([6])], { num_groups: 2 })).toEqual([1, 6, 5, 5]);
    expect(shapeAfter("GroupNormalization", [image, of([2]), of([2])], { num_groups: 2 }, { opset: 18 })).toEqual([1, 6, 5, 5]);
    expect(() => infer("GroupNormalization", [image, of([2]), of([2])], { num_groups: 2 })).toThrow(
      "[6] is needed (one per channel)",
    );
    expect(() => infer("GroupNormalization", [image, of([6]), of([6])], { num_groups: 4 })).toThrow(
      "6 channels of [1,6,5,5] cannot be divided into 4 groups",
    );
  });

  it("SkipLayerNormalization's fourth output is the sum", () => {
    const outputs = infer("com.microsoft.SkipLayerNormalization", [of([2, 3, 4]), of([2, 3, 4]), of([4])], {}, { outputs: 4 });
    expect(outputs.map((o) => o.shape)).toEqual([
      [2, 3, 4],
      [2, 3, 1],
      [2, 3, 1],
      [2, 3, 4],
    ]);
  });
});

describe("attention", () => {
  it("opset 23 takes heads as an axis or folded into the width", () => {
    expect(shapeAfter("Attention", [of([2, 8, 5, 16]), of([2, 4, 7, 16]), of([2, 4, 7, 12])])).toEqual([2, 8, 5, 12]);
    const folded = [of([2, 5, 128]), of([2, 7, 64]), of([2, 7, 48])];
    expect(infer("Attention", folded, { q_num_heads: 8, kv_num_heads: 4 }, { outputs: 4 }).map((o) => o.shape)).toEqual([
      [2, 5, 96],
      [2, 4, 7, 16],
      [2, 4, 7, 12],
      [2, 8, 5, 7],
    ]);
    expect(() => infer("Attention", [of([2, 8, 5, 16]), of([2, 8, 7, 8]), of([2, 8, 7, 8])])).toThrow(
      "query heads are 16 wide, key heads 8",
    );
  });

  it("ONNX Runtime's packed and multi-head forms", () => {
    expect(shapeAfter("com.microsoft.Attention", [of(["b", 5, 8]), of([8, 24]), of([24])], { num_heads: 2 })).toEqual([
      "b",
      5,
      8,
    ]);
    expect(
      shapeAfter("com.microsoft.MultiHeadAttention", [of(["b", 5, 8]), of(["b", 7, 8]), of(["b", 7, 6])], { num_heads: 2 }),
    ).toEqual(["b", 5, 6]);
    expect(() => infer("com.microsoft.MultiHeadAttention", [of([1, 5, 9])], { num_heads: 2 })).toThrow(
      "width 9 cannot be divided into 2 heads",
    );
  });
});

describe("quantization", () => {
  it("the zero point or the scale tells the dtype", () => {
    expect(infer("QuantizeLinear", [of([2]), of([]), of([], "int8")])[0]).toEqual({ dtype: "int8", shape: [2] });
    expect(infer("QuantizeLinear", [of([2]), of([])])[0]!.dtype).toBe("uint8");
    expect(infer("DequantizeLinear", [of([2], "int8"), of([], "float16")])[0]).toEqual({ dtype: "float16", shape: [2] });
    expect(infer("DynamicQuantizeLinear", [of([2])], {}, { outputs: 3 }).map((o) => o.dtype)).toEqual([
      "uint8",
      "float32",
      "uint8",
    ]);
    expect(infer("MatMulInteger", [of([2, 3], "uint8"), of([3, 4], "int8")])[0]).toEqual({ dtype: "int32", shape: [2, 4] });
    expect(infer("ConvInteger", [of([1, 2, 5], "uint8"), of([3, 2, 3], "uint8")])[0]).toEqual({
      dtype: "int32",
      shape: [1, 3, 3],
    });
    expect(
      shapeAfter("com.microsoft.MatMulNBits", [of([1, 7, 64]), of([32, 2, 16], "uint8"), of([64])], { K: 64, N: 32 }),
    ).toEqual([1, 7, 32]);
  });
});
