import { intAttribute, stringAttribute } from "../../onnx/graph.js";
import type { GraphBuilder, Value } from "../../program/index.js";
import { type Call, only, positiveAxis, UnsupportedOpError, type Vjp } from "../vjp.js";
import type { IndexingOp } from "./operators.js";

/** Indices counted from the front: x + length where x < 0. */
function nonNegative(g: GraphBuilder, indices: Value, length: number): Value {
  return g.where(indices.less(0), indices.add(length), indices);
}

/**
 * Adds rows [k, width] into zeros [length, width] at the given row numbers [k].
 * ScatterElements rather than ScatterND: the latter's add loses updates on several threads when rows repeat.
 */
function scatterRows(g: GraphBuilder, rows: Value, indices: Value, length: number): Value {
  const [k, width] = rows.dims as [number, number];
  const positions = g.op("Expand", [nonNegative(g, indices.cast("int64"), length).reshape([k, 1]), g.ints([k, width])]);
  return g.op("ScatterElements", [g.full([length, width], 0, rows.dtype), positions, rows], { axis: 0, reduction: "add" });
}

const gather: Vjp = (call, cotangents, g) => {
  const [x, indices] = call.inputs as [Value, Value];
  const axis = positiveAxis(intAttribute(call.node, "axis", 0), x.rank);
  const before = x.dims.slice(0, axis);
  const after = x.dims.slice(axis + 1);
  const k = indices.size;
  const rest = [...before, ...after].reduce((a, b) => a * b, 1);
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
  const axis = intAttribute(call.node, "axis", 0);
  return [g.op("ScatterElements", [g.full(x.dims, 0, x.dtype), indices, only(cotangents)], { axis, reduction: "add" })];
};

const gatherND: Vjp = (call, cotangents, g) => {
  const [x, indices] = call.inputs as [Value, Value];
  if (intAttribute(call.node, "batch_dims", 0) !== 0)
    throw new UnsupportedOpError("GatherND", call.node.name, "batch_dims are not differentiated");
  const depth = indices.dim(-1);
  const lead = x.dims.slice(0, depth);
  const width = x.dims.slice(depth).reduce((a, b) => a * b, 1);
  const k = indices.size / depth;
  return [
    scatterRows(
      g,
      only(cotangents).reshape([k, width]),
      flatPositions(g, indices.reshape([k, depth]), lead),
      lead.reduce((a, b) => a * b, 1),
    ).reshape(x.dims),
  ];
};

/** Row-major positions of index tuples [k, depth] in an array of shape `lead`. */
function flatPositions(g: GraphBuilder, tuples: Value, lead: readonly number[]): Value {
  const strides = lead.map((_, i) => lead.slice(i + 1).reduce((a, b) => a * b, 1));
  return nonNegative(g, tuples, 0).mul(g.ints(strides)).sum([1]);
}

/** data with updates put in or added: what was overwritten gets no cotangent. */
const scatterElements: Vjp = (call, cotangents, g) => {
  const [data, indices, updates] = call.inputs as [Value, Value, Value];
  const d = only(cotangents);
  const axis = intAttribute(call.node, "axis", 0);
  const reduction = stringAttribute(call.node, "reduction", "none");
  if (reduction !== "none" && reduction !== "add")
    throw new UnsupportedOpError("ScatterElements", call.node.name, `reduction "${reduction}" is not differentiated`);
  const kept = reduction === "add" ? d : g.op("ScatterElements", [d, indices, g.full(updates.dims, 0, d.dtype)], { axis });
  return [
    call.needs[0] ? kept.reshape(data.dims) : undefined,
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
  const d = cotangents[0];
  if (d === undefined) return [undefined];
  const axis = positiveAxis(intAttribute(call.node, "axis", -1), x.rank);
  return [g.op("ScatterElements", [g.full(x.dims, 0, x.dtype), call.outputs[1]!, d], { axis })];
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
