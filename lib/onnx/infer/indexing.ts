import type { Dim, Shape } from "../graph.js";
import { reader, stridesOf, tabulate } from "./contents.js";
import { type Call, type InferRule, type Inferred, inferred } from "./context.js";
import { isStatic, mergeDim, shapeText } from "./dims.js";

/** Checks known indices against a known axis. */
function checkIndices(call: Call, indices: number, length: Dim, where: string): void {
  if (typeof length !== "number") return;
  for (const index of call.contents(indices) ?? []) {
    if (typeof index === "number" && (index < -length || index >= length)) {
      throw call.error(`index ${index} lies outside ${where} of length ${length} in ${call.text(0)}`);
    }
  }
}

function gather(call: Call): Inferred {
  const data = call.shape(0);
  const indices = call.shape(1);
  const dtype = call.dtype(0);
  if (data === undefined || indices === undefined) return inferred(dtype, undefined);
  const axis = call.axis(call.int("axis", 0), data.length);
  checkIndices(call, 1, data[axis], `axis ${axis}`);
  const out = [...data.slice(0, axis), ...indices, ...data.slice(axis + 1)];
  const contents = call.contents(0);
  const wanted = call.contents(1);
  if (contents === undefined || wanted === undefined || !isStatic(data) || !isStatic(indices) || !isStatic(out))
    return inferred(dtype, out);
  const read = reader(contents, data);
  const readIndex = reader(wanted, indices);
  const taken = tabulate(out, (c) => {
    const index = readIndex(c.slice(axis, axis + indices.length));
    if (typeof index !== "number") return undefined;
    return read([...c.slice(0, axis), index < 0 ? index + data[axis]! : index, ...c.slice(axis + indices.length)]);
  });
  return inferred(dtype, out, taken);
}

function gatherElements(call: Call): Inferred {
  const data = call.shape(0);
  const indices = call.shape(1);
  if (data !== undefined && indices !== undefined) {
    if (data.length !== indices.length)
      throw call.error(`data ${shapeText(data)} and indices ${shapeText(indices)} must have equal rank`);
    const axis = call.axis(call.int("axis", 0), data.length);
    checkIndices(call, 1, data[axis], `axis ${axis}`);
    for (const [i, d] of indices.entries()) {
      const limit = data[i];
      if (i !== axis && typeof d === "number" && typeof limit === "number" && d > limit) {
        throw call.error(`indices ${shapeText(indices)} exceed data ${shapeText(data)} on axis ${i}`);
      }
    }
  }
  return inferred(call.dtype(0), indices);
}

function gatherND(call: Call): Inferred {
  const data = call.shape(0);
  const indices = call.shape(1);
  const dtype = call.dtype(0);
  const width = indices?.at(-1);
  if (data === undefined || indices === undefined || typeof width !== "number") return inferred(dtype, undefined);
  const batch = call.int("batch_dims", 0);
  if (batch + width > data.length)
    throw call.error(`indices ${shapeText(indices)} address ${batch + width} axes of data ${shapeText(data)}`);
  return inferred(dtype, [...indices.slice(0, -1), ...data.slice(batch + width)]);
}

function scatterElements(call: Call): Inferred {
  const dtype = call.sameDType(0, 2);
  const [data, indices, updates] = [call.shape(0), call.shape(1), call.shape(2)];
  if (data !== undefined) {
    const axis = call.axis(call.int("axis", 0), data.length);
    checkIndices(call, 1, data[axis], `axis ${axis}`);
    if (indices !== undefined && indices.length !== data.length) {
      throw call.error(`data ${shapeText(data)} and indices ${shapeText(indices)} must have equal rank`);
    }
  }
  if (indices !== undefined && updates !== undefined && !agree(indices, updates)) {
    throw call.error(`indices ${shapeText(indices)} and updates ${shapeText(updates)} must have one shape`);
  }
  return inferred(dtype, data);
}

function agree(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((d, i) => mergeDim(d, b[i]) !== null);
}

function scatterND(call: Call): Inferred {
  const dtype = call.sameDType(0, 2);
  const [data, indices, updates] = [call.shape(0), call.shape(1), call.shape(2)];
  const width = indices?.at(-1);
  if (data !== undefined && indices !== undefined && typeof width === "number") {
    if (width > data.length) throw call.error(`indices ${shapeText(indices)} address ${width} axes of data ${shapeText(data)}`);
    const needed = [...indices.slice(0, -1), ...data.slice(width)];
    if (updates !== undefined && !agree(needed, updates)) {
      throw call.error(
        `updates are ${shapeText(updates)}, indices ${shapeText(indices)} into ${shapeText(data)} need ${shapeText(needed)}`,
      );
    }
  }
  return inferred(dtype, data, scatteredND(call, data, width));
}

/** Contents after a small scatter without reduction, as exporters write them for assigned elements of a shape. */
function scatteredND(call: Call, data: Shape | undefined, width: Dim): readonly Dim[] | undefined {
  const contents = call.contents(0);
  const indices = call.value(1);
  const updates = call.contents(2);
  if (!contents || !indices || !updates || !isStatic(data) || typeof width !== "number") return undefined;
  if (call.string("reduction", "none") !== "none") return undefined;
  const strides = stridesOf(data);
  const block = width === 0 ? contents.length : strides[width - 1]!;
  const out = [...contents];
  for (let row = 0; row * width < indices.length; row++) {
    let start = 0;
    for (let j = 0; j < width; j++) {
      const index = indices[row * width + j]!;
      start += (index < 0 ? index + data[j]! : index) * strides[j]!;
    }
    for (let k = 0; k < block; k++) out[start + k] = updates[row * block + k];
  }
  return out;
}

function nonZero(call: Call): Inferred {
  const shape = call.shape(0);
  const contents = call.value(0);
  if (contents === undefined || !isStatic(shape)) return inferred("int64", [shape?.length, undefined]);
  const strides = stridesOf(shape);
  const found = contents.flatMap((x, i) => (x === 0 ? [] : [i]));
  const coordinates = shape.flatMap((d, axis) => found.map((i) => Math.floor(i / strides[axis]!) % d));
  return inferred("int64", [shape.length, found.length], coordinates);
}

function compress(call: Call): Inferred {
  const shape = call.shape(0);
  const dtype = call.dtype(0);
  const kept: Dim = call.value(1)?.filter((x) => x !== 0).length;
  if (call.node.attributes.axis === undefined) return inferred(dtype, [kept]);
  return inferred(dtype, shape?.with(call.axis(call.int("axis", 0), shape.length), kept));
}

function trilu(call: Call): Inferred {
  call.shapeOfRank(0, 2, "input");
  return call.like(0);
}

function unique(call: Call): Inferred[] {
  const shape = call.shape(0);
  const axis = call.node.attributes.axis;
  const values = axis?.type === "int" ? shape?.with(call.axis(axis.value, shape.length), undefined) : [undefined];
  const indices = inferred("int64", [undefined]);
  return [inferred(call.dtype(0), values), indices, indices, indices];
}

/** Operators that pick or place elements by index. */
export const indexingRules: Readonly<Record<string, InferRule>> = {
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherND,
  ScatterElements: scatterElements,
  Scatter: scatterElements,
  ScatterND: scatterND,
  NonZero: nonZero,
  Compress: compress,
  Trilu: trilu,
  Unique: unique,
  ReverseSequence: (call) => call.like(0),
};
