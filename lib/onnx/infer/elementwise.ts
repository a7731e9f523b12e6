import type { DType } from "../../tensor/index.js";
import { dtypeOfCode } from "../codec/data-type.js";
import type { Dim, Shape } from "../graph.js";
import { isInteger, reader, storeAs, tabulate } from "./contents.js";
import { type Call, type InferRule, type Inferred, inferred } from "./context.js";
import { broadcastShapes, isStatic, shapeText } from "./dims.js";

/** The broadcast shape of the given inputs; unknown if one of them is. @throws ShapeError where they do not fit */
export function broadcast(call: Call, which: readonly number[]): Shape | undefined {
  const shapes: Shape[] = [];
  for (const i of which) {
    const shape = call.shape(i);
    if (shape === undefined) return undefined;
    shapes.push(shape);
  }
  const result = broadcastShapes(shapes);
  if ("axis" in result) {
    const [a, b] = result.dims;
    throw call.error(
      `shapes ${shapes.map(shapeText).join(" and ")} do not broadcast: axis ${result.axis} is ${a} against ${b}; lengths must be equal or 1`,
    );
  }
  return result;
}

type SingleRule = (call: Call) => Inferred;

/** Computes one element of the output; dims may be names or unknown. */
type Evaluate = (operands: readonly Dim[], dtype: DType | undefined) => Dim;

/** Contents of a broadcasting operator, where all operands have known contents. */
function evaluateBroadcast(call: Call, which: readonly number[], shape: Shape | undefined, element: (xs: Dim[]) => Dim) {
  if (!isStatic(shape)) return undefined;
  const read: ((coordinate: readonly number[]) => Dim)[] = [];
  for (const i of which) {
    const contents = call.contents(i);
    const operand = call.shape(i);
    if (contents === undefined || !isStatic(operand)) return undefined;
    read.push(reader(contents, operand));
  }
  return tabulate(shape, (coordinate) => element(read.map((at) => at(coordinate))));
}

/** An operator over all its inputs by broadcasting. */
function broadcasting(evaluate?: Evaluate, result?: DType): SingleRule {
  return (call) => {
    const which = call.node.inputs.map((_, i) => i);
    const operand = call.sameDType(...which);
    const shape = broadcast(call, which);
    const contents = evaluate && evaluateBroadcast(call, which, shape, (xs) => evaluate(xs, operand));
    return inferred(result ?? operand, shape, contents);
  };
}

/** Lifts arithmetic on numbers, rounding the result as the dtype stores it. */
function arithmetic(f: (a: number, b: number, integer: boolean) => number): Evaluate {
  return (operands, dtype) => {
    const [first, ...rest] = operands;
    let total = first;
    for (const x of rest) {
      if (typeof total !== "number" || typeof x !== "number") return undefined;
      total = storeAs(dtype, f(total, x, isInteger(dtype)));
    }
    return total;
  };
}

/** Keeps a named length where the other operand is neutral ("batch" × 1). */
function withNeutral(neutral: number, evaluate: Evaluate, commutes = true): Evaluate {
  return (xs, dtype) => {
    if (xs.length === 2) {
      if (xs[1] === neutral) return xs[0];
      if (commutes && xs[0] === neutral) return xs[1];
    }
    return evaluate(xs, dtype);
  };
}

function modulo(call: Call): Inferred {
  const fmod = call.int("fmod", 0) === 1;
  return broadcasting(arithmetic((a, b) => (fmod ? a % b : a - b * Math.floor(a / b))))(call);
}

/** Axis lengths are never negative, so a named one differs from -1. */
function equal([a, b]: readonly Dim[]): Dim {
  if (a === undefined || b === undefined) return undefined;
  if (a === b) return 1;
  if (typeof a === "number" && typeof b === "number") return 0;
  return (typeof a === "number" && a < 0) || (typeof b === "number" && b < 0) ? 0 : undefined;
}

function comparison(f: (a: number, b: number) => boolean): InferRule {
  return broadcasting(([a, b]) => (typeof a === "number" && typeof b === "number" ? Number(f(a, b)) : undefined), "bool");
}

function where(call: Call): Inferred {
  const dtype = call.sameDType(1, 2);
  const shape = broadcast(call, [0, 1, 2]);
  const contents = evaluateBroadcast(call, [0, 1, 2], shape, ([condition, a, b]) => {
    if (condition === undefined) return a === b ? a : undefined;
    return condition ? a : b;
  });
  return inferred(dtype, shape, contents);
}

/** An operator that keeps shape and dtype; `f` is given where the result is exact enough to be followed. */
function unary(f?: (x: number) => number, result?: DType): SingleRule {
  return (call) => {
    const dtype = result ?? call.dtype(0);
    const contents = f && call.contents(0)?.map((x) => (typeof x === "number" ? storeAs(dtype, f(x)) : undefined));
    return inferred(dtype, call.shape(0), contents);
  };
}

const same: InferRule = (call) => call.inputs[0] ?? {};

function cast(call: Call): Inferred {
  const dtype = dtypeOfCode(call.int("to", 0));
  // A named length stays itself as an integer or a float; as bool it is a question of being zero.
  const contents = call.contents(0)?.map((x) => (typeof x === "number" ? storeAs(dtype, x) : dtype === "bool" ? undefined : x));
  return inferred(dtype, call.shape(0), contents);
}

