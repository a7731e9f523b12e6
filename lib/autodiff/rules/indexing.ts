import { intAttribute, stringAttribute } from "../../onnx/graph.js";
import type { GraphBuilder, Value } from "../../program/index.js";
import { sizeOf } from "../../tensor/index.js";
import { type Call, only, positiveAxis, UnsupportedOpError, type Vjp } from "../vjp.js";
import type { IndexingOp } from "./operators.js";

/** Indices counted from the front: x + length where x < 0. */
function nonNegative(g: GraphBuilder, indices: Value, length: number): Value {
  return g.where(indices.less(0), indices.add(length), indices);
}

/**
 * Adds `updates` into zeros of `shape` where `indices` of the same shape say, along one axis.
 * ScatterElements rather than ScatterND: the latter's add loses updates on several threads when positions repeat.
 * Half floats are summed in float32: it is more exact, and ONNX Runtime's CPU has no sum of theirs.
 */
export function scatterAdd(g: GraphBuilder, shape: readonly number[], indices: Value, updates: Value, axis: number): Value {
  const dtype = updates.dtype === "float64" ? "float64" : "float32";
  const zeros = g.full(shape, 0, dtype);
  return g.op("ScatterElements", [zeros, indices, updates.cast(dtype)], { axis, reduction: "add" }).cast(updates.dtype);
}

/** Adds rows [k, width] into zeros [length, width] at the given row numbers [k]. */
function scatterRows(g: GraphBuilder, rows: Value, indices: Value, length: number): Value {
  const [k, width] = rows.dims as [number, number];
  const positions = g.op("Expand", [nonNegative(g, indices.cast("int64"), length).reshape([k, 1]), g.ints([k, width])]);
  return scatterAdd(g, [length, width], positions, rows, 0);
}

const gather: Vjp = (call, cotangents, g) => {
  const [x, indices] = call.inputs as [Value, Value];
  const axis = positiveAxis(intAttribute(call.node, "axis", 0), x.rank);
  const before = x.dims.slice(0, axis);
  const after = x.dims.slice(axis + 1);
  const k = indices.size;
  const rest = sizeOf([...before, ...after]);
  // the gathered axis first, everything else in one row
  const d = only(cotangents).reshape([...before, k, ...after]);
  const front = [axis, ...d.shape.map((_, i) => i).filter((i) => i !== axis)];
  const rows = (axis === 0 ? d : d.transpose(front)).reshape([k, rest]);
  const summed = scatterRows(g, rows, indices.reshape([k]), x.dim(axis)).reshape([x.dim(axis), ...before, ...after]);
  const back = x.shape.map((_, i) => (i === axis ? 0 : i < axis ? i + 1 : i));
  return [axis === 0 ? summed : summed.transpose(back)];
};

const gatherElements: Vjp = (call, cotangents, g) => {
  const [x, indices] = call.inputs as [Value, Value];
  return [scatterAdd(g, x.dims, indices, only(cotangents), intAttribute(call.node, "axis", 0))];
};

const gatherND: Vjp = (call, cotangents, g) => {
  const [x, indices] = call.inputs as [Value, Value];
  const batchAxes = intAttribute(call.node, "batch_dims", 0);
  const depth = indices.dim(-1);
  const batch = sizeOf(x.dims.slice(0, batchAxes));
  const lead = x.dims.slice(batchAxes, batchAxes + depth);
  const width = sizeOf(x.dims.slice(batchAxes + depth));
  const k = indices.size / depth;
  const inBatch = flatPositions(g, indices.reshape([k, depth]), lead);
  const start = g.ints(Array.from({ length: k }, (_, i) => Math.floor(i / (k / batch)) * sizeOf(lead)));
  const positions = batch === 1 ? inBatch : inBatch.add(start);
  return [scatterRows(g, only(cotangents).reshape([k, width]), positions, batch * sizeOf(lead)).reshape(x.dims)];
};

/** Row-major positions of index tuples [k, depth] in an array of shape `lead`. */
function flatPositions(g: GraphBuilder, tuples: Value, lead: readonly number[]): Value {
  const strides = lead.map((_, i) => sizeOf(lead.slice(i + 1)));
  return g
    .where(tuples.less(0), tuples.add(g.ints(lead)), tuples)
    .mul(g.ints(strides))
    .sum([1]);
}

/** data with updates put in or added: what was overwritten gets no cotangent. */
const scatterElements: Vjp = (call, cotangents, g) => {
  const [, indices, updates] = call.inputs as [Value, Value, Value];
  const d = only(cotangents);
  const axis = intAttribute(call.node, "axis", 0);
  const reduction = stringAttribute(call.node, "reduction", "none");
  if (reduction !== "none" && reduction !== "add")
    throw new UnsupportedOpError("ScatterElements", call.node.name, `reduction "${reduction}" is not differentiated`);
  const kept = reduction === "add" ? d : g.op("ScatterElements", [d, indices, g.full(updates.dims, 0, d.dtype)], { axis });
  return [
    call.needs[0] ? kept : undefined,
    undefined,
    call.needs[2] ? g.op("GatherElements", [d, indices], { axis }) : undefined,
  ];
};

const scatterND: Vjp = (call, cotangents, g) => {
  const [, indices, updates] = call.inputs as [Value, Value, Value];
  const d = only(cotangents);
  const reduction = stringAttribute(call.node, "reduction", "none");
  if (reduction !== "none" && reduction !== "add")
    throw new UnsupportedOpError("ScatterND", call.node.name, `reduction "${reduction}" is not differentiated`);
  const kept = reduction === "add" ? d : g.op("ScatterND", [d, indices, g.full(updates.dims, 0, d.dtype)]);
  return [call.needs[0] ? kept : undefined, undefined, call.needs[2] ? g.op("GatherND", [d, indices]) : undefined];
};

/** Only the values kept by TopK carry a cotangent, to where they came from. */
const topK: Vjp = (call, cotangents, g) => {
  const x = call.inputs[0]!;
  const axis = positiveAxis(intAttribute(call.node, "axis", -1), x.rank);
  return [g.op("ScatterElements", [g.full(x.dims, 0, x.dtype), call.outputs[1]!, only(cotangents)], { axis })];
};

const trilu: Vjp = (call: Call, cotangents, g) => [
  g.op("Trilu", [only(cotangents), call.inputs[1]], { upper: intAttribute(call.node, "upper", 1) }),
];

export const indexingRules: Readonly<Record<IndexingOp, Vjp>> = {
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherND,
  ScatterElements: scatterElements,
  ScatterND: scatterND,
  TopK: topK,
  Trilu: trilu,
};
