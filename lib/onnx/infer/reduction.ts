import type { DType } from "../../tensor/index.js";
import type { Dim, Shape } from "../graph.js";
import { isInteger, reader, storeAs, tabulate } from "./contents.js";
import { type Call, type InferRule, type Inferred, inferred } from "./context.js";
import { isStatic, shapeText } from "./dims.js";
import { axesOf, unknownDims } from "./reshaping.js";

/** The axes a reduction runs over; undefined when they are an input that is not known. */
function reducedAxes(call: Call, shape: Shape): ReadonlySet<number> | undefined {
  const given = axesOf(call);
  if (given === undefined && call.has(1)) return undefined;
  if (given === undefined || given.length === 0) {
    return call.int("noop_with_empty_axes", 0) === 1 ? new Set() : new Set(shape.keys());
  }
  return new Set(given.map((a) => call.axis(a, shape.length)));
}

/** Sums and products of floats depend on the order of rounding, so only those of whole numbers are followed. */
function integerReduction(evaluate: (elements: readonly number[]) => number): InferRule {
  return (call) => (isInteger(call.dtype(0)) ? reduction(evaluate) : reduction())(call);
}

function reduction(evaluate?: (elements: readonly number[]) => number): InferRule {
  return (call) => {
    const shape = call.shape(0);
    const dtype = call.dtype(0);
    if (shape === undefined) return inferred(dtype, undefined);
    const keeps = call.int("keepdims", 1) === 1;
    const axes = reducedAxes(call, shape);
    if (axes === undefined) return inferred(dtype, keeps ? unknownDims(shape.length) : undefined);
    const out = shape.flatMap((d, i) => (axes.has(i) ? (keeps ? [1] : []) : [d]));
    return inferred(dtype, out, evaluate && reduced(call, shape, axes, dtype, evaluate));
  };
}

function reduced(
  call: Call,
  shape: Shape,
  axes: ReadonlySet<number>,
  dtype: DType | undefined,
  evaluate: (elements: readonly number[]) => number,
): readonly Dim[] | undefined {
  const contents = call.contents(0);
  if (contents === undefined || !isStatic(shape)) return undefined;
  const read = reader(contents, shape);
  const outer = shape.map((d, i) => (axes.has(i) ? 1 : d));
  const inner = shape.map((d, i) => (axes.has(i) ? d : 1));
  return tabulate(outer, (at) => {
    const elements = tabulate(inner, (within) => read(at.map((c, i) => c + within[i]!))) ?? [];
    // The only element of a reduced group may be a name: reducing it changes nothing.
    if (elements.length === 1) return elements[0];
    if (!elements.every((x) => typeof x === "number")) return undefined;
    const total = evaluate(elements);
    return Number.isFinite(total) ? storeAs(dtype, total) : undefined;
  });
}

function extremeIndex(call: Call): Inferred {
  const shape = call.shape(0);
  if (shape === undefined) return inferred("int64", undefined);
  const axis = call.axis(call.int("axis", 0), shape.length);
  return inferred("int64", call.int("keepdims", 1) === 1 ? shape.with(axis, 1) : shape.toSpliced(axis, 1));
}

function topK(call: Call): Inferred[] {
  const shape = call.shape(0);
  const dtype = call.dtype(0);
  if (shape === undefined) return [inferred(dtype, undefined), inferred("int64", undefined)];
  const axis = call.axis(call.int("axis", -1), shape.length);
  const k = call.node.attributes.k?.type === "int" ? call.int("k", 0) : call.contents(1)?.[0];
  const length = shape[axis];
  if (typeof k === "number" && typeof length === "number" && k > length) {
    throw call.error(`k is ${k}, axis ${axis} of ${shapeText(shape)} has only ${length} entries`);
  }
  const out = shape.with(axis, k);
  return [inferred(dtype, out), inferred("int64", out)];
}

function cumSum(call: Call): Inferred {
  const shape = call.shape(0);
  const axis = call.value(1)?.[0];
  if (shape !== undefined && axis !== undefined) call.axis(axis, shape.length);
  return call.like(0);
}

/** Reductions and other operators that look along an axis. */
export const reductionRules: Readonly<Record<string, InferRule>> = {
  ReduceSum: integerReduction((xs) => xs.reduce((a, b) => a + b, 0)),
  ReduceMean: reduction(),
  ReduceProd: integerReduction((xs) => xs.reduce((a, b) => a * b, 1)),
  ReduceMax: reduction((xs) => Math.max(...xs)),
  ReduceMin: reduction((xs) => Math.min(...xs)),
  ReduceL1: reduction(),
  ReduceL2: reduction(),
  ReduceLogSum: reduction(),
  ReduceLogSumExp: reduction(),
  ReduceSumSquare: reduction(),
  ArgMax: extremeIndex,
  ArgMin: extremeIndex,
  TopK: topK,
  CumSum: cumSum,
};
