import type { Dim, Shape } from "../graph.js";

/** `[batch,4,?]`: a shape in messages. */
export function shapeText(shape: Shape | undefined): string {
  return shape === undefined ? "[…]" : `[${shape.map((d) => d ?? "?").join(",")}]`;
}

/** True when every axis is a number. */
export function isStatic(shape: Shape | undefined): shape is readonly number[] {
  return shape?.every((d) => typeof d === "number") ?? false;
}

/** Axis lengths that must be equal, merged to the better known; null when both are numbers and differ. */
export function mergeDim(a: Dim, b: Dim): Dim | null {
  if (typeof a === "number") return typeof b === "number" && a !== b ? null : a;
  if (typeof b === "number") return b;
  return a ?? b;
}

/** One axis under broadcasting; null when the lengths cannot go together. */
export function broadcastDim(a: Dim, b: Dim): Dim | null {
  if (a === b) return a;
  if (a === 1) return b;
  if (b === 1) return a;
  if (typeof a === "number") return typeof b === "number" ? null : a;
  return typeof b === "number" ? b : undefined;
}

/** Multidirectional broadcast of shapes; on failure the axis (from the right, as a negative number) that does not fit. */
export function broadcastShapes(shapes: readonly Shape[]): Shape | { readonly axis: number; readonly dims: readonly [Dim, Dim] } {
  const rank = Math.max(...shapes.map((s) => s.length));
  const out: Dim[] = new Array<Dim>(rank).fill(1);
  for (const shape of shapes) {
    const offset = rank - shape.length;
    for (let i = 0; i < shape.length; i++) {
      const dim = broadcastDim(out[offset + i], shape[i]);
      if (dim === null) return { axis: offset + i - rank, dims: [out[offset + i], shape[i]] };
      out[offset + i] = dim;
    }
  }
  return out;
}

/** A product of axis lengths: a number times named lengths. */
interface Product {
  readonly factor: number;
  readonly names: readonly string[];
}

function productOf(dims: Shape): Product | undefined {
  let factor = 1;
  const names: string[] = [];
  for (const d of dims) {
    if (d === undefined) return undefined;
    if (typeof d === "number") factor *= d;
    else names.push(d);
  }
  return { factor, names };
}

/** Elements of a shape: a number, the one name that is left, or undefined. */
export function elementsOf(dims: Shape): Dim {
  return quotientOf(dims, []) ?? undefined;
}

/**
 * Product of `dims` over product of `by`, equal names cancelling.
 * @returns null when both are numbers and the division leaves a rest; undefined when it cannot be known
 */
export function quotientOf(dims: Shape, by: Shape): Dim | null {
  const above = productOf(dims);
  const below = productOf(by);
  if (above === undefined || below === undefined) return undefined;
  const names = [...above.names];
  for (const name of below.names) {
    const at = names.indexOf(name);
    if (at < 0) return undefined;
    names.splice(at, 1);
  }
  if (below.factor === 0) return undefined;
  const factor = above.factor / below.factor;
  if (names.length === 0) return Number.isInteger(factor) ? factor : null;
  if (above.factor === 0) return 0;
  return names.length === 1 && factor === 1 ? names[0] : undefined;
}
