import { Displayed, type HtmlBlock, type MimeBundle, type ModuleNode, moduleTree as moduleTreeFigure } from "../figures/index.js";
import { type Graph, type Inferred, inferGraph, type Shape } from "../onnx/index.js";
import type { DType } from "../tensor/index.js";
import { type AttentionSite, attentionsOf } from "./attention.js";
import { axesOf } from "./axes.js";
import { type Dataflow, dataflowOf } from "./dataflow.js";
import type { HookPoint, HookPointKind } from "./hook-point.js";
import type { ModuleScope } from "./module-path.js";
import { scopesOfNodes } from "./module-scopes.js";
import { weightSizes } from "./parameters.js";
import { matchHookPoints } from "./pattern.js";

/** A value that enters or leaves a module. */
export interface ModuleValue {
  readonly value: string;
  readonly shape?: Shape;
  readonly dtype?: DType;
}

/** One module of the exported network. */
export interface Module {
  /** Dotted path as in PyTorch; "" is the whole model. */
  readonly path: string;
  /** The path without the parent's. */
  readonly name: string;
  /** The Python class, when the exporter wrote it down. */
  readonly className?: string;
  /** How many nodes of each operator the module and its children hold; constants and shape arithmetic left out. */
  readonly operators: Readonly<Record<string, number>>;
  /** Values read outside, in the order of computation; the last one is the module's output. */
  readonly outputs: readonly ModuleValue[];
  /** Values read inside and computed outside, in order of first use: the first one is what PyTorch's module is given first. */
  readonly inputs: readonly ModuleValue[];
  /** The attention that is computed in the module itself; `fusedAs` names the operator that does so in one go. */
  readonly attention?: Pick<AttentionSite, "heads" | "fusedAs">;
  /** Numbers in the weights of the module and its children, each weight counted once. */
  readonly parameters: number;
  readonly children: readonly Module[];
}

export interface ModuleTreeOptions {
  /** Version of the default operator set. */
  readonly opset: number;
  /** Axis lengths of inputs; inner shapes become concrete with them. */
  readonly inputShapes?: Readonly<Record<string, Shape>>;
}

/** The modules of a model and every place where it can be hooked. */
export class ModuleTree extends Displayed {
  readonly root: Module;
  /** By path. Values of the graph that are no module's output are found by name but not listed here. */
  readonly hookPoints: ReadonlyMap<string, HookPoint>;
  private readonly values: ReadonlyMap<string, HookPoint>;
  private readonly found: Map<string, readonly HookPoint[]> = new Map();

  /** @internal Made by `moduleTree`. */
  constructor(root: Module, hookPoints: ReadonlyMap<string, HookPoint>, values: ReadonlyMap<string, HookPoint>) {
    super();
    this.root = root;
    this.hookPoints = hookPoints;
    this.values = values;
  }

  /** The tree as it shows itself: it opens and closes, with shapes, parameter counts and hook points. */
  figure(): HtmlBlock {
    return moduleTreeFigure(shownNode(this.root), { title: "Modules", open: 1 });
  }

  override mimeBundle(): MimeBundle | Promise<MimeBundle> {
    return this.figure().mimeBundle();
  }

  /**
   * Hook points named by a pattern: exact path, glob (`down_blocks.*`, `**.attn2`, `**.{attn1,attn2}.probs`, `**:in`) or the
   * name of a graph value.
   * @throws UnknownHookPointError with the nearest names if there is none
   */
  find(pattern: string): readonly HookPoint[] {
    const known = this.found.get(pattern);
    if (known !== undefined) return known;
    const value = this.hookPoints.has(pattern) ? undefined : this.values.get(pattern);
    const points = value === undefined ? matchHookPoints(this.hookPoints, pattern) : [value];
    this.found.set(pattern, points);
    return points;
  }

  /** Every module, parents before children. */
  modules(): Module[] {
    const walk = (m: Module): Module[] => [m, ...m.children.flatMap(walk)];
    return walk(this.root);
  }

  /** An indented listing: path, class, output shape, attention, parameters. */
  override toString(): string {
    const lines: string[] = [];
    const walk = (m: Module, depth: number): void => {
      const shape = m.outputs.at(-1)?.shape;
      const parts = [m.path === "" ? "(model)" : m.name, m.className, shape && `[${shape.map((d) => d ?? "?").join(", ")}]`];
      if (m.attention !== undefined) parts.push(attentionText(m.attention));
      if (m.parameters > 0) parts.push(`${m.parameters.toLocaleString("en")} parameters`);
      lines.push(`${"  ".repeat(depth)}${parts.filter((p) => p !== undefined).join("  ")}`);
      for (const child of m.children) walk(child, depth + 1);
    };
    walk(this.root, 0);
    return lines.join("\n");
  }
}

