import type { NormalizationOp } from "../../../../../lib/autodiff/rules/operators.js";
import { float } from "../../../../../lib/onnx/index.js";
import { awayFromZero, type Cases, positive, type Write } from "../draw.js";

/** Scale and bias of the normalized axes' shape, for any first normalized axis. */
const affine =
  (op: "LayerNormalization" | "RMSNormalization" | "SimplifiedLayerNormalization", bias: boolean): Write =>
  ({ g, x, rng, shape, between }) => {
    const whole = shape(3, 2, 4);
    const axis = rng.choice([-1, -2, 1, 2]);
    const scale = whole.slice(axis < 0 ? axis : axis);
    const operands = [x(whole), x(scale), ...(bias ? [x(scale)] : [])];
    return g.op(op, operands, { axis, epsilon: float(0.01 * between(1, 5)) });
  };

const grouped: Write = ({ g, x, between }) => {
  const groups = between(1, 3);
  const channels = groups * between(1, 3);
  const parameters = g.opset < 21 ? groups : channels;
  const image = x([between(1, 2), channels, between(2, 3), between(2, 3)]);
  return g.op("GroupNormalization", [image, x([parameters]), x([parameters])], { num_groups: groups, epsilon: float(0.01) });
};

const statistics: Write = ({ g, x, between, shape }) => {
  const channels = between(1, 3);
  const image = x([2, channels, ...shape(between(0, 2))]);
  return g.op("BatchNormalization", [image, x([channels]), x([channels]), x([channels]), x([channels], positive)], {
    epsilon: float(1e-3),
  });
};

export const normalizationCases: Readonly<Record<NormalizationOp, Cases>> = {
  LayerNormalization: {
    "scale and bias, any axis": affine("LayerNormalization", true),
    "without bias": affine("LayerNormalization", false),
    "the mean and the inverse deviation too": ({ g, x, shape, dtype }) => {
      const whole = shape(2, 2, 4);
      const scale = x([whole[1]!]);
      const outputs = g.ops("LayerNormalization", [x(whole), scale], { axis: -1, epsilon: float(0.1) }, 3);
      const [y, mean, inverse] = outputs.map((v) => v.cast(dtype));
      return g.concat([y!, mean!, inverse!.mul(2)], 1);
    },
  },
  InstanceNormalization: {
    "1-D and 2-D": ({ g, x, shape, between }) => {
      const channels = between(1, 3);
      const image = x([2, channels, ...shape(between(1, 2), 2, 4)]);
      return g.op("InstanceNormalization", [image, x([channels]), x([channels])], { epsilon: float(0.01) });
    },
  },
  GroupNormalization: { "any number of groups": grouped },
  BatchNormalization: { "inference, any rank": statistics },
  SimplifiedLayerNormalization: { "any axis": affine("SimplifiedLayerNormalization", false) },
  RMSNormalization: { "any axis": affine("RMSNormalization", false) },
  LpNormalization: {
    "p = 2": ({ g, x, shape, between }) =>
      g.op("LpNormalization", [x(shape(3, 2, 3), awayFromZero)], { axis: between(-3, 2), p: 2 }),
    "p = 1": ({ g, x, shape, between }) =>
      g.op("LpNormalization", [x(shape(3, 2, 3), awayFromZero)], { axis: between(-3, 2), p: 1 }),
  },
  MeanVarianceNormalization: {
    "all but the channels by default": ({ g, x, shape }) => g.op("MeanVarianceNormalization", [x([2, 2, ...shape(2, 2, 3)])]),
    "named axes": ({ g, x, shape }) => g.op("MeanVarianceNormalization", [x(shape(3, 2, 3))], { axes: [1, 2] }),
  },
};
