import type { DType, Tensor } from "../tensor/index.js";

/** One axis length: a number when fixed, a name when symbolic ("batch"), undefined when unknown. */
export type Dim = number | string | undefined;
export type Shape = readonly Dim[];

/** What is known of a value: `shape` undefined means unknown rank. */
export interface ValueInfo {
  readonly name: string;
  readonly dtype?: DType;
  readonly shape?: Shape;
}

/** Where an initializer's bytes are: in memory (little-endian, row-major) or in a file beside the model. */
export type InitializerData =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "external"; readonly location: string; readonly offset: number; readonly length: number };

/** A weight or constant stored with the graph. */
export interface Initializer {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: InitializerData;
}

/** An operator's attribute, tagged as ONNX tags it (an int 1 and a float 1 are different things there). */
export type Attribute =
  | { readonly type: "int"; readonly value: number }
  | { readonly type: "float"; readonly value: number }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "ints"; readonly value: readonly number[] }
  | { readonly type: "floats"; readonly value: readonly number[] }
  | { readonly type: "strings"; readonly value: readonly string[] }
  | { readonly type: "tensor"; readonly value: Initializer }
  | { readonly type: "graph"; readonly value: Graph }
  | { readonly type: "graphs"; readonly value: readonly Graph[] }
  | { readonly type: "opaque"; readonly bytes: Uint8Array };

export type Attributes = Readonly<Record<string, Attribute>>;

/** One operator call. An empty string among the inputs or outputs is an omitted optional one. */
export interface Node {
  readonly opType: string;
  /** "" is the ONNX default domain. */
  readonly domain: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Attributes;
  /** Key/value pairs exporters leave on a node (the dynamo exporter stores module scopes here). */
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * A dataflow graph in topological order. Graphs are values: nothing here is changed after construction,
 * passes take a graph and return another.
 */
export interface Graph {
  readonly name: string;
  readonly nodes: readonly Node[];
  readonly initializers: readonly Initializer[];
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** Shapes and types of inner values that the exporter wrote down. */
  readonly valueInfo: readonly ValueInfo[];
}

export interface OpsetImport {
  readonly domain: string;
  readonly version: number;
}

/** A graph with what ONNX needs around it. */
export interface Model {
  readonly irVersion: number;
  readonly opsets: readonly OpsetImport[];
  readonly producerName?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly graph: Graph;
}

/** Takes a graph, returns a graph; the argument is untouched. */
export type Pass = (graph: Graph) => Graph;

/** Version of an operator set the model imports; 0 when it does not. */
export function opsetOf(model: Model, domain = ""): number {
  return model.opsets.find((o) => (o.domain === "ai.onnx" ? "" : o.domain) === domain)?.version ?? 0;
}

/** Tags a float attribute, since JavaScript cannot tell 1.0 from 1. */
export function float(value: number): Attribute {
  return { type: "float", value };
}

/** Tags a list of floats. */
export function floats(value: readonly number[]): Attribute {
  return { type: "floats", value };
}

/** What callers may write for an attribute: whole numbers are ints, lists of them ints, tagged attributes pass through. */
export type AttributeInput = number | string | readonly number[] | readonly string[] | Tensor | Graph | Attribute;

/** Reads attributes with their ONNX defaults. */
export function intAttribute(node: Node, name: string, otherwise: number): number {
  const a = node.attributes[name];
  return a?.type === "int" ? a.value : otherwise;
}
export function floatAttribute(node: Node, name: string, otherwise: number): number {
  const a = node.attributes[name];
  return a?.type === "float" ? a.value : otherwise;
}
export function intsAttribute(node: Node, name: string): readonly number[] | undefined {
  const a = node.attributes[name];
  return a?.type === "ints" ? a.value : undefined;
}
export function stringAttribute(node: Node, name: string, otherwise: string): string {
  const a = node.attributes[name];
  return a?.type === "string" ? a.value : otherwise;
}

/** An initializer around a tensor's own memory (no copy). */
export function initializerOf(name: string, tensor: Tensor): Initializer {
  return { name, dtype: tensor.dtype, shape: tensor.shape, data: { kind: "bytes", bytes: tensor.bytes } };
}

function isTensor(x: unknown): x is Tensor {
  return typeof x === "object" && x !== null && "dtype" in x && "data" in x && "shape" in x && "byteLength" in x;
}

/** Tags plain JavaScript values as ONNX attributes. @throws TypeError on a fractional number without `float()` */
export function toAttributes(input: Readonly<Record<string, AttributeInput | undefined>>): Attributes {
  const out: Record<string, Attribute> = {};
  for (const [name, value] of Object.entries(input)) {
    if (value === undefined) continue;
    out[name] = toAttribute(name, value);
  }
  return out;
}

function toAttribute(name: string, value: AttributeInput): Attribute {
  if (typeof value === "number") {
    if (!Number.isInteger(value)) throw new TypeError(`attribute ${name}: ${value} is not an int; write float(${value})`);
    return { type: "int", value };
  }
  if (typeof value === "string") return { type: "string", value };
  if (Array.isArray(value)) {
    if (value.length > 0 && typeof value[0] === "string") return { type: "strings", value: value as string[] };
    return { type: "ints", value: value as number[] };
  }
  if (isTensor(value)) return { type: "tensor", value: initializerOf("", value) };
  if ("nodes" in (value as Graph)) return { type: "graph", value: value as Graph };
  return value as Attribute;
}