function attentionText({ heads, fusedAs }: NonNullable<Module["attention"]>): string {
  const counted = heads === undefined ? "attention" : `attention with ${heads} head${heads === 1 ? "" : "s"}`;
  return fusedAs === undefined ? counted : `${counted}, fused as ${fusedAs}`;
}

/** What the figure tells about a module: its class, the operator it is when it is one, its attention. */
function shownNode(module: Module): ModuleNode {
  const operators = Object.keys(module.operators);
  const kind =
    module.className ?? (module.attention ? attentionText(module.attention) : operators.length === 1 ? operators[0] : undefined);
  const output = module.outputs.at(-1);
  return {
    name: module.path === "" ? "model" : module.name,
    ...(kind === undefined ? {} : { kind }),
    ...(output?.shape === undefined ? {} : { shape: output.shape.map((d) => d ?? "?") }),
    parameters: module.parameters,
    ...(output === undefined ? {} : { hookPoint: module.path }),
    children: module.children.map(shownNode),
  };
}

/** A module while its nodes are being gathered. */
interface Draft {
  readonly path: string;
  readonly name: string;
  className?: string;
  attention?: AttentionSite;
  readonly operators: Record<string, number>;
  readonly inputs: Set<string>;
  readonly outputs: Set<string>;
  readonly weights: Set<string>;
  readonly children: Map<string, Draft>;
}

/** Operators that say something about a module; the rest is bookkeeping of shapes. */
const bookkeeping = new Set([
  "Constant",
  "ConstantOfShape",
  "Shape",
  "Size",
  "Gather",
  "Unsqueeze",
  "Squeeze",
  "Cast",
  "Identity",
  "Range",
]);

/**
 * Recovers the module hierarchy of a PyTorch export from node names or metadata, where both were lost from the names of
 * weights, and from it the hook points.
 *
 * A module's outputs are the values computed inside it from the model's inputs (shapes and constants do not count)
 * and read outside it, or handed out of the graph; the last of them is what PyTorch's module returned first. The others are
 * hook points `path:res0`, `path:res1`, … counted over all outputs in the order of computation, which for the
 * down blocks of a Diffusers U-Net is the tuple of residuals.
 */
export function moduleTree(graph: Graph, options: ModuleTreeOptions): ModuleTree {
  const { opset, inputShapes } = options;
  const inferred = inferGraph(graph, inputShapes === undefined ? { opset } : { opset, inputShapes });
  const flow = dataflowOf(graph);
  const weights = weightSizes(graph);
  const root = draft("", "");
  const chains = chainsOf(root, scopesOfNodes(graph, flow, weights), flow);
  graph.nodes.forEach((node, i) => {
    // A weight that is only handed on counts where it is used.
    const used = node.outputs.some((name) => weights.has(name)) ? [] : node.inputs.filter((name) => weights.has(name));
    for (const module of chains[i]!) {
      if (!bookkeeping.has(node.opType)) module.operators[node.opType] = (module.operators[node.opType] ?? 0) + 1;
      for (const name of used) module.weights.add(name);
    }
  });
  findBorders(graph, flow, chains, inferred);

  const pointAt = (path: string, kind: HookPointKind, value: string): HookPoint => {
    const { dtype, shape } = inferred.get(value) ?? {};
    const producer = graph.nodes[flow.producer.get(value) ?? -1];
    return { path, kind, value, axes: axesOf(shape, producer), ...(shape && { shape }), ...(dtype && { dtype }) };
  };
  const points = new Map<string, HookPoint>();
  const add = (point: HookPoint): void => {
    if (!points.has(point.path)) points.set(point.path, point);
  };
  const visit = (module: Draft): void => {
    for (const point of pointsOf(module, pointAt)) add(point);
    for (const child of module.children.values()) visit(child);
  };
  visit(root);
  const softmaxes = new Set<number>();
  for (const [i, site] of attentionsOf(graph, flow, inferred).entries()) {
    softmaxes.add(site.node);
    const owner = chains[site.node]!.at(-1)!;
    const isFirst = owner !== root && owner.attention === undefined;
    owner.attention ??= site;
    const path = isFirst ? owner.path : [owner.path, `attention.${i}`].filter((part) => part !== "").join(".");
    for (const [part, place] of Object.entries(site.places)) {
      const dtype = inferred.get(place.unfuse ?? place.value)?.dtype;
      add({ path: `${path}.${part}`, kind: "attention", ...place, ...(dtype && { dtype }) });
    }
  }
  graph.nodes.forEach((node, i) => {
    const owner = chains[i]!.at(-1)!;
    if (node.opType === "Softmax" && owner !== root && !softmaxes.has(i))
      add(pointAt(`${owner.path}.probs`, "attention", node.outputs[0]!));
  });
  for (const v of graph.inputs) if (!weights.has(v.name)) add(pointAt(v.name, "input", v.name));
  for (const v of graph.outputs) add(pointAt(v.name, "output", v.name));

  const values = new Map<string, HookPoint>();
  for (const name of flow.producer.keys()) values.set(name, pointAt(name, "value", name));
  return new ModuleTree(finished(root, weights, inferred), points, values);
}

