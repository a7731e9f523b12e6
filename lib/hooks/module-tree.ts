import { Displayed, type HtmlBlock, type MimeBundle, type ModuleNode, moduleTree as moduleTreeFigure } from "../figures/index.js";
import type { Graph, Node, Shape } from "../onnx/index.js";
import { readsOf } from "../onnx/index.js";
import type { Inferred } from "../onnx/infer/index.js";
import { inferGraph } from "../onnx/infer/index.js";
import { type DType, sizeOf } from "../tensor/index.js";
import { axesOf } from "./axes.js";
import { type HookPoint, type HookPointKind, matchHookPoints } from "./hook-point.js";
import { moduleScopesOf } from "./module-path.js";

/** A value that leaves a module. */
export interface ModuleOutput {
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
  readonly outputs: readonly ModuleOutput[];
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
   * Hook points named by a pattern: exact path, glob (`down_blocks.*`, `**.attn2`) or the name of a graph value.
   * @throws UnknownHookPointError with the nearest names if there is none
   */
  find(pattern: string): readonly HookPoint[] {
    const value = this.hookPoints.has(pattern) ? undefined : this.values.get(pattern);
    return value === undefined ? matchHookPoints(this.hookPoints, pattern) : [value];
  }

  /** Every module, parents before children. */
  modules(): Module[] {
    const walk = (m: Module): Module[] => [m, ...m.children.flatMap(walk)];
    return walk(this.root);
  }

  /** An indented listing: path, output shape, parameters, class. */
  override toString(): string {
    const lines: string[] = [];
    const walk = (m: Module, depth: number): void => {
      const shape = m.outputs.at(-1)?.shape;
      const parts = [m.path === "" ? "(model)" : m.name, m.className, shape && `[${shape.map((d) => d ?? "?").join(", ")}]`];
      if (m.parameters > 0) parts.push(`${m.parameters.toLocaleString("en")} parameters`);
      lines.push(`${"  ".repeat(depth)}${parts.filter((p) => p !== undefined).join("  ")}`);
      for (const child of m.children) walk(child, depth + 1);
    };
    walk(this.root, 0);
    return lines.join("\n");
  }
}

/** What the figure tells about a module: its class, or the operator it is when it is one. */
function shownNode(module: Module): ModuleNode {
  const operators = Object.keys(module.operators);
  const kind = module.className ?? (operators.length === 1 ? operators[0] : undefined);
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
  readonly operators: Record<string, number>;
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
const shapeOnly = new Set(["Shape", "Size"]);

/**
 * Recovers the module hierarchy of a PyTorch export from node names or metadata, and from it the hook points.
 *
 * A module's outputs are the values computed inside it from the model's inputs (shapes and constants do not count)
 * and read outside it, or handed out of the graph; the last of them is what PyTorch's module returned first. The others are
 * hook points `path:res0`, `path:res1`, … counted over all outputs in the order of computation, which for the
 * down blocks of a Diffusers U-Net is the tuple of residuals.
 */
export function moduleTree(graph: Graph, options: ModuleTreeOptions): ModuleTree {
  const { opset, inputShapes } = options;
  const inferred = inferGraph(graph, inputShapes === undefined ? { opset } : { opset, inputShapes });
  const scopes = graph.nodes.map(moduleScopesOf);
  const root = draft("", "");
  const weights = weightSizes(graph);
  graph.nodes.forEach((node, i) => {
    for (const module of chain(root, scopes[i]!)) {
      if (!bookkeeping.has(node.opType)) module.operators[node.opType] = (module.operators[node.opType] ?? 0) + 1;
      for (const name of node.inputs) if (weights.has(name)) module.weights.add(name);
    }
  });
  findOutputs(graph, root, scopes, inferred);

  const producers = new Map<string, Node>();
  for (const node of graph.nodes) for (const name of node.outputs) if (name !== "") producers.set(name, node);
  const pointAt = (path: string, kind: HookPointKind, value: string): HookPoint => {
    const { dtype, shape } = inferred.get(value) ?? {};
    return { path, kind, value, axes: axesOf(shape, producers.get(value)), ...(shape && { shape }), ...(dtype && { dtype }) };
  };

  const points = new Map<string, HookPoint>();
  const add = (point: HookPoint): void => {
    if (!points.has(point.path)) points.set(point.path, point);
  };
  const visit = (module: Draft): void => {
    const outputs = [...module.outputs];
    const last = outputs.at(-1);
    if (module.path !== "" && last !== undefined) {
      add(pointAt(module.path, "module", last));
      if (outputs.length > 1) {
        for (const [i, value] of outputs.entries()) add(pointAt(`${module.path}:res${i}`, "residual", value));
      }
    }
    for (const child of module.children.values()) visit(child);
  };
  visit(root);
  graph.nodes.forEach((node, i) => {
    const owner = scopes[i]!.at(-1)?.path;
    if (node.opType === "Softmax" && owner !== undefined) add(pointAt(`${owner}.probs`, "attention", node.outputs[0]!));
  });
  for (const v of graph.inputs) if (!weights.has(v.name)) add(pointAt(v.name, "input", v.name));
  for (const v of graph.outputs) add(pointAt(v.name, "output", v.name));

  const values = new Map<string, HookPoint>();
  for (const name of producers.keys()) values.set(name, pointAt(name, "value", name));
  return new ModuleTree(finished(root, weights, inferred), points, values);
}

function draft(path: string, name: string): Draft {
  return { path, name, operators: {}, outputs: new Set(), weights: new Set(), children: new Map() };
}

/** The modules of a scope list, created where they are new, the root first. */
function chain(root: Draft, scopes: ReturnType<typeof moduleScopesOf>): Draft[] {
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

/** Elements of every floating-point weight. Exporters share equal weights through Identity nodes: each name counts as its own. */
function weightSizes(graph: Graph): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const w of graph.initializers) {
    if (w.dtype.includes("float") && w.shape.length > 0) sizes.set(w.name, sizeOf(w.shape));
  }
  for (const node of graph.nodes) {
    const size = node.opType === "Identity" || node.opType === "Cast" ? sizes.get(node.inputs[0]!) : undefined;
    if (size !== undefined) sizes.set(node.outputs[0]!, size);
  }
  return sizes;
}

