import type { Graph, Model } from "../graph.js";
import { subgraphsOf } from "../passes/scope.js";
import { decodeEntry } from "./decode-tensor.js";
import { ModelFormatError } from "./model-format-error.js";
import { extras, type WithExtras } from "./origin.js";
import { tensorField } from "./schema.js";
import { WireReader } from "./wire-reader.js";

/** Messages nest a few levels; what seems to nest deeper is text or numbers. */
const maxDepth = 12;

/**
 * Names of files in fields that a model keeps as bytes: tensors of element types that are none of ours, sparse tensors,
 * functions. The runtime would open them, unseen by the checks that other references go through.
 */
export function* hiddenLocations(model: Model): Generator<string, void, undefined> {
  yield* locationsIn((model as WithExtras)[extras]);
  yield* locationsOfGraph(model.graph);
}

function* locationsOfGraph(graph: Graph): Generator<string, void, undefined> {
  yield* locationsIn((graph as WithExtras)[extras]);
  for (const node of graph.nodes) {
    yield* locationsIn((node as WithExtras)[extras]);
    for (const a of Object.values(node.attributes)) if (a.type === "opaque") yield* locationsIn(a.bytes);
    for (const body of subgraphsOf(node)) yield* locationsOfGraph(body);
  }
}

/** Locations of external tensors in a message, whatever its type: any field that can be read as a message is. */
function* locationsIn(bytes: Uint8Array | undefined, depth = 0): Generator<string, void, undefined> {
  if (bytes === undefined || bytes.length < 4 || depth > maxDepth) return;
  const found: string[] = [];
  const inner: Uint8Array[] = [];
  try {
    const r = new WireReader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    while (r.next()) {
      const field = r.field;
      const content = r.content();
      if (content === undefined) continue;
      inner.push(content);
      if (field === tensorField.externalData) found.push(...locationEntry(content));
    }
  } catch (error) {
    if (error instanceof ModelFormatError) return;
    throw error;
  }
  yield* found;
  for (const content of inner) yield* locationsIn(content, depth + 1);
}

function locationEntry(bytes: Uint8Array): string[] {
  try {
    const [key, value] = decodeEntry(new WireReader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)));
    return key === "location" ? [value] : [];
  } catch (error) {
    if (error instanceof ModelFormatError) return [];
    throw error;
  }
}
