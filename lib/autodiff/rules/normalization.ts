import { float, floatAttribute, intAttribute, intsAttribute } from "../../onnx/graph.js";
import type { GraphBuilder, Value } from "../../program/index.js";
import { type Call, only, positiveAxis, UnsupportedOpError, unbroadcast, type Vjp } from "../vjp.js";
import type { NormalizationOp } from "./operators.js";

/**
 * Reverse of x̂ = (x − mean)/sd over `axes`: dx = (d − mean d − x̂·mean(d·x̂))/sd.
 * @param inverse 1/sd, axes kept as 1
 */
function standardizedGradient(d: Value, normalized: Value, inverse: Value, axes: readonly number[]): Value {
  const m1 = d.mean(axes, true);
  const m2 = d.mul(normalized).mean(axes, true);
  return d.sub(normalized.mul(m2).add(m1)).mul(inverse);
}

/** x̂ and 1/sd of every row [rows, length], from one fused operator. */
function standardizeRows(g: GraphBuilder, rows: Value, epsilon: number): { normalized: Value; inverse: Value } {
  const ones = g.full([rows.dim(-1)], 1, rows.dtype);
  const [normalized, , inverse] = g.ops("LayerNormalization", [rows, ones], { axis: -1, epsilon: float(epsilon) }, 3);
  return { normalized: normalized!, inverse: inverse!.cast(rows.dtype) };
}

/** All three outputs: y = x̂·scale + bias, the mean and 1/sd. They are what other rules of this file are made of. */
const layerNormalization: Vjp = (call, [d, dMean, dInverse], g) => {
  const [x, scale, bias] = call.inputs as [Value, Value, Value | undefined];
  const axis = positiveAxis(intAttribute(call.node, "axis", -1), x.rank);
  const axes = x.shape.flatMap((_, i) => (i >= axis ? [i] : []));
  const length = axes.reduce((n, a) => n * x.dim(a), 1);
  const plain = bias === undefined && g.isOnes(scale);
  let normalized: Value;
  let inverse: Value;
  if (plain && call.node.outputs[2]) {
    normalized = call.outputs[0]!;
    inverse = call.outputs[2]!.cast(x.dtype);
  } else {
    const rows = standardizeRows(g, x.reshape([-1, length]), floatAttribute(call.node, "epsilon", 1e-5));
    normalized = rows.normalized.reshape(x.dims);
    inverse = rows.inverse.reshape(x.dims.map((n, i) => (i >= axis ? 1 : n)));
  }
  // d mean = Σ dx/n and d(1/sd) = −Σ x̂ dx/(n·sd²)
  const parts = [
    d && standardizedGradient(plain ? d : d.mul(scale), normalized, inverse, axes),
    dMean && g.op("Expand", [dMean.cast(x.dtype).mul(1 / length), g.ints(x.dims)]),
    dInverse &&
      normalized.mul(
        dInverse
          .cast(x.dtype)
          .mul(inverse.square())
          .mul(-1 / length),
      ),
  ].filter((part) => part !== undefined);
  return [
    call.needs[0] ? parts.reduce((a, b) => a.add(b)) : undefined,
    d && call.needs[1] ? unbroadcast(d.mul(normalized), scale.shape) : undefined,
    d && call.needs[2] ? unbroadcast(d, bias!.shape) : undefined,
  ];
};

/** Shared by Instance- and GroupNormalization: groups of channels standardised per example, then scaled per channel. */
function grouped(call: Call, d: Value, g: GraphBuilder, groups: number, scalePerGroup: boolean): (Value | undefined)[] {
  const [x, scale, bias] = call.inputs as [Value, Value, Value];
  const [n, c] = x.dims as [number, number];
  const rows = standardizeRows(g, x.reshape([n, groups, -1]), floatAttribute(call.node, "epsilon", 1e-5));
  const perChannel = [n, c, x.size / (n * c)];
  const dc = d.reshape(perChannel);
  const xc = rows.normalized.reshape(perChannel);
  const channelScale = scalePerGroup ? g.op("Expand", [scale.unsqueeze(1), g.ints([groups, c / groups])]).reshape([c]) : scale;
  const scaled = dc.mul(channelScale.reshape([1, c, 1])).reshape([n, groups, -1]);
  const fold = (v: Value): Value => (scalePerGroup ? v.reshape([groups, c / groups]).sum([1]) : v);
  return [
    call.needs[0] ? standardizedGradient(scaled, rows.normalized, rows.inverse, [2]).reshape(x.dims) : undefined,
    call.needs[1] ? fold(dc.mul(xc).sum([2]).sum([0])).reshape(scale.dims) : undefined,
    call.needs[2] ? fold(dc.sum([2]).sum([0])).reshape(bias.dims) : undefined,
  ];
}

