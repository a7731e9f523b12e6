import type { Dim, Shape } from "../graph.js";
import { reader, tabulate } from "./contents.js";
import { type Call, type InferRule, type Inferred, inferred } from "./context.js";
import { broadcastShapes, elementsOf, isStatic, quotientOf, shapeText } from "./dims.js";

/** Axes of an operator that took them as an attribute before opset 13 and takes them as an input since. */
export function axesOf(call: Call, input = 1): readonly number[] | undefined {
  return call.ints("axes") ?? call.value(input);
}

/** A shape of known rank and unknown lengths. */
export function unknownDims(rank: Dim): Shape | undefined {
  return typeof rank === "number" ? new Array<Dim>(rank).fill(undefined) : undefined;
}

/** Resolves the target of a Reshape: copied (0), inferred (-1) and unknown entries. */
function reshapedTo(call: Call, input: Shape | undefined, target: readonly Dim[]): Shape {
  const keepsZero = call.int("allowzero", 0) === 1;
  const refuse = (why: string) => call.error(`cannot view ${shapeText(input)} as ${shapeText(target)}: ${why}`);
  if (target.filter((d) => d === -1).length > 1) throw refuse("only one entry may be -1");
  const copied = new Set<number>();
  const out = target.map((d, i): Dim => {
    if (typeof d === "number" && d < -1) throw refuse(`${d} is not a length`);
    if (d !== 0 || keepsZero) return d === -1 ? undefined : d;
    if (input === undefined) return undefined;
    if (i >= input.length) throw refuse(`entry ${i} copies an axis the input does not have`);
    copied.add(i);
    return input[i];
  });
  if (input === undefined) return out;
  // Copied axes stand on both sides and cancel, so they may be unknown.
  const rest = input.filter((_, i) => !copied.has(i));
  const open = out.flatMap((d, i) => (d === undefined && !copied.has(i) ? [i] : []));
  const known = out.filter((d, i) => d !== undefined && !copied.has(i));
  const quotient = quotientOf(rest, known);
  if (open.length === 0) {
    const total = elementsOf(out);
    if (quotient === null || (typeof quotient === "number" && quotient !== 1)) {
      throw refuse(`${elementsOf(input) ?? "their"} elements do not fill ${total ?? "the target"}`);
    }
  } else if (open.length === 1) {
    if (quotient === null) throw refuse(`${elementsOf(rest)} elements cannot be divided by ${elementsOf(known)}`);
    out[open[0]!] = quotient;
  }
  return out;
}

function reshape(call: Call): Inferred {
  const target = call.ints("shape") ?? call.contents(1);
  const dtype = call.dtype(0);
  if (target === undefined) return inferred(dtype, unknownDims(call.shape(1)?.[0]));
  return inferred(dtype, reshapedTo(call, call.shape(0), target), call.contents(0));
}

function transpose(call: Call): Inferred {
  const shape = call.shape(0);
  const dtype = call.dtype(0);
  const given = call.ints("perm");
  if (shape === undefined) return inferred(dtype, unknownDims(given?.length));
  const order = given ?? shape.map((_, i) => shape.length - 1 - i);
  if (order.length !== shape.length || shape.some((_, i) => !order.includes(i))) {
    throw call.error(`perm [${order}] is not a permutation of the ${shape.length} axes of ${shapeText(shape)}`);
  }
  const out = order.map((axis) => shape[axis]);
  const contents = call.contents(0);
  if (contents === undefined || !isStatic(shape) || !isStatic(out)) return inferred(dtype, out);
  const read = reader(contents, shape);
  const source = new Array<number>(shape.length);
  const moved = tabulate(out, (coordinate) => {
    for (const [i, axis] of order.entries()) source[axis] = coordinate[i]!;
    return read(source);
  });
  return inferred(dtype, out, moved);
}

function unsqueeze(call: Call): Inferred {
  const shape = call.shape(0);
  const given = axesOf(call);
  const dtype = call.dtype(0);
  if (shape === undefined) return inferred(dtype, undefined);
  if (given === undefined) {
    const added = call.shape(1)?.[0];
    return inferred(dtype, typeof added === "number" ? unknownDims(shape.length + added) : undefined, call.contents(0));
  }
  const rank = shape.length + given.length;
  const axes = new Set(given.map((a) => call.axis(a, rank)));
  if (axes.size !== given.length) throw call.error(`axes [${given}] name one axis twice`);
  const rest = shape.values();
  const out = Array.from({ length: rank }, (_, i): Dim => (axes.has(i) ? 1 : rest.next().value));
  return inferred(dtype, out, call.contents(0));
}

