import { floatAttribute, stringAttribute } from "../../onnx/graph.js";
import type { GraphBuilder, Value } from "../../program/index.js";
import { type Call, only, UnsupportedOpError, unbroadcast, type Vjp } from "../vjp.js";
import type { ElementwiseOp } from "./operators.js";

/** Rule of y = f(x) whose derivative is written with x, y and the cotangent. */
function unary(derivative: (d: Value, x: Value, y: Value, call: Call, g: GraphBuilder) => Value): Vjp {
  return (call, cotangents, g) => [derivative(only(cotangents), call.inputs[0]!, call.outputs[0]!, call, g)];
}

/** Rule of y = f(a, b) with broadcasting; each part is summed back to its operand's shape. */
function binary(parts: readonly ((d: Value, a: Value, b: Value, y: Value, g: GraphBuilder) => Value)[]): Vjp {
  return (call, cotangents, g) => {
    const [a, b] = call.inputs as [Value, Value];
    return parts.map((part, i) =>
      call.needs[i] ? unbroadcast(part(only(cotangents), a, b, call.outputs[0]!, g), call.inputs[i]!.shape) : undefined,
    );
  };
}

/** 1 where the condition holds, else 0, in the dtype of `like`. */
function indicator(condition: Value, like: Value): Value {
  return condition.cast(like.dtype);
}

/** Max and Min of any number of operands; ties share nothing: the first extreme operand gets it all, as in PyTorch's clamp. */
const extremum: Vjp = (call, cotangents, g) => {
  const y = call.outputs[0]!;
  let taken: Value | undefined;
  return call.inputs.map((x) => {
    const here = x!.equal(y);
    const mine: Value = taken === undefined ? here : g.op("And", [here, g.op("Not", [taken])]);
    taken = taken === undefined ? here : g.op("Or", [taken, here]);
    return unbroadcast(only(cotangents).mul(indicator(mine, y)), x!.shape);
  });
};

const sumOfOperands =
  (scale: (n: number) => number): Vjp =>
  (call, cotangents) =>
    call.inputs.map((x) => {
      const s = scale(call.inputs.length);
      return unbroadcast(s === 1 ? only(cotangents) : only(cotangents).mul(s), x!.shape);
    });

const SQRT_HALF = Math.SQRT1_2;
const INV_SQRT_2PI = 1 / Math.sqrt(2 * Math.PI);

/** d/dx gelu(x): Φ(x) + xφ(x), or the derivative of the tanh approximation. */
function geluDerivative(x: Value, approximate: string): Value {
  if (approximate === "tanh") {
    const c = Math.sqrt(2 / Math.PI);
    const t = x.square().mul(0.044715).add(1).mul(x).mul(c).tanh();
    const inner = x
      .square()
      .mul(3 * 0.044715)
      .add(1)
      .mul(c);
    return t
      .add(1)
      .mul(0.5)
      .add(x.mul(0.5).mul(t.square().neg().add(1)).mul(inner));
  }
  const cdf = x.mul(SQRT_HALF).erf().add(1).mul(0.5);
  return cdf.add(x.mul(x.square().mul(-0.5).exp().mul(INV_SQRT_2PI)));
}

/** s + y(1 − s), the derivative of x·sigmoid(αx) with s = sigmoid(αx), y = the output. */
function quickGeluDerivative(x: Value, alpha: number): Value {
  const s = x.mul(alpha).sigmoid();
  return s.add(x.mul(s).mul(s.neg().add(1)).mul(alpha));
}

/** Operand or bound: whichever the output equals gets the cotangent, as in PyTorch the operand where both do. */
const clip: Vjp = (call, cotangents) => {
  const [x, low, high] = call.inputs as [Value, Value | undefined, Value | undefined];
  const d = only(cotangents);
  const below = low && indicator(x.less(low), d);
  const above = high && indicator(x.greater(high), d);
  const outside = below && above ? below.add(above) : (below ?? above);
  return [
    outside === undefined ? d : d.mul(outside.neg().add(1)),
    below && call.needs[1] ? unbroadcast(d.mul(below), low!.shape) : undefined,
    above && call.needs[2] ? unbroadcast(d.mul(above), high!.shape) : undefined,
  ];
};

const where: Vjp = (call, cotangents, g) => {
  const [condition, a, b] = call.inputs as [Value, Value, Value];
  const d = only(cotangents);
  return [
    undefined,
    call.needs[1] ? unbroadcast(g.where(condition, d, g.scalar(0, d.dtype)), a.shape) : undefined,
    call.needs[2] ? unbroadcast(g.where(condition, g.scalar(0, d.dtype), d), b.shape) : undefined,
  ];
};

const alphaOf = (call: Call, otherwise: number): number => floatAttribute(call.node, "alpha", otherwise);

