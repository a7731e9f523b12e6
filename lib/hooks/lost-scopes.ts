import type { Graph, Node } from "../onnx/index.js";
import type { Dataflow } from "./dataflow.js";
import type { ModuleScope } from "./module-path.js";

type Scopes = readonly ModuleScope[];

/** Scopes node by node; undefined where they are not known. */
export type KnownScopes = readonly (Scopes | undefined)[];

const none: Scopes = [];
const layouts = new Set(["Reshape", "Transpose", "Identity"]);

/** Whether a node quantizes what the module behind it reads. */
export function quantizes({ opType }: Node): boolean {
  return opType === "QuantizeLinear" || opType === "DynamicQuantizeLinear";
}

/** Finds the modules of nodes whose names were lost from those of their neighbours. */
export class LostScopes {
  readonly #graph: Graph;
  readonly #flow: Dataflow;
  readonly #weights: ReadonlyMap<string, number>;
  readonly #known: KnownScopes;
  readonly #scopes: (Scopes | undefined)[];
  /** Children of each module, by path. */
  readonly #children = new Map<string, Set<string>>();
  /** The first node of known scope a value leads to. */
  readonly #behind = new Map<string, number>();
  /** The last node of known scope behind which a value is computed. */
  readonly #before = new Map<string, number>();
  /** Values computed by layers whose names are lost altogether. */
  readonly #nameless = new Set<string>();
  /** Nodes whose result is split by their parent. */
  readonly #gated = new Set<number>();

  constructor(graph: Graph, flow: Dataflow, known: KnownScopes, weights: ReadonlyMap<string, number>) {
    this.#graph = graph;
    this.#flow = flow;
    this.#weights = weights;
    this.#known = known;
    this.#scopes = [...known];
    for (const scopes of known) {
      scopes?.forEach(({ path }, depth) => {
        const parent = scopes[depth - 1]?.path ?? "";
        this.#children.set(parent, (this.#children.get(parent) ?? new Set()).add(path));
      });
    }
    for (let i = graph.nodes.length - 1; i >= 0; i--) {
      const next = this.#hasModule(i) ? i : this.#nextOf(i);
      for (const name of flow.reads[i]!) this.#behind.set(name, Math.min(next, this.#behind.get(name) ?? next));
    }
  }

