import { int64 } from "../../tensor/index.js";
import {
  type Attributes,
  type Graph,
  type Initializer,
  initializerOf,
  intAttribute,
  type Model,
  type Node,
  opsetOf,
  type Shape,
  toAttributes,
} from "../graph.js";
import { type Inferred, inferGraph } from "../infer/index.js";
import { freshNames, mapSubgraphs, subgraphsOf } from "./scope.js";

/** ONNX Runtime's own operators on images whose channels are stored in blocks, innermost: [batch, channel/b, y, x, b]. */
export const blockedDomain = "com.microsoft.nchwc";

/** Whether there are convolutions whose kernels are computed or fed: those `blockConvolutions` is for. */
export function hasComputedKernels(graph: Graph): boolean {
  const constant = constantsOf(graph);
  return graph.nodes.some((node) => isCandidate(node, constant) || subgraphsOf(node).some(hasComputedKernels));
}

/**
 * Puts convolutions on ONNX Runtime's blocked kernels, up to a quarter faster than its others, reorders counted.
 * The runtime does so by itself only where the kernel is a constant; in training it is state.
 * @param block channels in a block on the machine that will run the model
 */
export function blockConvolutions(model: Model, block: number): Model {
  const known = inferGraph(model.graph, { opset: opsetOf(model), bodies: true });
  const graph = blocked(model.graph, block, known, freshNames(model.graph));
  return { ...model, graph, opsets: [...model.opsets, { domain: blockedDomain, version: 1 }] };
}

/** Values that depend on nothing but the graph's own constants. */
function constantsOf(graph: Graph): ReadonlySet<string> {
  const constant = new Set(graph.initializers.map((i) => i.name));
  for (const input of graph.inputs) constant.delete(input.name);
  for (const node of graph.nodes) {
    if (subgraphsOf(node).length === 0 && node.inputs.every((name) => name === "" || constant.has(name)))
      for (const name of node.outputs) constant.add(name);
  }
  return constant;
}

function isCandidate(node: Node, constant: ReadonlySet<string>): boolean {
  return node.opType === "Conv" && node.domain === "" && intAttribute(node, "group", 1) === 1 && !constant.has(node.inputs[1]!);
}

function blocked(graph: Graph, block: number, known: ReadonlyMap<string, Inferred>, fresh: (hint: string) => string): Graph {
  const constant = constantsOf(graph);
  const initializers: Initializer[] = [];
  const images = new Map<string, string>();
  const nodes = graph.nodes.flatMap((node): Node[] => {
    const kernel = known.get(node.inputs[1] ?? "")?.shape;
    if (!isCandidate(node, constant) || kernel === undefined || !fits(kernel, block))
      return [mapSubgraphs(node, (body) => blocked(body, block, known, fresh))];

    const added: Node[] = [];
    const add = (opType: string, inputs: string[], attributes: Attributes, output: string, domain = ""): string => {
      added.push({ name: fresh(`${node.name}/${opType}`), opType, domain, inputs, outputs: [output], attributes });
      return output;
    };
    const reshape = (name: string, shape: readonly number[]): string => {
      const target = initializerOf(fresh(`${name}/shape`), int64(shape));
      initializers.push(target);
      return add("Reshape", [name, target.name], {}, fresh(`${name}/reshaped`));
    };
    const [x, w, bias] = node.inputs as [string, string, string?];
    const image = images.get(x) ?? add("ReorderInput", [x], {}, fresh(`${x}/blocked`), blockedDomain);
    images.set(x, image);
    const [out, into, height, width] = kernel;
    const tiles = reshape(w, [out / block, block, into / block, block, height, width]);
    const perm = toAttributes({ perm: [0, 2, 4, 5, 3, 1] });
    const tiled = reshape(add("Transpose", [tiles], perm, fresh(`${w}/tiled`)), kernel);
    const inputs = bias === undefined ? [image, tiled] : [image, tiled, bias];
    const result = add("Conv", inputs, node.attributes, fresh(`${node.outputs[0]}/blocked`), blockedDomain);
    add("ReorderOutput", [result], toAttributes({ channels: out }), node.outputs[0]!, blockedDomain);
    return added;
  });
  return { ...graph, nodes, initializers: [...graph.initializers, ...initializers] };
}

/** Whole blocks of channels on both sides, in two dimensions; a 1×1 kernel is a matrix product, best left as it is. */
function fits(kernel: Shape, block: number): kernel is readonly [number, number, number, number] {
  if (kernel.length !== 4 || !kernel.every((d) => typeof d === "number")) return false;
  const [out, into, height, width] = kernel as [number, number, number, number];
  return out % block === 0 && into % block === 0 && height * width > 1;
}
