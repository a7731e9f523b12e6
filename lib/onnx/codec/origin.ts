// What makes a decoded model encode to the bytes it came from. Graphs are immutable values, so an object that is still
// the same object is unchanged and its source bytes are still its encoding.

const sources = new WeakMap<object, Uint8Array>();
const attributeNames = new WeakMap<object, string>();

/** Notes the message bytes that `object` was decoded from. */
export function rememberSource<T extends object>(object: T, bytes: Uint8Array): T {
  sources.set(object, bytes);
  return object;
}

/** The bytes an untouched decoded object came from. */
export function sourceOf(object: object): Uint8Array | undefined {
  return sources.get(object);
}

/** As `rememberSource`, for an attribute: its bytes contain its name, so they hold only under that name. */
export function rememberAttribute<T extends object>(attribute: T, name: string, bytes: Uint8Array): T {
  attributeNames.set(attribute, name);
  return rememberSource(attribute, bytes);
}

/** The bytes an untouched attribute came from, if it still has the name it had. */
export function attributeSourceOf(attribute: object, name: string): Uint8Array | undefined {
  return attributeNames.get(attribute) === name ? sources.get(attribute) : undefined;
}

/**
 * Encoded fields that the graph values do not model (doc strings, functions, quantization annotations…).
 * An enumerable symbol key, so that `{ ...graph, nodes }` carries them along.
 */
export const extras: unique symbol = Symbol("onnx fields kept as bytes");

/** A value with or without kept fields. */
export interface WithExtras {
  readonly [extras]?: Uint8Array;
}

/** The property to spread into a decoded object; nothing where every field was understood. */
export function extrasOf(fields: readonly Uint8Array[]): WithExtras {
  if (fields.length === 0) return {};
  return { [extras]: concatenate(fields) };
}

/** One array from several; the array itself where there is one. */
export function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
