import type { ElementwiseOp } from "../../../../../lib/autodiff/rules/operators.js";
import { float } from "../../../../../lib/onnx/index.js";
import type { Value } from "../../../../../lib/program/index.js";
import { Tensor } from "../../../../../lib/tensor/index.js";
import {
  awayFromZero,
  type Cases,
  type Draw,
  distinct,
  insideUnit,
  type Numbers,
  narrowed,
  positive,
  type Real,
} from "../draw.js";

/** One operand of any shape, also a scalar. */
function unary(op: ElementwiseOp, numbers?: Numbers, attributes: Record<string, number | string> = {}): Cases {
  const domain = op.startsWith("com.microsoft.") ? "com.microsoft" : "";
  const named = Object.fromEntries(Object.entries(attributes).map(([k, v]) => [k, typeof v === "number" ? float(v) : v]));
  const text = Object.entries(attributes).map(([k, v]) => `${k} ${v}`);
  return {
    [text.join(", ") || "any shape"]: ({ g, x, shape, between }) =>
      g.op(op.split(".").at(-1)!, [x(shape(between(0, 3)), numbers)], named, { domain }),
  };
}

/** Two operands, each broadcast to the other. */
function binary(op: ElementwiseOp, first?: Numbers, second: Numbers | undefined = first): Cases {
  return {
    "same shape": ({ g, x, shape }) => {
      const both = shape(2);
      return g.op(op, [x(both, first), x(both, second)]);
    },
    "second operand broadcast": ({ g, x, rng, shape }) => {
      const whole = shape(3);
      return g.op(op, [x(whole, first), x(narrowed(rng, whole), second)]);
    },
    "first operand broadcast": ({ g, x, rng, shape }) => {
      const whole = shape(3);
      return g.op(op, [x(narrowed(rng, whole), first), x(whole, second)]);
    },
    "both broadcast": ({ g, x, between }) => {
      const [m, n] = [between(2, 3), between(2, 3)];
      return g.op(op, [x([m, 1], first), x([1, n], second)]);
    },
  };
}

/** One to three operands of shapes that broadcast together. */
function variadic(op: ElementwiseOp): Cases {
  return {
    "one to three operands, broadcast": ({ g, x, rng, shape, between }) => {
      const whole = shape(2, 2, 3);
      const numbers = distinct(rng, 3 * 9);
      return g.op(
        op,
        Array.from({ length: between(1, 3) }, (_, i) => x(i === 0 ? whole : narrowed(rng, whole), numbers)),
      );
    },
  };
}

const both = (...cases: Cases[]): Cases => Object.assign({}, ...cases);

/** A random truth value per element. */
function condition({ g, rng }: Draw, shape: readonly number[]): Value {
  const size = shape.reduce((a, b) => a * b, 1);
  return g.constant(
    new Tensor(
      "bool",
      Uint8Array.from({ length: size }, () => rng.int(2)),
      shape,
    ),
  );
}

const wider = (dtype: Real): Real => (dtype === "float64" ? "float32" : "float64");

/** Neither near 0 nor near ±1, ±3: away from every kink of the clipped functions. */
const awayFromKinks: Numbers = (rng) => rng.int(9) - 4 + 0.3 + 0.4 * rng.uniform();

