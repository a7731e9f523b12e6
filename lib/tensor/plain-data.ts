import { float32, Tensor } from "./tensor.js";

/** What JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A value that data cannot stand for: a function, an object with a class of its own. */
export class NotPlainError extends TypeError {
  override readonly name: string = "NotPlainError";
}

/**
 * A value as JSON, with its tensors and bytes put beside it under names that begin with `name`; they stand as
 * `{ $tensor: name }` and `{ $bytes: name }`. Numbers that JSON lacks stand as `{ $number: "NaN" }`.
 * @throws NotPlainError if a function or the like is part of it
 */
export function toPlain(value: unknown, name: string, tensors: Record<string, Tensor>): Json {
  if (value instanceof Tensor || value instanceof Float32Array) {
    tensors[name] = value instanceof Tensor ? value : float32(value);
    return { $tensor: name };
  }
  if (value instanceof Uint8Array) {
    tensors[name] = new Tensor("uint8", value, [value.length]);
    return { $bytes: name };
  }
  if (typeof value === "number") return Number.isFinite(value) ? value : { $number: String(value) };
  if (value === undefined || value === null) return null;
  if (typeof value === "string" || typeof value === "boolean") return value;
  if (Array.isArray(value)) return value.map((entry, i) => toPlain(entry, `${name}.${i}`, tensors));
  const isRecord = typeof value === "object" && (Object.getPrototypeOf(value) ?? Object.prototype) === Object.prototype;
  if (!isRecord)
    throw new NotPlainError(
      `${name} cannot be written down: it is ${typeof value === "object" ? "an object of a class" : `a ${typeof value}`}`,
    );
  const entries = Object.entries(value as object).filter(([, entry]) => entry !== undefined);
  return Object.fromEntries(entries.map(([key, entry]) => [key, toPlain(entry, `${name}.${key}`, tensors)]));
}

/** The value that `toPlain` wrote down. @throws TypeError if one of its tensors is missing */
export function fromPlain(value: Json, tensors: Readonly<Record<string, Tensor>>): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((entry) => fromPlain(entry as Json, tensors));
  const { $tensor, $bytes, $number } = value as { readonly [key: string]: Json };
  const name = $tensor ?? $bytes;
  if (typeof name === "string") {
    const tensor = Object.hasOwn(tensors, name) ? tensors[name] : undefined;
    if (tensor === undefined) throw new TypeError(`recipe: the tensor "${name}" is missing; load the tensors saved beside it`);
    return $tensor === undefined ? tensor.bytes : tensor;
  }
  if (typeof $number === "string") return Number($number);
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, fromPlain(entry, tensors)]));
}
