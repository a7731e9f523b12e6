import type { Graph, Node } from "../onnx/index.js";
import type { Dataflow } from "./dataflow.js";
import { type ModuleScope, moduleScopesOf } from "./module-path.js";

type Scopes = readonly ModuleScope[];

/** Operators that quantize what the module behind them reads. */
const quantizers = new Set(["QuantizeLinear", "DynamicQuantizeLinear"]);

/** Modules that wrap a whole network in some exports. */
const wrappers = new Set(["unet", "vae", "model", "module", "_orig_mod"]);

/**
 * The modules around every node. Where a node has lost the name its exporter gave it (older exporters, optimizers,
 * quantizers), the module is that of the weight it reads; a node without weights belongs to what encloses both the module
 * before it and the one behind it, and a residual sum to the innermost module that reads what is added to it.
 */
export function scopesOfNodes(graph: Graph, flow: Dataflow): readonly Scopes[] {
  const lost = graph.nodes.map((node) => isLost(node) || quantizers.has(node.opType));
  const told: readonly (Scopes | undefined)[] = graph.nodes.map((node, i) => (lost[i] ? undefined : moduleScopesOf(node)));
  if (!lost.includes(true)) return told as Scopes[];
  const scopes = byWeights(graph, told);
  if (scopes.every((s) => s === undefined || s.length === 0)) return scopes.map((s) => s ?? []);
  const behind = firstReaders(graph, flow, scopes);
  const parents = new Set(scopes.flatMap((s) => s?.slice(0, -1).map((module) => module.path) ?? []));
  const before = new Map<string, number>();
  graph.nodes.forEach((node, i) => {
    const latest = Math.max(-1, ...flow.reads[i]!.map((name) => before.get(name) ?? -1));
    if (scopes[i] === undefined) {
      const next = Math.min(...node.outputs.map((name) => behind.get(name) ?? Number.POSITIVE_INFINITY));
      const after = scopes[next] ?? [];
      const isInner = flow.reads[i]!.some((name) => flow.carriesData.has(name));
      const between = isInner && !quantizers.has(node.opType) ? shared(scopes[latest] ?? [], after) : after;
      scopes[i] = deeper(between, node.opType === "Add" ? residual(flow, scopes, parents, i) : []);
    } else if (scopes[i]!.length > 0) {
      for (const name of node.outputs) before.set(name, i);
      return;
    }
    for (const name of node.outputs) before.set(name, latest);
  });
  return scopes as Scopes[];
}

function isLost(node: Node): boolean {
  const { metadata } = node;
  return (
    !node.name.startsWith("/") && metadata?.["pkg.torch.onnx.name_scopes"] === undefined && metadata?.namespace === undefined
  );
}

/** Scopes of nodes that read a weight, or something computed from weights alone. */
function byWeights(graph: Graph, told: readonly (Scopes | undefined)[]): (Scopes | undefined)[] {
  const names = graph.initializers.map((w) => w.name).filter((name) => /^[A-Za-z_]\w*(\.\w+)+$/.test(name));
  const first = names[0]?.split(".")[0] ?? "";
  const isWrapped = wrappers.has(first) && names.every((name) => name.startsWith(`${first}.`));
  const origin = new Map(names.map((name) => [name, scopesFromWeight(isWrapped ? name.slice(first.length + 1) : name)]));
  const stored = new Set(graph.initializers.map((w) => w.name));
  return graph.nodes.map((node, i) => {
    const scopes = told[i] ?? node.inputs.map((name) => origin.get(name)).find((s) => s !== undefined);
    const isStored = node.inputs.length > 0 && node.inputs.every((name) => name === "" || stored.has(name));
    for (const name of isStored ? node.outputs : []) {
      stored.add(name);
      if (scopes !== undefined) origin.set(name, scopes);
    }
    return quantizers.has(node.opType) && !isStored ? undefined : scopes;
  });
}

/** "down_blocks.0.resnets.1.conv1.weight" → down_blocks.0, down_blocks.0.resnets.1, down_blocks.0.resnets.1.conv1 */
function scopesFromWeight(name: string): Scopes {
  const segments: string[] = [];
  for (const part of name.split(".").slice(0, -1)) {
    if (/^\d+$/.test(part) && segments.length > 0) segments.push(`${segments.pop()}.${part}`);
    else segments.push(part);
  }
  return segments.map((_, i) => ({ path: segments.slice(0, i + 1).join(".") }));
}

/** The first node with a module of its own that a value leads to. */
function firstReaders(graph: Graph, flow: Dataflow, scopes: readonly (Scopes | undefined)[]): ReadonlyMap<string, number> {
  const behind = new Map<string, number>();
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const next =
      (scopes[i]?.length ?? 0) > 0
        ? i
        : Math.min(...graph.nodes[i]!.outputs.map((name) => behind.get(name) ?? Number.POSITIVE_INFINITY));
    for (const name of flow.reads[i]!) behind.set(name, Math.min(next, behind.get(name) ?? next));
  }
  return behind;
}

/** The innermost module with children in which either operand of a sum is computed and the other computed or read. */
function residual(flow: Dataflow, scopes: readonly (Scopes | undefined)[], parents: ReadonlySet<string>, sum: number): Scopes {
  const operands = flow.reads[sum]!.filter((name) => flow.carriesData.has(name));
  const [a, b] = operands;
  if (a === undefined || b === undefined) return [];
  const within = (name: string, path: string): boolean =>
    [flow.producer.get(name), ...flow.readers.get(name)!.filter((r) => r !== sum)].some(
      (i) => i !== undefined && scopes[i]?.some((s) => s.path === path),
    );
  const innermost = ([from, other]: readonly [string, string]): Scopes => {
    const chain = scopes[flow.producer.get(from) ?? -1] ?? [];
    return chain.slice(0, chain.findLastIndex(({ path }) => parents.has(path) && within(other, path)) + 1);
  };
  return deeper(innermost([a, b]), innermost([b, a]));
}

function shared(a: Scopes, b: Scopes): Scopes {
  let length = 0;
  while (length < a.length && a[length]!.path === b[length]?.path) length++;
  return a.slice(0, length);
}

function deeper(a: Scopes, b: Scopes): Scopes {
  return b.length > a.length ? b : a;
}