  all(): readonly Scopes[] {
    this.#graph.nodes.forEach((node, i) => {
      const latest = this.#hasModule(i) ? i : Math.max(-1, ...this.#flow.reads[i]!.map((name) => this.#before.get(name) ?? -1));
      this.#scopes[i] ??= this.#scopesOf(node, i, latest);
      for (const name of node.outputs) this.#before.set(name, latest);
    });
    return this.#scopes as Scopes[];
  }

  #hasModule(i: number): boolean {
    return (this.#known[i]?.length ?? 0) > 0;
  }

  #nextOf(i: number): number {
    return Math.min(...this.#graph.nodes[i]!.outputs.map((name) => this.#behind.get(name) ?? Number.POSITIVE_INFINITY));
  }

  #producerOf(name: string): number {
    return this.#flow.producer.get(name) ?? -1;
  }

  #dataOf(i: number): string[] {
    return this.#flow.reads[i]!.filter((name) => this.#flow.carriesData.has(name));
  }

  /** The module of a node without one: what encloses those before and behind it, or one that is deeper for a reason. */
  #scopesOf(node: Node, i: number, latest: number): Scopes {
    const after = this.#scopes[this.#nextOf(i)] ?? none;
    if (this.#dataOf(i).length === 0 || quantizes(node)) return after;
    const last = this.#scopes[latest] ?? none;
    const between = shared(last, after);
    const bias = this.#biasOf(node);
    if (bias.length > 0) return bias;
    // Layers without names belong to the module that is under way when the next name comes.
    if (this.#isNameless(node) || node.inputs.some((name) => this.#nameless.has(name))) {
      for (const name of node.outputs) this.#nameless.add(name);
      return deeper(between, after.slice(0, -1));
    }
    // A split of what an only child computes is a gate: the parent goes on with the parts.
    const isSplit = node.opType === "Split" || node.opType === "Slice";
    const isOnlyChild = last.length > 1 && this.#children.get(last.at(-2)!.path)!.size === 1;
    if (isSplit && isOnlyChild && this.#producerOf(node.inputs[0]!) === latest) this.#gated.add(latest);
    if (this.#gated.has(latest)) return deeper(between, last.slice(0, -1));
    return deeper(between, node.opType === "Add" ? this.#residual(i) : this.#scaled(node, i));
  }

  /** Whether a node is a layer of its own, or leads into a normalization. */
  #isNameless(node: Node): boolean {
    const readers = this.#flow.readers.get(node.outputs[0]!) ?? [];
    const isLeading = node.opType === "Reshape" && readers.some((r) => this.#graph.nodes[r]!.opType === "InstanceNormalization");
    return isLeading || node.opType === "InstanceNormalization" || node.inputs.some((name) => this.#weights.has(name));
  }

  /** A product with a weight whose name is lost belongs to the module whose bias is added to it. */
  #biasOf(node: Node): Scopes {
    if (!node.inputs.some((name) => this.#weights.has(name))) return none;
    const [reader, another] = this.#flow.readers.get(node.outputs[0]!) ?? [];
    const isBias = reader !== undefined && another === undefined && this.#graph.nodes[reader]!.opType === "Add";
    return isBias && this.#hasModule(reader) && this.#dataOf(reader).length === 1 ? this.#known[reader]! : none;
  }

  /** A scale belongs to the module around what it scales. */
  #scaled(node: Node, i: number): Scopes {
    const data = this.#dataOf(i);
    const from = this.#producerOf(data[0]!);
    if ((node.opType !== "Mul" && node.opType !== "Div") || data.length !== 1 || from < 0) return none;
    return this.#hasModule(from) ? this.#scopes[from]!.slice(0, -1) : this.#scopes[from]!;
  }

  /** A residual sum belongs to the innermost module with children that computes one operand and computes or reads the other. */
  #residual(sum: number): Scopes {
    const [a, b] = this.#dataOf(sum);
    if (a === undefined || b === undefined) return none;
    const innermost = (from: string, other: string): Scopes => {
      const chain = this.#computing(from);
      const others = this.#touching(other, sum);
      const isShared = ({ path }: ModuleScope): boolean => others.some((s) => s?.some((module) => module.path === path));
      return chain.slice(0, chain.findLastIndex((module) => this.#children.has(module.path) && isShared(module)) + 1);
    };
    return deeper(innermost(a, b), innermost(b, a));
  }

  /** Scopes in which a value is computed, before it is laid out anew. */
  #computing(name: string): Scopes {
    const from = this.#producerOf(name);
    const isLayout = from >= 0 && !this.#hasModule(from) && layouts.has(this.#graph.nodes[from]!.opType);
    const [source] = isLayout ? this.#dataOf(from) : [];
    return source === undefined ? (this.#scopes[from] ?? none) : this.#computing(source);
  }

  /** Scopes in which a value is computed or read, be it by nodes that lead there. */
  #touching(name: string, apart: number): (Scopes | undefined)[] {
    const readers = this.#flow.readers.get(name)!.filter((r) => r !== apart);
    return [
      this.#scopes[this.#producerOf(name)],
      ...readers.map((r) => (this.#known[r] === undefined ? this.#scopes[this.#nextOf(r)] : this.#known[r])),
    ];
  }
}

function shared(a: Scopes, b: Scopes): Scopes {
  let length = 0;
  while (length < a.length && a[length]!.path === b[length]?.path) length++;
  return a.slice(0, length);
}

function deeper(a: Scopes, b: Scopes): Scopes {
  return b.length > a.length ? b : a;
}