function clip(call: Call): Inferred {
  const low = call.opset >= 11 && call.has(1) ? call.value(1)?.[0] : call.float("min", Number.NEGATIVE_INFINITY);
  const high = call.opset >= 11 && call.has(2) ? call.value(2)?.[0] : call.float("max", Number.POSITIVE_INFINITY);
  if (low === undefined || high === undefined) return call.like(0);
  return unary((x) => Math.min(Math.max(x, low), high))(call);
}

/** Axis operators that keep the shape, checked for their axis. */
function alongAxis(name: string, otherwise: number): InferRule {
  return (call) => {
    const shape = call.shape(0);
    if (shape !== undefined && shape.length > 0) call.axis(call.int(name, otherwise), shape.length);
    return call.like(0);
  };
}

const softmax: InferRule = (call) => alongAxis("axis", call.opset >= 13 ? -1 : 1)(call);

function dropout(call: Call): Inferred[] {
  return [call.inputs[0] ?? {}, inferred(call.opset >= 10 ? "bool" : call.dtype(0), call.shape(0))];
}

/** First input with the shape of all broadcast into it (PRelu's slope, a bias along the last axis). */
function unidirectional(call: Call): Inferred {
  const dtype = call.sameDType(...call.node.inputs.map((_, i) => i));
  const input = call.shape(0);
  const shape = broadcast(
    call,
    call.node.inputs.flatMap((name, i) => (name ? [i] : [])),
  );
  if (input !== undefined && shape !== undefined && shape.length !== input.length) {
    throw call.error(`${call.text(1)} must broadcast to ${call.text(0)}, which has fewer axes`);
  }
  return inferred(dtype, input);
}

/** Elementwise, broadcasting and activation operators. */
export const elementwiseRules: Readonly<Record<string, InferRule>> = {
  Add: broadcasting(
    withNeutral(
      0,
      arithmetic((a, b) => a + b),
    ),
  ),
  Sub: broadcasting(
    withNeutral(
      0,
      arithmetic((a, b) => a - b),
      false,
    ),
  ),
  Mul: broadcasting(
    withNeutral(
      1,
      arithmetic((a, b) => a * b),
    ),
  ),
  Div: broadcasting(
    withNeutral(
      1,
      arithmetic((a, b, integer) => (integer ? Math.trunc(a / b) : a / b)),
      false,
    ),
  ),
  Mod: modulo,
  Min: broadcasting(arithmetic((a, b) => Math.min(a, b))),
  Max: broadcasting(arithmetic((a, b) => Math.max(a, b))),
  Sum: broadcasting(arithmetic((a, b) => a + b)),
  Mean: broadcasting(),
  // The exponent may have another dtype.
  Pow: (call) => {
    const shape = broadcast(call, [0, 1]);
    const dtype = call.dtype(0);
    return inferred(
      dtype,
      shape,
      evaluateBroadcast(call, [0, 1], shape, (xs) => arithmetic((a, b) => a ** b)(xs, dtype)),
    );
  },
  BitShift: broadcasting(),
  BitwiseAnd: broadcasting(),
  BitwiseOr: broadcasting(),
  BitwiseXor: broadcasting(),
  BitwiseNot: unary(),

  Equal: broadcasting(equal, "bool"),
  Greater: comparison((a, b) => a > b),
  GreaterOrEqual: comparison((a, b) => a >= b),
  Less: comparison((a, b) => a < b),
  LessOrEqual: comparison((a, b) => a <= b),
  And: comparison((a, b) => a !== 0 && b !== 0),
  Or: comparison((a, b) => a !== 0 || b !== 0),
  Xor: comparison((a, b) => (a !== 0) !== (b !== 0)),
  Not: unary((x) => (x ? 0 : 1), "bool"),
  Where: where,
  IsNaN: unary((x) => Number(Number.isNaN(x)), "bool"),
  IsInf: unary(undefined, "bool"),

  Identity: same,
  Cast: cast,
  CastLike: (call) => inferred(call.dtype(1), call.shape(0)),
  Clip: clip,
  Dropout: dropout,

  Neg: unary((x) => -x),
  Abs: unary(Math.abs),
  Sign: unary(Math.sign),
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Sqrt: unary(Math.sqrt),
  Reciprocal: unary((x) => 1 / x),
  Relu: unary((x) => Math.max(x, 0)),
  Round: unary(),
  Exp: unary(),
  Log: unary(),
  Erf: unary(),
  Sin: unary(),
  Cos: unary(),
  Tan: unary(),
  Asin: unary(),
  Acos: unary(),
  Atan: unary(),
  Sinh: unary(),
  Cosh: unary(),
  Tanh: unary(),
  Asinh: unary(),
  Acosh: unary(),
  Atanh: unary(),
  Sigmoid: unary(),
  HardSigmoid: unary(),
  HardSwish: unary(),
  Mish: unary(),
  Swish: unary(),
  LeakyRelu: unary(),
  ThresholdedRelu: unary(),
  Elu: unary(),
  Selu: unary(),
  Celu: unary(),
  Gelu: unary(),
  Softplus: unary(),
  Softsign: unary(),
  Shrink: unary(),
  PRelu: unidirectional,
  Softmax: softmax,
  LogSoftmax: softmax,
  Hardmax: softmax,

  "com.microsoft.Gelu": unary(),
  "com.microsoft.QuickGelu": unary(),
  "com.microsoft.FastGelu": unidirectional,
  "com.microsoft.BiasGelu": unidirectional,
};