export const elementwiseRules: Readonly<Record<ElementwiseOp, Vjp>> = {
  Add: binary([(d) => d, (d) => d]),
  Sub: binary([(d) => d, (d) => d.neg()]),
  Mul: binary([(d, _a, b) => d.mul(b), (d, a) => d.mul(a)]),
  // d(a/b) = da/b − (y/b)db
  Div: binary([(d, _a, b) => d.div(b), (d, _a, b, y) => d.mul(y).div(b).neg()]),
  // d(a^b) = b·a^(b−1) da + y·log(a) db
  Pow: binary([
    (d, a, b) => {
      const p = b.cast(a.dtype);
      if (b.known?.length === 1 && b.known[0] === 2) return d.mul(a).mul(2);
      return d.mul(p).mul(a.pow(p.sub(1)));
    },
    (d, a, b, y) => d.mul(y).mul(a.log()).cast(b.dtype),
  ]),
  Max: extremum,
  Min: extremum,
  Sum: sumOfOperands(() => 1),
  Mean: sumOfOperands((n) => 1 / n),
  // y = a − b·floor(a/b) for floats
  Mod: binary([(d) => d, (d, a, b, y) => d.mul(y.sub(a)).div(b)]),
  Neg: unary((d) => d.neg()),
  Abs: unary((d, x) => d.mul(x.sign())),
  Exp: unary((d, _x, y) => d.mul(y)),
  Log: unary((d, x) => d.div(x)),
  Sqrt: unary((d, _x, y) => d.div(y).mul(0.5)),
  Reciprocal: unary((d, _x, y) => d.mul(y.square()).neg()),
  Relu: unary((d, _x, y) => d.mul(indicator(y.greater(0), y))),
  Sigmoid: unary((d, _x, y) => d.mul(y.mul(y.neg().add(1)))),
  Tanh: unary((d, _x, y) => d.mul(y.square().neg().add(1))),
  Sin: unary((d, x) => d.mul(x.cos())),
  Cos: unary((d, x) => d.mul(x.sin()).neg()),
  Tan: unary((d, _x, y) => d.mul(y.square().add(1))),
  Asin: unary((d, x) => d.div(x.square().neg().add(1).sqrt())),
  Acos: unary((d, x) => d.div(x.square().neg().add(1).sqrt()).neg()),
  Atan: unary((d, x) => d.div(x.square().add(1))),
  Sinh: unary((d, x) => d.mul(x.builder.op("Cosh", [x]))),
  Cosh: unary((d, x) => d.mul(x.builder.op("Sinh", [x]))),
  Asinh: unary((d, x) => d.div(x.square().add(1).sqrt())),
  Acosh: unary((d, x) => d.div(x.square().sub(1).sqrt())),
  Atanh: unary((d, x) => d.div(x.square().neg().add(1))),
  // d erf = 2/√π · exp(−x²)
  Erf: unary((d, x) =>
    d.mul(
      x
        .square()
        .neg()
        .exp()
        .mul(2 / Math.sqrt(Math.PI)),
    ),
  ),
  Softplus: unary((d, x) => d.mul(x.sigmoid())),
  Softsign: unary((d, x) => d.div(x.abs().add(1).square())),
  LeakyRelu: unary((d, x, _y, call, g) => g.where(x.greater(0), d, d.mul(alphaOf(call, 0.01)))),
  ThresholdedRelu: unary((d, x, _y, call) => d.mul(indicator(x.greater(alphaOf(call, 1)), d))),
  // y = α(eˣ − 1) below 0, so dy/dx = y + α there
  Elu: unary((d, x, y, call, g) => g.where(x.greater(0), d, d.mul(y.add(alphaOf(call, 1))))),
  Selu: unary((d, x, y, call, g) => {
    const alpha = alphaOf(call, 1.6732632423543772);
    const gamma = floatAttribute(call.node, "gamma", 1.0507009873554805);
    return g.where(x.greater(0), d.mul(gamma), d.mul(y.add(alpha * gamma)));
  }),
  Celu: unary((d, x, _y, call, g) => g.where(x.greater(0), d, d.mul(x.div(alphaOf(call, 1)).exp()))),
  PRelu: binary([
    (d, x, slope, _y, g) => g.where(x.greater(0), d, d.mul(slope)),
    (d, x, _slope, _y, g) => g.where(x.greater(0), g.scalar(0, d.dtype), d.mul(x)),
  ]),
  HardSigmoid: unary((d, _x, y, call, g) => {
    const inside = g.op("And", [y.greater(0), y.less(1)]);
    return d.mul(indicator(inside, d)).mul(alphaOf(call, 0.2));
  }),
  HardSwish: unary((d, x, _y, _call, g) => {
    const inner = x.div(3).add(0.5);
    return d.mul(g.where(x.greater(3), g.scalar(1, x.dtype), g.where(x.less(-3), g.scalar(0, x.dtype), inner)));
  }),
  Gelu: unary((d, x, _y, call) => d.mul(geluDerivative(x, stringAttribute(call.node, "approximate", "none")))),
  "com.microsoft.Gelu": unary((d, x) => d.mul(geluDerivative(x, "none"))),
  "com.microsoft.QuickGelu": unary((d, x, _y, call) => d.mul(quickGeluDerivative(x, alphaOf(call, 1.702)))),
  Mish: unary((d, x) => {
    const t = x.builder.op("Softplus", [x]).tanh();
    return d.mul(t.add(x.mul(x.sigmoid()).mul(t.square().neg().add(1))));
  }),
  Clip: clip,
  Where: where,
  Identity: unary((d) => d),
  Dropout: ((call, cotangents) => {
    const training = call.inputs[2];
    if (training !== undefined && training.known?.[0] !== 0)
      throw new UnsupportedOpError("Dropout", call.node.name, "it runs, or may run, in training mode");
    return [only(cotangents)];
  }) as Vjp,
  Cast: unary((d, x) => d.cast(x.dtype)),
  CastLike: unary((d, x) => d.cast(x.dtype)),
};
