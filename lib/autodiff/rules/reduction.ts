import { intAttribute } from "../../onnx/graph.js";
import type { GraphBuilder, Value } from "../../program/index.js";
import { type Call, only, positiveAxis, type Vjp } from "../vjp.js";
import { knownInts } from "./movement.js";
import type { ReductionOp } from "./operators.js";

function reducedAxes(call: Call): readonly number[] {
  const rank = call.inputs[0]!.rank;
  const axes = knownInts(call, 1, "axes") ?? [];
  if (axes.length > 0) return axes.map((a) => positiveAxis(a, rank));
  return intAttribute(call.node, "noop_with_empty_axes", 0) === 1 ? [] : call.inputs[0]!.shape.map((_, i) => i);
}

/** A reduced value (or its cotangent) with the reduced axes kept as 1, so that it broadcasts against the operand. */
function keepReduced(call: Call, value: Value): Value {
  const axes = reducedAxes(call);
  if (intAttribute(call.node, "keepdims", 1) === 1 || axes.length === 0) return value;
  return value.unsqueeze(...axes);
}

function countOf(call: Call): number {
  return reducedAxes(call).reduce((n, a) => n * call.inputs[0]!.dim(a), 1);
}

function broadcastTo(g: GraphBuilder, value: Value, x: Value): Value {
  return g.op("Expand", [value, g.op("Shape", [x])]);
}

/** A reduction whose reverse is written with the operand x, the kept result y and the kept cotangent d. */
function reduction(part: (d: Value, x: Value, y: Value, call: Call, g: GraphBuilder) => Value): Vjp {
  return (call, cotangents, g) => {
    const d = keepReduced(call, only(cotangents));
    return [part(d, call.inputs[0]!, keepReduced(call, call.outputs[0]!), call, g)];
  };
}

/** Ties share the cotangent equally, as PyTorch's amax does. */
const extreme = reduction((d, x, y, call) => {
  if (reducedAxes(call).length === 0) return d;
  const winners = x.equal(y).cast(x.dtype);
  return winners.mul(d.div(winners.sum(reducedAxes(call), true)));
});

/** y = softmax(x): dx = y(d − Σ d·y). */
const softmax: Vjp = (call, cotangents) => {
  const y = call.outputs[0]!;
  const axis = positiveAxis(intAttribute(call.node, "axis", -1), y.rank);
  const dy = only(cotangents).mul(y);
  return [dy.sub(y.mul(dy.sum([axis], true)))];
};

/** y = log softmax(x): dx = d − exp(y) Σ d. */
const logSoftmax: Vjp = (call, cotangents) => {
  const y = call.outputs[0]!;
  const d = only(cotangents);
  const axis = positiveAxis(intAttribute(call.node, "axis", -1), y.rank);
  return [d.sub(y.exp().mul(d.sum([axis], true)))];
};

/** The running sum's reverse is a running sum from the other end. */
const cumSum: Vjp = (call, cotangents, g) => [
  g.op("CumSum", [only(cotangents), call.inputs[1]], {
    exclusive: intAttribute(call.node, "exclusive", 0),
    reverse: 1 - intAttribute(call.node, "reverse", 0),
  }),
];

export const reductionRules: Readonly<Record<ReductionOp, Vjp>> = {
  ReduceSum: reduction((d, x, _y, _call, g) => broadcastTo(g, d, x)),
  ReduceMean: reduction((d, x, _y, call, g) => broadcastTo(g, d.mul(1 / countOf(call)), x)),
  ReduceSumSquare: reduction((d, x) => x.mul(d.mul(2))),
  ReduceL1: reduction((d, x) => x.sign().mul(d)),
  // 0 at the origin, where there is no derivative, as in PyTorch
  ReduceL2: reduction((d, x, y, _call, g) => x.mul(d.div(g.where(y.equal(0), 1, y)))),
  ReduceLogSumExp: reduction((d, x, y) => x.sub(y).exp().mul(d)),
  ReduceLogSum: reduction((d, x, y, _call, g) => broadcastTo(g, d.div(y.exp()), x)),
  ReduceProd: reduction((d, x, y) => d.mul(y).div(x)),
  ReduceMax: extreme,
  ReduceMin: extreme,
  Softmax: softmax,
  LogSoftmax: logSoftmax,
  CumSum: cumSum,
};
