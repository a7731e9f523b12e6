import type { Attribute, Dim, Graph, Initializer, Model, Node, OpsetImport, ValueInfo } from "../graph.js";
import { dtypeOfCode } from "./data-type.js";
import { decodeAttribute } from "./decode-attribute.js";
import { decodeEntry, decodeTensor } from "./decode-tensor.js";
import { extrasOf, rememberSource } from "./origin.js";
import {
  dimField,
  graphField,
  modelField,
  nodeField,
  opsetField,
  shapeField,
  tensorTypeField,
  typeField,
  valueInfoField,
} from "./schema.js";
import { WireReader } from "./wire-reader.js";

/** Control flow nests a few levels; a file that nests deeper is made to exhaust the stack. */
const maxGraphDepth = 32;

/**
 * The model in the bytes of an `.onnx` file. Weights are views of `bytes`, which must not change afterwards; weights in
 * other files stay references (`loadModel` checks and reads those).
 * @param path names the file in errors
 * @throws ModelFormatError with the offset of the first byte that is not as ONNX says
 */
export function decodeModel(bytes: Uint8Array, path?: string): Model {
  const r = new WireReader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), path);
  const opsets: OpsetImport[] = [];
  const metadata: [string, string][] = [];
  const unmodelled: Uint8Array[] = [];
  let irVersion = 0;
  let producerName: string | undefined;
  let graph: Graph | undefined;
  while (r.next()) {
    switch (r.field) {
      case modelField.irVersion:
        irVersion = r.int();
        break;
      case modelField.producerName:
        producerName = r.string();
        break;
      case modelField.graph:
        graph = decodeGraph(r.message(), 0);
        break;
      case modelField.opsetImport:
        opsets.push(decodeOpset(r.message()));
        break;
      case modelField.metadataProps:
        metadata.push(decodeEntry(r.message()));
        break;
      default:
        unmodelled.push(r.unknown());
    }
  }
  if (graph === undefined) throw r.error("expected a model with a graph");
  const model = {
    irVersion,
    opsets,
    ...(producerName !== undefined && { producerName }),
    ...metadataOf(metadata),
    graph,
    ...extrasOf(unmodelled),
  };
  return rememberSource(model, r.source());
}

function decodeGraph(r: WireReader, depth: number): Graph {
  if (depth > maxGraphDepth) throw r.error(`expected graphs nested at most ${maxGraphDepth} deep`);
  const nodes: Node[] = [];
  const initializers: Initializer[] = [];
  const inputs: ValueInfo[] = [];
  const outputs: ValueInfo[] = [];
  const valueInfo: ValueInfo[] = [];
  const unmodelled: Uint8Array[] = [];
  let name = "";
  while (r.next()) {
    switch (r.field) {
      case graphField.node:
        nodes.push(decodeNode(r.message(), depth));
        break;
      case graphField.name:
        name = r.string();
        break;
      case graphField.initializer: {
        const initializer = decodeTensor(r.message());
        if (initializer) initializers.push(initializer);
        else unmodelled.push(r.fieldBytes());
        break;
      }
      case graphField.input:
        inputs.push(decodeValueInfo(r.message()));
        break;
      case graphField.output:
        outputs.push(decodeValueInfo(r.message()));
        break;
      case graphField.valueInfo:
        valueInfo.push(decodeValueInfo(r.message()));
        break;
      default:
        unmodelled.push(r.unknown());
    }
  }
  return rememberSource({ name, nodes, initializers, inputs, outputs, valueInfo, ...extrasOf(unmodelled) }, r.source());
}

function decodeNode(r: WireReader, depth: number): Node {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes: [string, Attribute][] = [];
  const metadata: [string, string][] = [];
  const unmodelled: Uint8Array[] = [];
  let name = "";
  let opType = "";
  let domain = "";
  while (r.next()) {
    switch (r.field) {
      case nodeField.input:
        inputs.push(r.string());
        break;
      case nodeField.output:
        outputs.push(r.string());
        break;
      case nodeField.name:
        name = r.string();
        break;
      case nodeField.opType:
        opType = r.string();
        break;
      case nodeField.domain:
        domain = r.string();
        break;
      case nodeField.attribute:
        attributes.push(decodeAttribute(r.message(), (inner) => decodeGraph(inner, depth + 1)));
        break;
      case nodeField.metadataProps:
        metadata.push(decodeEntry(r.message()));
        break;
      default:
        unmodelled.push(r.unknown());
    }
  }
  const node = {
    opType,
    domain: domain === "ai.onnx" ? "" : domain,
    name,
    inputs,
    outputs,
    // Not by assignment: a file may name an attribute __proto__.
    attributes: Object.fromEntries(attributes),
    ...metadataOf(metadata),
    ...extrasOf(unmodelled),
  };
  return rememberSource(node, r.source());
}

function decodeValueInfo(r: WireReader): ValueInfo {
  const unmodelled: Uint8Array[] = [];
  let name = "";
  let type: Pick<ValueInfo, "dtype" | "shape"> | undefined;
  while (r.next()) {
    if (r.field === valueInfoField.name) name = r.string();
    else if (r.field === valueInfoField.type) {
      type = decodeType(r.message());
      if (type === undefined) unmodelled.push(r.fieldBytes());
    } else unmodelled.push(r.unknown());
  }
  return rememberSource({ name, ...type, ...extrasOf(unmodelled) }, r.source());
}

/** Undefined for sequences, maps, optionals and for tensors of element types that are none of ours. */
function decodeType(r: WireReader): Pick<ValueInfo, "dtype" | "shape"> | undefined {
  let type: Pick<ValueInfo, "dtype" | "shape"> | undefined;
  while (r.next()) {
    if (r.field === typeField.tensorType) type = decodeTensorType(r.message());
    else r.unknown();
  }
  return type;
}

function decodeTensorType(r: WireReader): Pick<ValueInfo, "dtype" | "shape"> | undefined {
  let code = 0;
  let shape: Dim[] | undefined;
  while (r.next()) {
    if (r.field === tensorTypeField.elemType) code = r.int();
    else if (r.field === tensorTypeField.shape) shape = decodeShape(r.message());
    else r.unknown();
  }
  const dtype = dtypeOfCode(code);
  if (code !== 0 && dtype === undefined) return undefined;
  return { ...(dtype && { dtype }), ...(shape && { shape }) };
}

function decodeShape(r: WireReader): Dim[] {
  const shape: Dim[] = [];
  while (r.next()) {
    if (r.field === shapeField.dim) shape.push(decodeDim(r.message()));
    else r.unknown();
  }
  return shape;
}

/** Unknown for the -1 and the empty name that some exporters write for it. */
function decodeDim(r: WireReader): Dim {
  let dim: Dim;
  while (r.next()) {
    if (r.field === dimField.dimValue) {
      const value = r.int();
      dim = value < 0 ? undefined : value;
    } else if (r.field === dimField.dimParam) dim = r.string() || undefined;
    else r.unknown();
  }
  return dim;
}

function decodeOpset(r: WireReader): OpsetImport {
  let domain = "";
  let version = 0;
  while (r.next()) {
    if (r.field === opsetField.domain) domain = r.string();
    else if (r.field === opsetField.version) version = r.int();
    else r.unknown();
  }
  return { domain, version };
}

function metadataOf(entries: readonly [string, string][]): { metadata?: Record<string, string> } {
  return entries.length === 0 ? {} : { metadata: Object.fromEntries(entries) };
}