/** Inference form: an affine map per channel with fixed statistics. */
const batchNormalization: Vjp = (call, cotangents) => {
  if (intAttribute(call.node, "training_mode", 0) === 1)
    throw new UnsupportedOpError("BatchNormalization", call.node.name, "it runs in training mode");
  const [x, scale, bias, mean, variance] = call.inputs as [Value, Value, Value, Value, Value];
  const d = only(cotangents);
  const column = (v: Value): Value => v.reshape([v.dim(0), ...x.shape.slice(2).map(() => 1)]);
  const inverse = variance
    .add(floatAttribute(call.node, "epsilon", 1e-5))
    .sqrt()
    .reciprocal();
  const channelSum = (v: Value): Value => unbroadcast(v, column(scale).shape).reshape(scale.dims);
  return [
    call.needs[0] ? d.mul(column(scale.mul(inverse))) : undefined,
    call.needs[1] ? channelSum(d.mul(x.sub(column(mean)).mul(column(inverse)))) : undefined,
    call.needs[2] ? channelSum(d).reshape(bias.dims) : undefined,
    call.needs[3] ? channelSum(d).mul(scale).mul(inverse).neg() : undefined,
    call.needs[4]
      ? channelSum(d.mul(x.sub(column(mean))))
          .mul(scale)
          .mul(inverse.mul(inverse).mul(inverse))
          .mul(-0.5)
      : undefined,
  ];
};

/** y = x / rms(x) · scale: dx = (d·s − x̂·mean(d·s·x̂))/rms. */
const rmsNormalization: Vjp = (call, cotangents) => {
  const [x, scale] = call.inputs as [Value, Value];
  const d = only(cotangents);
  const axis = positiveAxis(intAttribute(call.node, "axis", -1), x.rank);
  const axes = x.shape.flatMap((_, i) => (i >= axis ? [i] : []));
  const inverse = x
    .square()
    .mean(axes, true)
    .add(floatAttribute(call.node, "epsilon", 1e-5))
    .sqrt()
    .reciprocal();
  const normalized = x.mul(inverse);
  const ds = d.mul(scale);
  return [
    call.needs[0] ? ds.sub(normalized.mul(ds.mul(normalized).mean(axes, true))).mul(inverse) : undefined,
    call.needs[1] ? unbroadcast(d.mul(normalized), scale.shape) : undefined,
  ];
};

/** y = x / ‖x‖ₚ along one axis. */
const lpNormalization: Vjp = (call, cotangents) => {
  const x = call.inputs[0]!;
  const y = call.outputs[0]!;
  const d = only(cotangents);
  const axis = positiveAxis(intAttribute(call.node, "axis", -1), x.rank);
  if (intAttribute(call.node, "p", 2) === 1) {
    const norm = x.abs().sum([axis], true);
    return [d.sub(x.sign().mul(d.mul(y).sum([axis], true))).div(norm)];
  }
  const norm = x.square().sum([axis], true).sqrt();
  return [d.sub(y.mul(d.mul(y).sum([axis], true))).div(norm)];
};

/** y = (x − mean)/sd over axes, by default all but the channels. */
const meanVarianceNormalization: Vjp = (call, cotangents) => {
  const axes = intsAttribute(call.node, "axes") ?? [0, 2, 3];
  const x = call.inputs[0]!;
  const centred = x.sub(x.mean(axes, true));
  const inverse = centred.square().mean(axes, true).sqrt().reciprocal();
  return [standardizedGradient(only(cotangents), call.outputs[0]!, inverse, axes)];
};

export const normalizationRules: Readonly<Record<NormalizationOp, Vjp>> = {
  LayerNormalization: layerNormalization,
  InstanceNormalization: ((call, cotangents, g) => grouped(call, only(cotangents), g, call.inputs[0]!.dim(1), false)) as Vjp,
  GroupNormalization: ((call, cotangents, g) => {
    const groups = intAttribute(call.node, "num_groups", 1);
    return grouped(call, only(cotangents), g, groups, g.opset < 21);
  }) as Vjp,
  BatchNormalization: batchNormalization,
  SimplifiedLayerNormalization: rmsNormalization,
  RMSNormalization: rmsNormalization,
  LpNormalization: lpNormalization,
  MeanVarianceNormalization: meanVarianceNormalization,
};
