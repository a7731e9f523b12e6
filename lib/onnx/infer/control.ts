import type { Dim } from "../graph.js";
import { type Call, type InferRule, type Inferred, inferred } from "./context.js";

/** What holds of both values: dtype, and the axes on which they agree. */
function common(a: Inferred, b: Inferred): Inferred {
  const dtype = a.dtype ?? b.dtype;
  if (a.shape === undefined || b.shape === undefined || a.shape.length !== b.shape.length) return inferred(dtype, undefined);
  const other = b.shape;
  return inferred(
    dtype,
    a.shape.map((d, i) => (d === other[i] ? d : undefined)),
  );
}

function branch(call: Call): readonly Inferred[] {
  const condition = call.value(0)?.[0];
  if (condition !== undefined) return call.body(condition ? "then_branch" : "else_branch", () => []) ?? [];
  const yes = call.body("then_branch", () => []) ?? [];
  const no = call.body("else_branch", () => []) ?? [];
  return yes.map((value, i) => common(value, no[i] ?? {}));
}

/** Loop: inputs M, condition, carried…; the body takes iteration, condition, carried… and gives condition, carried…, scanned… */
function loop(call: Call): readonly Inferred[] {
  const trips: Dim = call.has(0) ? call.contents(0)?.[0] : undefined;
  const iteration = inferred("int64", []);
  const condition = call.has(1) ? call.value(1)?.[0] : 1;
  if (condition === 0) return afterNoTrip(call);
  const count = call.node.inputs.length - 2;
  let carried = Array.from({ length: count }, (_, i) => call.like(i + 2));
  let outputs: Inferred[] | undefined;
  // A carried value may change its shape from trip to trip: widen until it stays (every round only loses axes).
  for (;;) {
    const before = carried;
    outputs = call.body("body", () => [iteration, inferred("bool", [], [1]), ...before]);
    if (outputs === undefined) return [];
    const after = outputs.slice(1, count + 1);
    carried = before.map((value, i) => common(value, after[i] ?? {}));
    if (carried.every((value, i) => sameShape(value, before[i]!))) break;
  }
  // The number of trips is M only if the body never ends the loop by its condition.
  const goesOn = outputs[0]?.value?.[0] === 1;
  const scanned = outputs
    .slice(count + 1)
    .map(({ dtype, shape }) => inferred(dtype, shape && [goesOn ? trips : undefined, ...shape]));
  return [...carried, ...scanned];
}

function afterNoTrip(call: Call): readonly Inferred[] {
  const count = call.node.inputs.length - 2;
  const carried = Array.from({ length: count }, (_, i) => call.inputs[i + 2] ?? {});
  const outputs = call.body("body", () => [inferred("int64", []), inferred("bool", []), ...carried]) ?? [];
  return [...carried, ...outputs.slice(count + 1).map(({ dtype, shape }) => inferred(dtype, shape && [0, ...shape]))];
}

function sameShape(a: Inferred, b: Inferred): boolean {
  if (a.shape === undefined || b.shape === undefined) return a.shape === b.shape;
  return a.shape.length === b.shape.length && a.shape.every((d, i) => d === b.shape![i]);
}

/** Scan (opset 9 on): inputs states…, sequences…; the body takes states…, elements… and gives states…, elements… */
function scan(call: Call): readonly Inferred[] {
  const sequences = call.int("num_scan_inputs", 0);
  const states = call.node.inputs.length - sequences;
  const inAxes = call.ints("scan_input_axes");
  const outAxes = call.ints("scan_output_axes");
  let length: Dim;
  const elements = Array.from({ length: sequences }, (_, i) => {
    const shape = call.shape(states + i);
    if (shape === undefined) return inferred(call.dtype(states + i), undefined);
    const axis = call.axis(inAxes?.[i] ?? 0, shape.length);
    const d = shape[axis];
    if (typeof length === "number" && typeof d === "number" && length !== d) {
      throw call.error(`scanned inputs have lengths ${length} and ${d}; they must be equal`);
    }
    if (length === undefined || typeof d === "number") length = d;
    return inferred(call.dtype(states + i), shape.toSpliced(axis, 1));
  });
  const initial = Array.from({ length: states }, (_, i) => call.like(i));
  const outputs = call.body("body", () => [...initial, ...elements]) ?? [];
  const stacked = outputs.slice(states).map(({ dtype, shape }, i) => {
    if (shape === undefined) return inferred(dtype, undefined);
    return inferred(dtype, shape.toSpliced(call.axis(outAxes?.[i] ?? 0, shape.length + 1), 0, length));
  });
  return [...initial.map((value, i) => common(value, outputs[i] ?? {})), ...stacked];
}

/** Operators with subgraphs. */
export const controlRules: Readonly<Record<string, InferRule>> = { If: branch, Loop: loop, Scan: scan };
