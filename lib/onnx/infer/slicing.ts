import type { Dim, Shape } from "../graph.js";
import { reader, tabulate } from "./contents.js";
import { type Call, type InferRule, type Inferred, inferred } from "./context.js";
import { isStatic, mergeDim, shapeText } from "./dims.js";
import { axesOf, unknownDims } from "./reshaping.js";

function concat(call: Call): Inferred {
  const which = call.node.inputs.map((_, i) => i);
  const dtype = call.sameDType(...which);
  const shapes = which.map((i) => call.shape(i));
  const first = shapes.find((s) => s !== undefined);
  if (first === undefined) return inferred(dtype, undefined);
  const axis = call.axis(call.int("axis", 0), first.length);
  const out: Dim[] = [...first];
  let total: Dim = 0;
  for (const shape of shapes) {
    const length: Dim = shape?.[axis];
    total =
      typeof total === "number" && typeof length === "number"
        ? total + length
        : total === 0
          ? length
          : length === 0
            ? total
            : undefined;
    if (shape === undefined) continue;
    if (shape.length !== first.length) throw call.error(`inputs ${shapes.map(shapeText).join(", ")} must have equal rank`);
    for (const [i, d] of shape.entries()) {
      if (i === axis) continue;
      const merged = mergeDim(out[i], d);
      if (merged === null)
        throw call.error(
          `inputs ${shapes.map(shapeText).join(", ")} joined along axis ${axis} differ on axis ${i}: ${out[i]} and ${d}`,
        );
      out[i] = merged;
    }
  }
  out[axis] = total;
  return inferred(dtype, out, joined(call, axis, shapes, out));
}

/** Contents of a concatenation; inputs with unknown contents leave unknown elements. */
function joined(call: Call, axis: number, shapes: readonly (Shape | undefined)[], out: Shape): readonly Dim[] | undefined {
  if (!isStatic(out) || !call.inputs.some((_, i) => call.contents(i))) return undefined;
  const parts = shapes.map((shape, i) => {
    const contents = call.contents(i);
    return { length: shape?.[axis] as number, read: contents && isStatic(shape) ? reader(contents, shape) : undefined };
  });
  return tabulate(out, (coordinate) => {
    let offset = coordinate[axis]!;
    for (const { length, read } of parts) {
      // `with` copies, so that the walked coordinate stays untouched; length-1 axes are read by broadcasting.
      if (offset < length) return read?.(coordinate.with(axis, offset));
      offset -= length;
    }
    return undefined;
  });
}

function splitLengths(call: Call, length: Dim): readonly Dim[] {
  const parts = call.node.outputs.length;
  const given = call.ints("split") ?? call.contents(1);
  if (given !== undefined) {
    if (given.length !== parts) throw call.error(`split ${shapeText(given)} has ${given.length} entries for ${parts} outputs`);
    const total = given.reduce<Dim>((a, b) => (typeof a === "number" && typeof b === "number" ? a + b : undefined), 0);
    if (mergeDim(total, length) === null)
      throw call.error(`split ${shapeText(given)} adds up to ${total}, the axis has length ${length}`);
    return given;
  }
  if (call.has(1) || typeof length !== "number") return new Array<Dim>(parts).fill(parts === 1 ? length : undefined);
  const count = call.int("num_outputs", parts);
  const each = Math.ceil(length / count);
  // Since opset 18 the last part may be shorter, but not empty.
  if (call.opset < 18 ? length % parts !== 0 : (count - 1) * each >= length) {
    throw call.error(`an axis of length ${length} cannot be split into ${count} equal parts`);
  }
  return call.node.outputs.map((_, i) => Math.min(each, length - i * each));
}

function split(call: Call): Inferred[] {
  const dtype = call.dtype(0);
  const shape = call.shape(0);
  if (shape === undefined) return call.node.outputs.map(() => inferred(dtype, undefined));
  const axis = call.axis(call.int("axis", 0), shape.length);
  const contents = call.contents(0);
  const read = contents && isStatic(shape) ? reader(contents, shape) : undefined;
  let start = 0;
  return splitLengths(call, shape[axis]).map((length) => {
    const out = shape.with(axis, length);
    const from = start;
    start += typeof length === "number" ? length : Number.NaN;
    const part = read && isStatic(out) ? tabulate(out, (c) => read(c.with(axis, c[axis]! + from))) : undefined;
    return inferred(dtype, out, part);
  });
}

interface Range {
  readonly start: number;
  readonly step: number;
  readonly length: Dim;
}