export const elementwiseCases: Readonly<Record<ElementwiseOp, Cases>> = {
  Add: binary("Add"),
  Sub: binary("Sub"),
  Mul: binary("Mul"),
  Div: binary("Div", undefined, awayFromZero),
  Pow: {
    ...binary("Pow", positive),
    "a square of any sign": ({ x, shape }) => x(shape(2)).pow(2),
    "a whole exponent of any sign": ({ x, shape }) => x(shape(2), awayFromZero).pow(3),
    "an integer exponent": ({ g, x, shape, ints }) => g.op("Pow", [x(shape(2), awayFromZero), ints([3], [])]),
  },
  Max: variadic("Max"),
  Min: variadic("Min"),
  Sum: variadic("Sum"),
  Mean: variadic("Mean"),
  Mod: {
    "of either sign, broadcast": ({ g, x, rng, shape }) => {
      const whole = shape(2);
      // quotients k + 0.3…0.7: no difference crosses a whole number
      const divisor = 1.5;
      const numerator: Numbers = (r) => divisor * (r.int(7) - 3 + 0.3 + 0.4 * r.uniform());
      return g.op("Mod", [x(whole, numerator), x(narrowed(rng, whole), () => divisor)], { fmod: 1 });
    },
  },
  Neg: unary("Neg"),
  Abs: unary("Abs", awayFromZero),
  Exp: unary("Exp"),
  Log: unary("Log", positive),
  Sqrt: unary("Sqrt", positive),
  Reciprocal: unary("Reciprocal", positive),
  Relu: unary("Relu", awayFromZero),
  Sigmoid: unary("Sigmoid"),
  Tanh: unary("Tanh"),
  Sin: unary("Sin"),
  Cos: unary("Cos"),
  Tan: unary("Tan", insideUnit),
  Asin: unary("Asin", insideUnit),
  Acos: unary("Acos", insideUnit),
  Atan: unary("Atan"),
  Sinh: unary("Sinh"),
  Cosh: unary("Cosh"),
  Asinh: unary("Asinh"),
  Acosh: unary("Acosh", (rng) => 1.5 + rng.uniform()),
  Atanh: unary("Atanh", insideUnit),
  Erf: unary("Erf"),
  Softplus: unary("Softplus"),
  Softsign: unary("Softsign", awayFromZero),
  LeakyRelu: both(unary("LeakyRelu", awayFromZero), unary("LeakyRelu", awayFromZero, { alpha: 0.3 })),
  ThresholdedRelu: both(unary("ThresholdedRelu", awayFromKinks), unary("ThresholdedRelu", awayFromKinks, { alpha: 2 })),
  Elu: both(unary("Elu", awayFromZero), unary("Elu", awayFromZero, { alpha: 0.7 })),
  Selu: both(unary("Selu", awayFromZero), unary("Selu", awayFromZero, { alpha: 1.2, gamma: 0.9 })),
  Celu: both(unary("Celu", awayFromZero), unary("Celu", awayFromZero, { alpha: 0.7 })),
  PRelu: {
    "slope per channel": ({ g, x, shape, between }) => {
      const channels = between(2, 3);
      return g.op("PRelu", [x([2, channels, ...shape(1)], awayFromZero), x([channels, 1])]);
    },
    "one slope": ({ g, x, shape }) => g.op("PRelu", [x(shape(3), awayFromZero), x([1])]),
  },
  HardSigmoid: both(
    unary("HardSigmoid", (rng) => 3 * awayFromKinks(rng) - 0.2),
    unary("HardSigmoid", awayFromKinks, { alpha: 0.5, beta: 0.5 }),
  ),
  HardSwish: unary("HardSwish", awayFromKinks),
  Gelu: both(unary("Gelu"), unary("Gelu", undefined, { approximate: "tanh" })),
  "com.microsoft.Gelu": unary("com.microsoft.Gelu"),
  "com.microsoft.QuickGelu": both(unary("com.microsoft.QuickGelu"), unary("com.microsoft.QuickGelu", undefined, { alpha: 1.2 })),
  Mish: unary("Mish"),
  Clip: {
    "both bounds": ({ g, x, shape }) => g.op("Clip", [x(shape(2), awayFromKinks), x([], () => -1), x([], () => 2)]),
    "only above": ({ g, x, shape }) => g.op("Clip", [x(shape(2), awayFromKinks), undefined, x([], () => 1)]),
    "only below": ({ g, x, shape }) => g.op("Clip", [x(shape(2), awayFromKinks), x([], () => -1)]),
    "no bounds": ({ g, x, shape }) => g.op("Clip", [x(shape(2))]),
  },
  Where: {
    "operands broadcast": (draw) => {
      const whole = draw.shape(3);
      const [a, b] = [draw.x(narrowed(draw.rng, whole)), draw.x(whole)];
      return draw.g.where(condition(draw, narrowed(draw.rng, whole)), a, b);
    },
    "condition widest": (draw) => draw.g.where(condition(draw, [3, 2, 4]), draw.x([3, 1, 1]), draw.x([4])),
  },
  Identity: unary("Identity"),
  Dropout: both(unary("Dropout"), {
    "switched off": ({ g, x, shape }) => {
      const off = g.constant(new Tensor("bool", Uint8Array.of(0), []));
      return g.op("Dropout", [x(shape(2)), g.scalar(0.5), off]);
    },
  }),
  Cast: { "there and back": ({ x, shape, dtype }) => x(shape(2)).cast(wider(dtype)).cast(dtype) },
  CastLike: {
    "there and back": ({ g, x, shape, dtype }) => {
      const there = g.op("CastLike", [x(shape(2)), g.scalar(0, wider(dtype))]);
      return g.op("CastLike", [there, g.scalar(0, dtype)]);
    },
  },
};
