import type { Dim, ValueInfo } from "../onnx/index.js";
import type { Feeds } from "./backend.js";

/** How a value is written in messages: `x float32[batch, 3]`. */
export function describeValue({ name, dtype, shape }: ValueInfo): string {
  return `${name} ${dtype ?? "?"}${shape === undefined ? "" : `[${shape.map((d) => d ?? "?").join(", ")}]`}`;
}

/**
 * Checks feeds against a model's inputs, since ONNX Runtime drops names it does not know and its own messages
 * speak of indices.
 * @throws TypeError on an unknown or missing name, another dtype or a disposed tensor; RangeError on another shape
 */
export function checkFeeds(feeds: Feeds, inputs: readonly ValueInfo[], model: string): void {
  const known = new Set(inputs.map((i) => i.name));
  for (const name of Object.keys(feeds)) {
    if (known.has(name)) continue;
    const all = inputs.map(describeValue).join("; ") || "none";
    throw new TypeError(`Session.run: ${model} has no input "${name}"; ${didYouMean(name, [...known])}its inputs: ${all}`);
  }
  for (const input of inputs) {
    const feed = feeds[input.name];
    if (feed === undefined || feed === null) {
      const missing = inputs.filter((i) => feeds[i.name] === undefined).map(describeValue);
      throw new TypeError(`Session.run: ${model} also needs ${missing.join("; ")}; feed every input`);
    }
    if (typeof feed !== "object" || !("dtype" in feed && "shape" in feed)) {
      throw new TypeError(`Session.run: ${model} expects ${describeValue(input)}, got ${typeName(feed)}; wrap it in a Tensor`);
    }
    if (feed.dtype === "bfloat16") {
      throw new TypeError(`Session.run: ${input.name} is bfloat16, which the runtime cannot take; convert it to float32`);
    }
    if (input.dtype !== undefined && feed.dtype !== input.dtype) {
      throw new TypeError(`Session.run: ${model} expects ${describeValue(input)}, got ${feed}; convert it`);
    }
    if (input.shape !== undefined && !shapeFits(feed.shape, input.shape)) {
      throw new RangeError(`Session.run: ${model} expects ${describeValue(input)}, got ${feed}; reshape it`);
    }
  }
}

/** @throws TypeError naming the nearest outputs if a name is not among them */
export function checkOutputNames(names: readonly string[], outputs: readonly ValueInfo[], model: string): void {
  const known = new Set(outputs.map((o) => o.name));
  for (const name of names) {
    if (known.has(name)) continue;
    const all = [...known];
    throw new TypeError(`Session.run: ${model} has no output "${name}"; ${didYouMean(name, all)}its outputs: ${all.join(", ")}`);
  }
}

function didYouMean(name: string, known: readonly string[]): string {
  const near = nearestNames(name, known).map((n) => `"${n}"`);
  return near.length > 0 ? `did you mean ${near.join(" or ")}? ` : "";
}

function typeName(x: unknown): string {
  return x === null ? "null" : typeof x === "object" ? x.constructor.name : typeof x;
}

function shapeFits(actual: readonly number[], expected: readonly Dim[]): boolean {
  return actual.length === expected.length && expected.every((d, i) => typeof d !== "number" || d === actual[i]);
}

/** Up to three names that look most like `name`, if any come near. */
export function nearestNames(name: string, known: readonly string[]): string[] {
  return known
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, distance }) => distance <= Math.max(2, Math.max(name.length, candidate.length) / 2))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