/** Start, step and count of `start:end:step` on an axis, by Python's rules for negative and overlong ends. */
function rangeOf(length: number, start: number, end: number, step: number): Range {
  const clamp = (x: number, low: number, high: number) => Math.min(Math.max(x < 0 ? x + length : x, low), high);
  const from = step > 0 ? clamp(start, 0, length) : clamp(start, 0, length - 1);
  const to = step > 0 ? clamp(end, 0, length) : clamp(end, -1, length - 1);
  return { start: from, step, length: Math.max(0, Math.ceil((to - from) / step)) };
}

/** A slice of an axis of named or unknown length. */
function openRange(length: Dim, start: Dim, end: Dim, step: number): Range {
  const whole = step === 1 && start === 0 && (end === length || (typeof end === "number" && end >= 2 ** 31 - 1));
  return { start: 0, step, length: whole && length !== undefined ? length : undefined };
}

function slice(call: Call): Inferred {
  const shape = call.shape(0);
  const dtype = call.dtype(0);
  if (shape === undefined) return inferred(dtype, undefined);
  const starts = call.ints("starts") ?? call.contents(1);
  const ends = call.ints("ends") ?? call.contents(2);
  const axesGiven = call.ints("axes") ?? (call.has(3) ? call.value(3) : undefined);
  const steps = call.has(4) ? call.value(4) : undefined;
  if (call.has(3) && axesGiven === undefined) return inferred(dtype, unknownDims(shape.length));
  const count = starts?.length ?? ends?.length ?? call.shape(1)?.[0];
  const axes = (axesGiven ?? (typeof count === "number" ? shape.slice(0, count).map((_, i) => i) : shape.map((_, i) => i))).map(
    (a) => call.axis(a, shape.length),
  );
  for (const [what, given] of [
    ["starts", starts],
    ["ends", ends],
    ["steps", steps],
  ] as const) {
    if (given !== undefined && given.length !== axes.length) {
      throw call.error(`${what} ${shapeText(given)} has ${given.length} entries for ${axes.length} axes of ${shapeText(shape)}`);
    }
  }
  const ranges = shape.map((length): Range => ({ start: 0, step: 1, length }));
  for (const [i, axis] of axes.entries()) {
    const length = shape[axis];
    const start = starts?.[i];
    const end = ends?.[i];
    const step = call.has(4) ? steps?.[i] : 1;
    if (step === 0) throw call.error(`step 0 on axis ${axis}`);
    if (step === undefined) ranges[axis] = { start: 0, step: 1, length: undefined };
    else if (typeof length === "number" && typeof start === "number" && typeof end === "number")
      ranges[axis] = rangeOf(length, start, end, step);
    else ranges[axis] = openRange(length, start, end, step);
  }
  const out = ranges.map((r) => r.length);
  const contents = call.contents(0);
  if (contents === undefined || !isStatic(shape) || !isStatic(out)) return inferred(dtype, out);
  const read = reader(contents, shape);
  return inferred(
    dtype,
    out,
    tabulate(out, (coordinate) => read(coordinate.map((c, i) => ranges[i]!.start + c * ranges[i]!.step))),
  );
}

function pad(call: Call): Inferred {
  const shape = call.shape(0);
  const dtype = call.dtype(0);
  if (shape === undefined) return inferred(dtype, undefined);
  const pads = call.ints("pads") ?? call.ints("paddings") ?? call.contents(1);
  const axesGiven = call.has(3) ? axesOf(call, 3) : shape.map((_, i) => i);
  if (pads === undefined || axesGiven === undefined) return inferred(dtype, unknownDims(shape.length));
  const axes = axesGiven.map((a) => call.axis(a, shape.length));
  if (pads.length !== 2 * axes.length) {
    throw call.error(
      `pads ${shapeText(pads)} has ${pads.length} entries, ${axes.length} axes need ${2 * axes.length}: all begins, then all ends`,
    );
  }
  const out: Dim[] = [...shape];
  for (const [i, axis] of axes.entries()) {
    const [length, begin, end] = [shape[axis], pads[i], pads[i + axes.length]];
    if (typeof begin !== "number" || typeof end !== "number") out[axis] = undefined;
    else if (typeof length === "number") {
      if (length + begin + end < 0)
        throw call.error(`pads ${begin} and ${end} remove more than the ${length} entries of axis ${axis}`);
      out[axis] = length + begin + end;
    } else out[axis] = begin + end === 0 ? length : undefined;
  }
  return inferred(dtype, out);
}

/** Operators that cut, join and pad along axes. */
export const slicingRules: Readonly<Record<string, InferRule>> = {
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
};