function draft(path: string, name: string): Draft {
  return {
    path,
    name,
    operators: {},
    inputs: new Set(),
    outputs: new Set(),
    weights: new Set(),
    children: new Map(),
  };
}

/** The modules around each node, in the order in which they first compute: what prepares weights may stand before everything. */
function chainsOf(root: Draft, scopes: readonly (readonly ModuleScope[])[], flow: Dataflow): readonly Draft[][] {
  for (const [i, reads] of flow.reads.entries()) if (reads.some((name) => flow.carriesData.has(name))) chain(root, scopes[i]!);
  return scopes.map((list) => chain(root, list));
}

/** The modules of a scope list, created where they are new, the root first. */
function chain(root: Draft, scopes: readonly ModuleScope[]): Draft[] {
  const modules = [root];
  for (const { path, className } of scopes) {
    const parent = modules.at(-1)!;
    let child = parent.children.get(path);
    if (child === undefined) {
      child = draft(path, path.startsWith(`${parent.path}.`) ? path.slice(parent.path.length + 1) : path);
      parent.children.set(path, child);
    }
    if (className !== undefined) child.className ??= className;
    modules.push(child);
  }
  return modules;
}

/** Fills in which values enter and leave which module, in the order of use and of computation. */
function findBorders(
  graph: Graph,
  flow: Dataflow,
  chains: readonly (readonly Draft[])[],
  inferred: ReadonlyMap<string, Inferred>,
): void {
  const handedOut = new Set(graph.outputs.map((o) => o.name));
  const within = chains.map((modules) => new Set(modules));
  const counts = (name: string): boolean => {
    const dtype = inferred.get(name)?.dtype;
    return flow.carriesData.has(name) && (dtype === undefined || dtype.includes("float"));
  };
  graph.nodes.forEach((node, i) => {
    const [root, ...modules] = chains[i]!;
    for (const name of flow.reads[i]!) {
      if (modules.length === 0 || !counts(name)) continue;
      const from = within[flow.producer.get(name) ?? -1];
      for (const module of modules) if (!from?.has(module)) module.inputs.add(name);
    }
    for (const name of node.outputs) {
      if (!counts(name)) continue;
      if (handedOut.has(name)) root!.outputs.add(name);
      const readers = flow.readers.get(name) ?? [];
      for (const module of modules) {
        if (handedOut.has(name) || readers.some((r) => !within[r]!.has(module))) module.outputs.add(name);
      }
    }
  });
}

/** Hook points of a module: its output, what else leaves it, what enters it and what it adds to that. */
function pointsOf(module: Draft, pointAt: (path: string, kind: HookPointKind, value: string) => HookPoint): HookPoint[] {
  const { path } = module;
  const outputs = [...module.outputs];
  const last = outputs.at(-1);
  if (path === "" || last === undefined) return [];
  const output = pointAt(path, "module", last);
  const inputs = [...module.inputs].map((value, i) => pointAt(`${path}:in${i === 0 ? "" : i}`, "module input", value));
  const residuals = outputs.length > 1 ? outputs.map((value, i) => pointAt(`${path}:res${i}`, "residual", value)) : [];
  const [input] = inputs;
  const update: HookPoint[] =
    input !== undefined && isSameShape(input, output)
      ? [{ ...output, path: `${path}:update`, kind: "update", minus: input.value }]
      : [];
  return [output, ...residuals, ...inputs, ...update];
}

/** Whether two activations surely have one shape; how many rows a batch has need not be known. */
function isSameShape(a: HookPoint, b: HookPoint): boolean {
  const [x, y] = [a.shape, b.shape];
  if (a.value === b.value || a.dtype !== b.dtype || x === undefined || x.length !== y?.length) return false;
  return x.every((d, i) => d === y[i] && (i === 0 || d !== undefined));
}

function finished(module: Draft, weights: ReadonlyMap<string, number>, inferred: ReadonlyMap<string, Inferred>): Module {
  const known = (values: ReadonlySet<string>): ModuleValue[] =>
    [...values].map((value) => {
      const { dtype, shape } = inferred.get(value) ?? {};
      return { value, ...(shape && { shape }), ...(dtype && { dtype }) };
    });
  const { path, name, className, operators, attention } = module;
  let parameters = 0;
  for (const weight of module.weights) parameters += weights.get(weight) ?? 0;
  return {
    path,
    name,
    ...(className === undefined ? {} : { className }),
    operators,
    outputs: known(module.outputs),
    inputs: known(module.inputs),
    ...(attention && {
      attention: {
        ...(attention.heads !== undefined && { heads: attention.heads }),
        ...(attention.fusedAs !== undefined && { fusedAs: attention.fusedAs }),
      },
    }),
    parameters,
    children: [...module.children.values()].map((child) => finished(child, weights, inferred)),
  };
}
