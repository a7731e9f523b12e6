import { describe, expect, it } from "vitest";
import { infer, of, shapeAfter } from "./graphs.js";

const image = of(["batch", 3, 8, 8]);

describe("Conv", () => {
  it("(length + pads - dilation·(kernel-1) - 1) / stride + 1, rounded down", () => {
    expect(shapeAfter("Conv", [image, of([4, 3, 3, 3])])).toEqual(["batch", 4, 6, 6]);
    expect(shapeAfter("Conv", [image, of([4, 3, 3, 3])], { pads: [1, 1, 1, 1] })).toEqual(["batch", 4, 8, 8]);
    expect(shapeAfter("Conv", [image, of([4, 3, 3, 3])], { pads: [1, 1, 1, 1], strides: [2, 2] })).toEqual(["batch", 4, 4, 4]);
    expect(shapeAfter("Conv", [image, of([4, 3, 3, 3])], { pads: [0, 0, 1, 1], strides: [2, 2] })).toEqual(["batch", 4, 4, 4]);
    expect(shapeAfter("Conv", [image, of([4, 3, 3, 3])], { dilations: [2, 3] })).toEqual(["batch", 4, 4, 2]);
    expect(shapeAfter("Conv", [of([1, 6, 9]), of([4, 3, 2])], { group: 2 })).toEqual([1, 4, 8]);
  });

  it("auto_pad SAME divides by the stride, VALID does not pad", () => {
    expect(shapeAfter("Conv", [of([1, 3, 7, 7]), of([4, 3, 3, 3])], { auto_pad: "SAME_UPPER", strides: [2, 2] })).toEqual([
      1, 4, 4, 4,
    ]);
    expect(shapeAfter("Conv", [of([1, 3, 7, 7]), of([4, 3, 3, 3])], { auto_pad: "VALID", strides: [2, 2] })).toEqual([
      1, 4, 3, 3,
    ]);
  });

  it("a named length stays where the padding makes up for the window", () => {
    const named = of([1, 3, "height", "width"]);
    expect(shapeAfter("Conv", [named, of([4, 3, 3, 1])], { pads: [1, 0, 1, 0] })).toEqual([1, 4, "height", "width"]);
    expect(shapeAfter("Conv", [named, of([4, 3, 3, 3])])).toEqual([1, 4, undefined, undefined]);
  });

  it("errors tell what does not fit", () => {
    expect(() => infer("Conv", [image, of([8, 4, 3, 3])])).toThrow(
      'Conv "y0": input has 3 channels, the weight [8,4,3,3] needs 4',
    );
    expect(() => infer("Conv", [image, of([8, 3, 3, 3])], { group: 2 })).toThrow("the weight [8,3,3,3] needs 6 (2 groups of 3)");
    expect(() => infer("Conv", [of([1, 4, 8]), of([3, 2, 3])], { group: 2 })).toThrow(
      "3 output channels cannot be divided into 2 groups",
    );
    expect(() => infer("Conv", [image, of([8, 3, 3])])).toThrow("input [batch,3,8,8] has 2 spatial axes, the weight [8,3,3] 1");
    expect(() => infer("Conv", [of([3, 8]), of([8, 3, 3])])).toThrow("input [3,8] has rank 2, at least 3 is needed");
    expect(() => infer("Conv", [image, of([8, 3, 9, 3])])).toThrow(
      "spatial axis 0 has length 8 (8 with padding), less than the window's 9",
    );
    expect(() => infer("Conv", [image, of([8, 3, 3, 3]), of([4])])).toThrow("bias is [4], [8] is needed");
    expect(() => infer("Conv", [image, of([8, 3, 3, 3])], { pads: [1, 1] })).toThrow(
      "pads [1,1] has 2 entries, 2 spatial axes need 4",
    );
    expect(() => infer("Conv", [image, of([8, 3, 3, 3])], { kernel_shape: [5, 5] })).toThrow("kernel_shape is [5,5]");
  });
});

describe("ConvTranspose", () => {
  const small = of([1, 4, 5]);
  it("stride·(length-1) + dilation·(kernel-1) + 1 + output_padding - pads", () => {
    expect(shapeAfter("ConvTranspose", [small, of([4, 3, 3])])).toEqual([1, 3, 7]);
    expect(shapeAfter("ConvTranspose", [small, of([4, 3, 3])], { strides: [2], pads: [1, 1], output_padding: [1] })).toEqual([
      1, 3, 10,
    ]);
    expect(shapeAfter("ConvTranspose", [small, of([4, 3, 3])], { dilations: [2] })).toEqual([1, 3, 9]);
    expect(shapeAfter("ConvTranspose", [small, of([4, 3, 4])], { strides: [2], pads: [1, 1], group: 2 })).toEqual([1, 6, 10]);
  });

  it("SAME gives stride·length, output_shape what it says", () => {
    expect(shapeAfter("ConvTranspose", [small, of([4, 3, 3])], { auto_pad: "SAME_UPPER", strides: [2] })).toEqual([1, 3, 10]);
    expect(shapeAfter("ConvTranspose", [small, of([4, 3, 3])], { output_shape: [11], strides: [2] })).toEqual([1, 3, 11]);
  });

  it("refuses a weight for other channels", () => {
    expect(() => infer("ConvTranspose", [small, of([3, 4, 3])])).toThrow("input has 4 channels, the weight [3,4,3] needs 3");
  });
});

describe("pooling", () => {
  it("rounds down, or up with ceil_mode", () => {
    expect(shapeAfter("MaxPool", [of([1, 2, 7])], { kernel_shape: [2], strides: [2] })).toEqual([1, 2, 3]);
    expect(shapeAfter("MaxPool", [of([1, 2, 7])], { kernel_shape: [2], strides: [2], ceil_mode: 1 })).toEqual([1, 2, 4]);
    expect(shapeAfter("AveragePool", [image], { kernel_shape: [2, 2], strides: [2, 2] })).toEqual(["batch", 3, 4, 4]);
  });

  it("ceil_mode adds no window that starts in the padding", () => {
    // Windows would start at 0 and 3 of the 1 + 2 + 1 padded entries; entry 3 is padding.
    expect(shapeAfter("MaxPool", [of([1, 2, 2])], { kernel_shape: [2], strides: [3], pads: [1, 1], ceil_mode: 1 })).toEqual([
      1, 2, 1,
    ]);
  });

  it("MaxPool's indices are int64; global pools leave length 1", () => {
    expect(infer("MaxPool", [image], { kernel_shape: [2, 2] }, { outputs: 2 })[1]).toEqual({
      dtype: "int64",
      shape: ["batch", 3, 7, 7],
    });
    expect(shapeAfter("GlobalAveragePool", [image])).toEqual(["batch", 3, 1, 1]);
  });

  it("refuses a window that does not fit", () => {
    expect(() => infer("MaxPool", [image], { kernel_shape: [9, 9] })).toThrow("less than the window's 9");
    expect(() => infer("MaxPool", [image], { kernel_shape: [2] })).toThrow(
      "kernel_shape [2] has 1 entries, the input [batch,3,8,8] has 2 spatial axes",
    );
  });
});
