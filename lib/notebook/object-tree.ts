import { type InspectOptions, inspect, types } from "node:util";
import { arraySummary, isTensor, typedArraySummary } from "../figures/array-summary.js";
import { escapeHtml } from "../figures/escape.js";
import { countText } from "../figures/text.js";

/** Children shown of one object, nodes of a whole tree, and how deep it goes. */
const most = { children: 100, nodes: 1_500, depth: 8 };

/** A nested value as a tree that opens by mouse and keyboard. Getters are not called, iterators not consumed. */
export function objectTree(value: object): string {
  return `<div style="font:13px ui-monospace,monospace;line-height:1.5">${new Tree().node(undefined, value, 0)}</div>`;
}

/** Whether there is anything to open. */
export function isContainer(value: object): boolean {
  if (typeof value === "function" || types.isNativeError(value) || types.isPromise(value) || types.isProxy(value)) return false;
  return ArrayBuffer.isView(value) || isTensor(value) ? false : childrenOf(value, 1).some(() => true);
}

class Tree {
  /** From the root to the value at hand. */
  readonly #path: object[] = [];
  #nodes = 0;

  node(key: string | undefined, value: unknown, depth: number): string {
    this.#nodes++;
    const label = key === undefined ? "" : `<span style="opacity:.65">${escapeHtml(key)}</span>: `;
    if (typeof value !== "object" || value === null || !isContainer(value)) return line(`${label}${leaf(value)}`);
    if (this.#path.includes(value)) return line(`${label}${escapeHtml(nameOf(value))} <i>contains itself</i>`);
    if (depth >= most.depth || this.#nodes >= most.nodes) return line(`${label}${leaf(value)}`);
    this.#path.push(value);
    const { size } = sizeOf(value);
    const children: string[] = [];
    for (const [name, child] of childrenOf(value, most.children)) {
      if (this.#nodes >= most.nodes) break;
      children.push(this.node(name, child, depth + 1));
    }
    if (children.length < size) children.push(line(`<i>${countText(size - children.length)} more of ${countText(size)}</i>`));
    this.#path.pop();
    const summary = `${label}${escapeHtml(nameOf(value))}`;
    const open = depth === 0 ? " open" : "";
    return `<details${open}><summary style="cursor:pointer">${summary}</summary><div style="margin-left:1.4em">${children.join("")}</div></details>`;
  }
}

function line(html: string): string {
  return `<div>${html}</div>`;
}

function leaf(value: unknown): string {
  if (typeof value === "object" && value !== null && isTensor(value)) return escapeHtml(arraySummary(value).text);
  if (ArrayBuffer.isView(value) && !(value instanceof DataView))
    return escapeHtml(typedArraySummary(value as unknown as Float32Array).text);
  if (types.isNativeError(value)) return escapeHtml(`${value.name}: ${value.message}`);
  const text = printed(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY, maxArrayLength: 8, maxStringLength: 200 });
  return escapeHtml(text.length > 300 ? `${text.slice(0, 299)}…` : text);
}

/** As Node prints it, less what following asynchronous work (`AsyncLocalStorage`) leaves in promises. */
export function printed(value: unknown, options: InspectOptions): string {
  const bookkeeping = /,?\s*\[Symbol\((?:async_id_symbol|trigger_async_id_symbol|kResourceStore)\)\]: (?:\d+|\[\w+\]|undefined)/g;
  return inspect(value, options).replace(bookkeeping, "");
}

/** "Map(3)", "Generation", "{…} 4 keys". */
function nameOf(value: object): string {
  const { size, unit } = sizeOf(value);
  const name = Object.getPrototypeOf(value)?.constructor?.name ?? "Object";
  return unit === undefined ? `${name}(${countText(size)})` : `${name} {${countText(size)} ${unit}}`;
}

function sizeOf(value: object): { readonly size: number; readonly unit?: string } {
  if (Array.isArray(value)) return { size: value.length };
  if (value instanceof Map || value instanceof Set) return { size: value.size };
  const size = Object.keys(value).length;
  return { size, unit: size === 1 ? "property" : "properties" };
}

/** How many values there are in an object down to some depth; counting ends at `limit`. */
export function countNodes(value: unknown, depth: number, limit: number): number {
  if (typeof value !== "object" || value === null || depth === 0 || !isContainer(value)) return 1;
  let count = 1;
  for (const [, child] of childrenOf(value, most.children)) {
    if (count >= limit) break;
    count += countNodes(child, depth - 1, limit - count);
  }
  return count;
}

/** Names and values of at most `limit` children. */
function childrenOf(value: object, limit: number): readonly (readonly [string | undefined, unknown])[] {
  if (Array.isArray(value)) return value.slice(0, limit).map((child, i) => [String(i), child]);
  if (value instanceof Map) return first(value, limit).map(([key, child]) => [keyText(key), child]);
  if (value instanceof Set) return first(value, limit).map((child) => [undefined, child]);
  return first(Object.keys(value), limit).map((key) => {
    const { get, value: child } = Object.getOwnPropertyDescriptor(value, key)!;
    return [key, get ? new Getter() : child];
  });
}

/** A map's key as a name. */
export function keyText(key: unknown): string {
  return typeof key === "string" ? key : inspect(key, { depth: 0 });
}

function first<T>(items: Iterable<T>, limit: number): T[] {
  const taken: T[] = [];
  for (const item of items) {
    if (taken.length === limit) break;
    taken.push(item);
  }
  return taken;
}

/** Stands for what reading would have to compute. */
class Getter {
  [inspect.custom](): string {
    return "(getter)";
  }
}
