import type { Graph, Node } from "../onnx/index.js";
import type { Dataflow } from "./dataflow.js";
import { type KnownScopes, LostScopes, quantizes } from "./lost-scopes.js";
import { type ModuleScope, moduleScopesOf } from "./module-path.js";

/** Modules that wrap a whole network in some exports. */
const wrappers = new Set(["unet", "vae", "model", "module", "_orig_mod"]);

/**
 * The modules around every node. Where a node has lost the name its exporter gave it (older exporters, optimizers,
 * quantizers), the module is that of the weight it reads, and that of a node without weights follows from its neighbours. So
 * modules without weights are not found then, and one that ends in an activation which is no gate ends before it.
 * @param weights names of all weights
 */
export function scopesOfNodes(
  graph: Graph,
  flow: Dataflow,
  weights: ReadonlyMap<string, number>,
): readonly (readonly ModuleScope[])[] {
  const told = graph.nodes.map((node) => (isLost(node) || quantizes(node) ? undefined : moduleScopesOf(node)));
  if (!told.includes(undefined)) return told as ModuleScope[][];
  const known = byWeights(graph, flow, told, weights);
  return new LostScopes(graph, flow, known, weights).all();
}

function isLost({ name, metadata }: Node): boolean {
  return !name.startsWith("/") && metadata?.["pkg.torch.onnx.name_scopes"] === undefined && metadata?.namespace === undefined;
}

/** Scopes of nodes that read a weight, or something computed from weights alone, beside those that were told. */
function byWeights(graph: Graph, flow: Dataflow, told: KnownScopes, weights: ReadonlyMap<string, number>): KnownScopes {
  const names = [...weights.keys()].filter((name) => /^[A-Za-z_]\w*(\.\w+)+$/.test(name));
  const first = names[0]?.split(".")[0] ?? "";
  const isWrapped = wrappers.has(first) && names.every((name) => name.startsWith(`${first}.`));
  const origin = new Map<string, readonly ModuleScope[]>(
    names.map((name) => [name, scopesFromWeight(isWrapped ? name.slice(first.length + 1) : name)]),
  );
  return graph.nodes.map((node, i) => {
    const isStored = !flow.reads[i]!.some((name) => flow.carriesData.has(name));
    // Equal weights are often stored once and handed on by Identity nodes under the others' names.
    const read = isStored ? [...node.outputs, ...node.inputs] : node.inputs;
    const scopes = told[i] ?? read.map((name) => origin.get(name)).find((s) => s !== undefined);
    if (isStored && scopes !== undefined) for (const name of node.outputs) if (!origin.has(name)) origin.set(name, scopes);
    return quantizes(node) && !isStored ? undefined : scopes;
  });
}

/** "down_blocks.0.resnets.1.conv1.weight" → down_blocks.0, down_blocks.0.resnets.1, down_blocks.0.resnets.1.conv1 */
function scopesFromWeight(name: string): ModuleScope[] {
  const segments: string[] = [];
  for (const part of name.split(".").slice(0, -1)) {
    if (/^\d+$/.test(part) && segments.length > 0) segments.push(`${segments.pop()}.${part}`);
    else segments.push(part);
  }
  return segments.map((_, i) => ({ path: segments.slice(0, i + 1).join(".") }));
}
