import { bytesPerElement, sizeOf } from "../../tensor/index.js";
import type { Attribute, Graph, Initializer, Model, Node, ValueInfo } from "../graph.js";
import { dataTypeCodes } from "./data-type.js";
import { attributeSourceOf, extras, sourceOf, type WithExtras } from "./origin.js";
import {
  attributeField,
  attributeType,
  dimField,
  entryField,
  graphField,
  modelField,
  nodeField,
  opsetField,
  shapeField,
  tensorField,
  tensorTypeField,
  typeField,
  valueInfoField,
} from "./schema.js";
import { WireWriter } from "./wire-writer.js";

/**
 * The model as the bytes of an `.onnx` file. What `decodeModel` returned and nobody replaced is written byte for byte as
 * it was read; fields that `Model`, `Graph`, `Node` do not show survive spreads of those objects.
 * Initializers in other files stay references to them.
 * @throws RangeError above protobuf's 2 GiB (`saveModel` then stores the weights beside the model), on an integer
 * attribute that is not a safe integer, or on an initializer whose bytes do not fill its shape's size in memory
 */
export function encodeModel(model: Model): Uint8Array {
  const source = sourceOf(model);
  if (source) return source.slice();
  const w = new WireWriter();
  w.int(modelField.irVersion, model.irVersion);
  if (model.producerName !== undefined) w.string(modelField.producerName, model.producerName);
  w.raw((model as WithExtras)[extras]);
  w.message(modelField.graph, encodeGraph(model.graph));
  for (const { domain, version } of model.opsets) {
    const opset = new WireWriter();
    opset.string(opsetField.domain, domain);
    opset.int(opsetField.version, version);
    w.message(modelField.opsetImport, opset);
  }
  writeEntries(w, modelField.metadataProps, model.metadata);
  return w.finish();
}

type Encoded = WireWriter | Uint8Array;

function encodeGraph(graph: Graph): Encoded {
  const source = sourceOf(graph);
  if (source) return source;
  const w = new WireWriter();
  for (const node of graph.nodes) w.message(graphField.node, encodeNode(node));
  w.string(graphField.name, graph.name);
  for (const initializer of graph.initializers) w.message(graphField.initializer, encodeTensor(initializer));
  w.raw((graph as WithExtras)[extras]);
  for (const info of graph.inputs) w.message(graphField.input, encodeValueInfo(info));
  for (const info of graph.outputs) w.message(graphField.output, encodeValueInfo(info));
  for (const info of graph.valueInfo) w.message(graphField.valueInfo, encodeValueInfo(info));
  return w;
}

function encodeNode(node: Node): Encoded {
  const source = sourceOf(node);
  if (source) return source;
  const w = new WireWriter();
  for (const name of node.inputs) w.string(nodeField.input, name);
  for (const name of node.outputs) w.string(nodeField.output, name);
  w.string(nodeField.name, node.name);
  w.string(nodeField.opType, node.opType);
  for (const [name, attribute] of Object.entries(node.attributes)) {
    w.message(nodeField.attribute, encodeAttribute(name, attribute));
  }
  w.raw((node as WithExtras)[extras]);
  if (node.domain !== "") w.string(nodeField.domain, node.domain);
  writeEntries(w, nodeField.metadataProps, node.metadata);
  return w;
}

function encodeAttribute(name: string, attribute: Attribute): Encoded {
  const source = attributeSourceOf(attribute, name);
  if (source) return source;
  const w = new WireWriter();
  w.string(attributeField.name, name);
  switch (attribute.type) {
    case "float":
      w.float(attributeField.f, attribute.value);
      break;
    case "int":
      w.int(attributeField.i, expectInteger(attribute.value, name));
      break;
    case "string":
      w.string(attributeField.s, attribute.value);
      break;
    case "tensor":
      w.message(attributeField.t, encodeTensor(attribute.value));
      break;
    case "graph":
      w.message(attributeField.g, encodeGraph(attribute.value));
      break;
    case "floats":
      for (const value of attribute.value) w.float(attributeField.floats, value);
      break;
    case "ints":
      for (const value of attribute.value) w.int(attributeField.ints, expectInteger(value, name));
      break;
    case "strings":
      for (const value of attribute.value) w.string(attributeField.strings, value);
      break;
    case "graphs":
      for (const value of attribute.value) w.message(attributeField.graphs, encodeGraph(value));
      break;
    case "opaque":
      w.raw(attribute.bytes);
      return w;
  }
  w.int(attributeField.type, attributeType[attribute.type]);
  return w;
}

function expectInteger(value: number, attribute: string): number {
  if (!Number.isSafeInteger(value)) {
    throw new RangeError(`encodeModel: attribute ${attribute} must be a safe integer, got ${value}; tag fractions with float()`);
  }
  return value;
}

function encodeTensor(tensor: Initializer): Encoded {
  const source = sourceOf(tensor);
  if (source) return source;
  const w = new WireWriter();
  for (const dim of tensor.shape) w.int(tensorField.dims, dim);
  w.int(tensorField.dataType, dataTypeCodes[tensor.dtype]);
  if (tensor.name !== "") w.string(tensorField.name, tensor.name);
  w.raw((tensor as WithExtras)[extras]);
  const { data } = tensor;
  if (data.kind === "bytes") {
    const needed = sizeOf(tensor.shape) * bytesPerElement(tensor.dtype);
    if (data.bytes.length !== needed) {
      throw new RangeError(
        `encodeModel: initializer ${tensor.name}: ${tensor.dtype}[${tensor.shape.join(", ")}] needs ${needed} bytes, got ${data.bytes.length}`,
      );
    }
    w.bytes(tensorField.rawData, data.bytes);
  } else {
    const { location, offset, length } = data;
    writeEntries(w, tensorField.externalData, { location, offset: `${offset}`, length: `${length}` });
    w.int(tensorField.dataLocation, 1);
  }
  return w;
}

function encodeValueInfo(info: ValueInfo): Encoded {
  const source = sourceOf(info);
  if (source) return source;
  const w = new WireWriter();
  w.string(valueInfoField.name, info.name);
  // Kept fields may hold a type that is no tensor; a reader lets the later of two types win.
  w.raw((info as WithExtras)[extras]);
  if (info.dtype !== undefined || info.shape !== undefined) w.message(valueInfoField.type, encodeTensorType(info));
  return w;
}

function encodeTensorType({ dtype, shape }: ValueInfo): WireWriter {
  const tensorType = new WireWriter();
  if (dtype !== undefined) tensorType.int(tensorTypeField.elemType, dataTypeCodes[dtype]);
  if (shape !== undefined) {
    const dims = new WireWriter();
    for (const dim of shape) {
      const d = new WireWriter();
      if (typeof dim === "number") d.int(dimField.dimValue, dim);
      else if (dim !== undefined) d.string(dimField.dimParam, dim);
      dims.message(shapeField.dim, d);
    }
    tensorType.message(tensorTypeField.shape, dims);
  }
  const type = new WireWriter();
  type.message(typeField.tensorType, tensorType);
  return type;
}

/** A map of strings as repeated StringStringEntryProto. */
export function writeEntries(w: WireWriter, field: number, entries: Readonly<Record<string, string>> | undefined): void {
  for (const [key, value] of Object.entries(entries ?? {})) {
    const entry = new WireWriter();
    entry.string(entryField.key, key);
    entry.string(entryField.value, value);
    w.message(field, entry);
  }
}
