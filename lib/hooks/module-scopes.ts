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
 * before it and the one behind it, a residual sum to the innermost module that reads what is added to it, and a scale to the
 * module around what it scales. So modules without weights are not found, and one that ends in an activation ends before it.
 * @param weights names of all weights
 */
export function scopesOfNodes(graph: Graph, flow: Dataflow, weights: ReadonlyMap<string, number>): readonly Scopes[] {
  const lost = graph.nodes.map((node) => isLost(node) || quantizers.has(node.opType));
  const told: readonly (Scopes | undefined)[] = graph.nodes.map((node, i) => (lost[i] ? undefined : moduleScopesOf(node)));
  if (!lost.includes(true)) return told as Scopes[];
  const scopes = byWeights(graph, told, weights);
  if (scopes.every((s) => s === undefined || s.length === 0)) return scopes.map((s) => s ?? []);
  const behind = firstReaders(graph, flow, scopes);
  const owned = scopes.map((s) => s !== undefined);
  const parents = new Set(scopes.flatMap((s) => s?.slice(0, -1).map((module) => module.path) ?? []));
  const before = new Map<string, number>();
  graph.nodes.forEach((node, i) => {
    const latest = Math.max(-1, ...flow.reads[i]!.map((name) => before.get(name) ?? -1));
    if (scopes[i] === undefined) {
      const next = Math.min(...node.outputs.map((name) => behind.get(name) ?? Number.POSITIVE_INFINITY));
      const after = scopes[next] ?? [];
      const isInner = flow.reads[i]!.some((name) => flow.carriesData.has(name));
      const between = isInner && !quantizers.has(node.opType) ? shared(scopes[latest] ?? [], after) : after;
      const around = node.opType === "Add" ? residual(node.outputs[0]!) : scaled(node, i);
      scopes[i] = deeper(between, around);
    } else if (scopes[i]!.length > 0) {
      for (const name of node.outputs) before.set(name, i);
      return;
    }
    for (const name of node.outputs) before.set(name, latest);
  });
  return scopes as Scopes[];

  /** The innermost module with children in which one operand of a sum is computed and the other computed or read. */
  function residual(sum: string): Scopes {
    const index = flow.producer.get(sum)!;
    const [a, b] = flow.reads[index]!.filter((name) => flow.carriesData.has(name));
    if (a === undefined || b === undefined) return [];
    /** Scopes in which a value is computed, or read, be it behind nodes without names. */
    const touching = (name: string): (Scopes | undefined)[] => [
      scopes[flow.producer.get(name) ?? -1],
      ...flow.readers.get(name)!.flatMap((r) => {
        if (r === index) return [];
        return owned[r] ? [scopes[r]] : graph.nodes[r]!.outputs.map((output) => scopes[behind.get(output) ?? -1]);
      }),
    ];
    const innermost = (from: string, other: string): Scopes => {
      const chain = scopes[flow.producer.get(from) ?? -1] ?? [];
      const others = touching(other);
      const isShared = (path: string): boolean => others.some((s) => s?.some((module) => module.path === path));
      return chain.slice(0, chain.findLastIndex(({ path }) => parents.has(path) && isShared(path)) + 1);
    };
    return deeper(innermost(a, b), innermost(b, a));
  }

  function scaled(node: Node, index: number): Scopes {
    const data = flow.reads[index]!.filter((name) => flow.carriesData.has(name));
    const from = flow.producer.get(data[0] ?? "");
    const isScale = node.opType === "Mul" || node.opType === "Div" || node.opType === "Cast" || node.opType === "Identity";
    if (!isScale || data.length !== 1 || from === undefined) return [];
    return owned[from] ? scopes[from]!.slice(0, -1) : scopes[from]!;
  }
}

function isLost(node: Node): boolean {
  const { metadata } = node;
  return (
    !node.name.startsWith("/") && metadata?.["pkg.torch.onnx.name_scopes"] === undefined && metadata?.namespace === undefined
  );
}

/** Scopes of nodes that read a weight, or something computed from weights alone. */
function byWeights(
  graph: Graph,
  told: readonly (Scopes | undefined)[],
  weights: ReadonlyMap<string, number>,
): (Scopes | undefined)[] {
  // "constant.…" is what GraphBuilder calls constants that modules share.
  const names = [...weights.keys()].filter((name) => /^(?!constant\.)[A-Za-z_]\w*(\.\w+)+$/.test(name));
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

function shared(a: Scopes, b: Scopes): Scopes {
  let length = 0;
  while (length < a.length && a[length]!.path === b[length]?.path) length++;
  return a.slice(0, length);
}

function deeper(a: Scopes, b: Scopes): Scopes {
  return b.length > a.length ? b : a;
}