/** Fills in which values leave which module, in the order of computation. */
function findOutputs(
  graph: Graph,
  root: Draft,
  scopes: readonly ReturnType<typeof moduleScopesOf>[],
  inferred: ReadonlyMap<string, Inferred>,
): void {
  const stored = new Set(graph.initializers.map((w) => w.name));
  const carriesData = new Set(graph.inputs.map((v) => v.name).filter((name) => !stored.has(name)));
  const readers = new Map<string, number[]>();
  graph.nodes.forEach((node, i) => {
    const reads = readsOf(node);
    for (const name of reads) {
      // Asking for a value's shape does not use the value.
      if (!shapeOnly.has(node.opType)) (readers.get(name) ?? readers.set(name, []).get(name)!).push(i);
    }
    if (!shapeOnly.has(node.opType) && [...reads].some((name) => carriesData.has(name))) {
      for (const name of node.outputs) if (name !== "") carriesData.add(name);
    }
  });
  const handedOut = new Set(graph.outputs.map((o) => o.name));
  const within = scopes.map((list) => new Set(list.map((s) => s.path)));
  graph.nodes.forEach((node, i) => {
    for (const name of node.outputs) {
      const dtype = inferred.get(name)?.dtype;
      if (!carriesData.has(name) || (dtype !== undefined && !dtype.includes("float"))) continue;
      for (const module of chain(root, scopes[i]!)) {
        const leaves = handedOut.has(name) || (readers.get(name) ?? []).some((r) => !within[r]!.has(module.path));
        if (module.path === "" ? handedOut.has(name) : leaves) module.outputs.add(name);
      }
    }
  });
}

function finished(module: Draft, weights: ReadonlyMap<string, number>, inferred: ReadonlyMap<string, Inferred>): Module {
  const outputs = [...module.outputs].map((value): ModuleOutput => {
    const { dtype, shape } = inferred.get(value) ?? {};
    return { value, ...(shape && { shape }), ...(dtype && { dtype }) };
  });
  let parameters = 0;
  for (const name of module.weights) parameters += weights.get(name) ?? 0;
  return {
    path: module.path,
    name: module.name,
    ...(module.className === undefined ? {} : { className: module.className }),
    operators: module.operators,
    outputs,
    parameters,
    children: [...module.children.values()].map((child) => finished(child, weights, inferred)),
  };
}