function squeeze(call: Call): Inferred {
  const shape = call.shape(0);
  const dtype = call.dtype(0);
  const given = axesOf(call);
  if (shape === undefined) return inferred(dtype, undefined);
  if (given === undefined && call.has(1)) return inferred(dtype, undefined, call.contents(0));
  if (given === undefined) {
    if (shape.some((d) => typeof d !== "number")) return inferred(dtype, undefined);
    const kept = shape.filter((d) => d !== 1);
    return inferred(dtype, kept, call.contents(0));
  }
  const axes = new Set(given.map((a) => call.axis(a, shape.length)));
  for (const axis of axes) {
    const d = shape[axis];
    if (typeof d === "number" && d !== 1)
      throw call.error(`axis ${axis} of ${shapeText(shape)} has length ${d}; only length 1 can be removed`);
  }
  const kept = shape.filter((_, i) => !axes.has(i));
  return inferred(dtype, kept, call.contents(0));
}

function flatten(call: Call): Inferred {
  const shape = call.shape(0);
  const dtype = call.dtype(0);
  if (shape === undefined) return inferred(dtype, [undefined, undefined]);
  const axis = call.int("axis", 1);
  if (axis < -shape.length || axis > shape.length)
    throw call.error(`axis ${axis} lies outside ${-shape.length}…${shape.length} of ${shapeText(shape)}`);
  const at = axis < 0 ? axis + shape.length : axis;
  return inferred(dtype, [elementsOf(shape.slice(0, at)), elementsOf(shape.slice(at))], call.contents(0));
}

/** Repeats contents over a broadcast (or, with `tiled`, periodically repeated) shape. */
function repeated(call: Call, out: Shape): readonly Dim[] | undefined {
  const shape = call.shape(0);
  const contents = call.contents(0);
  if (contents === undefined || !isStatic(shape) || !isStatic(out)) return undefined;
  const read = reader(contents, shape);
  const offset = out.length - shape.length;
  return tabulate(out, (coordinate) => read(shape.map((d, i) => coordinate[offset + i]! % d)));
}

function expand(call: Call): Inferred {
  const shape = call.shape(0);
  const dtype = call.dtype(0);
  const target = call.contents(1);
  if (shape === undefined) return inferred(dtype, undefined);
  if (target === undefined) {
    const rank = call.shape(1)?.[0];
    return inferred(dtype, typeof rank === "number" ? unknownDims(Math.max(rank, shape.length)) : undefined);
  }
  const out = broadcastShapes([shape, target]);
  if ("axis" in out)
    throw call.error(`${shapeText(shape)} does not expand to ${shapeText(target)}: axis ${out.axis} is ${out.dims[0]}, not 1`);
  return inferred(dtype, out, repeated(call, out));
}

function tile(call: Call): Inferred {
  const shape = call.shape(0);
  const dtype = call.dtype(0);
  if (shape === undefined) return inferred(dtype, undefined);
  const repeats = call.contents(1);
  if (repeats === undefined) return inferred(dtype, unknownDims(shape.length));
  if (repeats.length !== shape.length)
    throw call.error(`repeats ${shapeText(repeats)} has ${repeats.length} entries, ${shapeText(shape)} has ${shape.length} axes`);
  const out = shape.map((d, i): Dim => {
    const n = repeats[i];
    if (n === 1) return d;
    if (d === 1) return n;
    return typeof d === "number" && typeof n === "number" ? d * n : undefined;
  });
  return inferred(dtype, out, repeated(call, out));
}

/** Operators that view, permute or repeat. */
export const reshapingRules: Readonly<Record<string, InferRule>> = {
  Reshape: reshape,
  Transpose: transpose,
  Unsqueeze: unsqueeze,
  Squeeze: squeeze,
  Flatten: flatten,
  Expand: expand,
  Tile: tile,
};
