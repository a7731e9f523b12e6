import type { PoolingOp } from "../../../../../lib/autodiff/rules/operators.js";
import { type AttributeInput, float } from "../../../../../lib/onnx/index.js";
import { float32, int64 } from "../../../../../lib/tensor/index.js";
import { type Cases, distinct, type Write } from "../draw.js";

interface PoolOptions {
  readonly ceil?: boolean;
  readonly countPad?: boolean;
  readonly dilated?: boolean;
  readonly autoPad?: string;
}

const pool =
  (
    op: "AveragePool" | "MaxPool",
    rank: number,
    { ceil = false, countPad = false, dilated = false, autoPad }: PoolOptions = {},
  ): Write =>
  ({ g, x, rng, between }) => {
    const each = (low: number, high: number): number[] => Array.from({ length: rank }, () => between(low, high));
    const kernel = each(2, 3);
    const shape = [between(1, 2), between(1, 2), ...each(6, 8)];
    const count = shape.reduce((a, b) => a * b);
    // Rounded up, no window may start in the padding at the end: it is left out, but until operator set 22 ONNX's own
    // shape inference counts it, and ONNX Runtime refuses the graph.
    const padEnd = kernel.map((k) => (ceil ? 0 : between(0, k - 1)));
    return g.op(op, [x(shape, op === "MaxPool" ? distinct(rng, count) : undefined)], {
      kernel_shape: kernel,
      strides: kernel.map((k) => between(1, ceil || autoPad ? k : 3)),
      pads: autoPad ? undefined : [...kernel.map((k) => between(0, k - 1)), ...padEnd],
      auto_pad: autoPad,
      dilations: dilated ? each(1, 2) : undefined,
      ceil_mode: ceil ? 1 : undefined,
      count_include_pad: countPad ? 1 : undefined,
    });
  };

/** Resizes one or two axes by the given scales, or to sizes. */
const resize =
  (attributes: Record<string, AttributeInput>, scales?: readonly number[]): Write =>
  ({ g, x, between }) => {
    const [height, width] = [between(3, 5), between(3, 5)];
    const image = x([1, 2, height, width]);
    if (scales !== undefined) return g.op("Resize", [image, undefined, g.constant(float32([1, 1, ...scales]))], attributes);
    const sizes = int64([1, 2, between(2, 9), between(2, 9)]);
    return g.op("Resize", [image, undefined, undefined, g.constant(sizes)], attributes);
  };

const transforms = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"];

/** Nearest modes need no derivative of the coordinates, but every rounding. */
const nearest: Cases = Object.fromEntries(
  transforms.flatMap((transform) =>
    ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"].map((nearest_mode) => [
      `nearest, ${transform}, ${nearest_mode}`,
      resize({ mode: "nearest", coordinate_transformation_mode: transform, nearest_mode }),
    ]),
  ),
);

const smooth: Cases = Object.fromEntries(
  ["linear", "cubic"].flatMap((mode) =>
    transforms.map((transform) => [`${mode}, ${transform}`, resize({ mode, coordinate_transformation_mode: transform })]),
  ),
);

export const poolingCases: Readonly<Record<PoolingOp, Cases>> = {
  AveragePool: {
    "1-D": pool("AveragePool", 1),
    "2-D": pool("AveragePool", 2),
    "2-D, padding counted": pool("AveragePool", 2, { countPad: true }),
    "2-D, rounded up": pool("AveragePool", 2, { ceil: true }),
    "2-D, rounded up, padding counted": pool("AveragePool", 2, { ceil: true, countPad: true }),
    "2-D, padded alike, the rest above": pool("AveragePool", 2, { autoPad: "SAME_UPPER" }),
    "2-D, padded alike, the rest below, padding counted": pool("AveragePool", 2, { autoPad: "SAME_LOWER", countPad: true }),
    "3-D": pool("AveragePool", 3),
    "2×2 halves": ({ g, x }) => g.op("AveragePool", [x([2, 3, 4, 6])], { kernel_shape: [2, 2], strides: [2, 2] }),
  },
  MaxPool: {
    "1-D": pool("MaxPool", 1),
    "2-D": pool("MaxPool", 2),
    "2-D, rounded up": pool("MaxPool", 2, { ceil: true }),
    "2-D, dilated": pool("MaxPool", 2, { dilated: true }),
    "2-D, padded alike": pool("MaxPool", 2, { autoPad: "SAME_UPPER" }),
    "3-D": pool("MaxPool", 3),
  },
  GlobalAveragePool: { "any rank": ({ g, x, shape, between }) => g.op("GlobalAveragePool", [x(shape(between(3, 5)))]) },
  GlobalMaxPool: {
    "any rank": ({ g, x, rng, shape, between }) => {
      const whole = shape(between(3, 5));
      return g.op("GlobalMaxPool", [
        x(
          whole,
          distinct(
            rng,
            whole.reduce((a, b) => a * b),
          ),
        ),
      ]);
    },
  },
  Resize: {
    "nearest doubling, as U-Nets upsample": resize(
      { mode: "nearest", coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" },
      [2, 2],
    ),
    "nearest by 1.6 and 0.7": resize(
      { mode: "nearest", coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" },
      [1.6, 0.7],
    ),
    "linear by 1.7 and 0.6": resize({ mode: "linear" }, [1.7, 0.6]),
    "cubic by 2 with another coefficient": resize({ mode: "cubic", cubic_coeff_a: float(-0.5) }, [2, 2]),
    "of named axes": ({ g, x, between }) =>
      g.op("Resize", [x([1, 2, 4, 3]), undefined, undefined, g.constant(int64([between(5, 7), between(2, 6)]))], {
        mode: "linear",
        axes: [2, -1],
      }),
    ...nearest,
    ...smooth,
  },
};
