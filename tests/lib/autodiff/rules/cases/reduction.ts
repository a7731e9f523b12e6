import type { ReductionOp } from "../../../../../lib/autodiff/rules/operators.js";
import { awayFromZero, type Cases, type Draw, distinct, type Numbers, positive } from "../draw.js";

/** Named axes of either sign, kept or not; all axes; none. */
function reduce(op: ReductionOp, numbersOf: (draw: Draw, count: number) => Numbers | undefined = () => undefined): Cases {
  const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
  return {
    "some axes": (draw) => {
      const { g, x, rng, ints, shape } = draw;
      const whole = shape(3);
      const axes = rng.choice([[0], [1], [-1], [0, 2], [-3, -2], [2, 1]]);
      return g.op(op, [x(whole, numbersOf(draw, count(whole))), ints(axes)], { keepdims: rng.int(2) });
    },
    "all axes": (draw) => {
      const whole = draw.shape(2);
      return draw.g.op(op, [draw.x(whole, numbersOf(draw, count(whole)))], { keepdims: draw.rng.int(2) });
    },
    "no axes, nothing reduced": (draw) => {
      const whole = draw.shape(2);
      return draw.g.op(op, [draw.x(whole, numbersOf(draw, count(whole))), draw.ints([])], { noop_with_empty_axes: 1 });
    },
  };
}

const softmax = (op: "Softmax" | "LogSoftmax"): Cases => ({
  "any axis": ({ g, x, shape, between }) => g.op(op, [x(shape(3))], { axis: between(-3, 2) }),
  "the last axis by default": ({ g, x, shape }) => g.op(op, [x(shape(2, 2, 5))]),
});

export const reductionCases: Readonly<Record<ReductionOp, Cases>> = {
  ReduceSum: reduce("ReduceSum"),
  ReduceMean: reduce("ReduceMean"),
  ReduceSumSquare: reduce("ReduceSumSquare"),
  ReduceL1: reduce("ReduceL1", () => awayFromZero),
  ReduceL2: reduce("ReduceL2", () => awayFromZero),
  ReduceLogSumExp: reduce("ReduceLogSumExp"),
  ReduceLogSum: reduce("ReduceLogSum", () => positive),
  ReduceProd: reduce("ReduceProd", () => awayFromZero),
  ReduceMax: reduce("ReduceMax", ({ rng }, count) => distinct(rng, count)),
  ReduceMin: reduce("ReduceMin", ({ rng }, count) => distinct(rng, count)),
  Softmax: softmax("Softmax"),
  LogSoftmax: softmax("LogSoftmax"),
  CumSum: {
    "either direction, with or without the element itself": ({ g, x, rng, shape, between, ints }) =>
      g.op("CumSum", [x(shape(3)), ints([between(-3, 2)], [])], { exclusive: rng.int(2), reverse: rng.int(2) }),
  },
};
