import { dataTypeCodes } from "../onnx/codec/index.js";
import {
  type AttributeInput,
  type Attributes,
  type Dim,
  type Graph,
  type Initializer,
  initializerOf,
  type Model,
  type Node,
  type OpsetImport,
  opsetOf,
  toAttributes,
  type ValueInfo,
} from "../onnx/graph.js";
import { type Inferred, inferGraph, inferNode, knownElements } from "../onnx/infer/index.js";
import { takenNames } from "../onnx/passes/index.js";
import { arrayFromBytes, type DType, int64, scalar, type Tensor } from "../tensor/index.js";
import { type Operand, Value } from "./value.js";

/** Several nodes that are differentiated as one: their inputs, outputs and own reverse rule. */
export interface Composite {
  /** Index of the first node and one past the last. */
  readonly start: number;
  readonly end: number;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly vjp: CompositeVjp;
}

/** Cotangents of a composite's outputs → cotangents of its inputs (undefined where nothing flows back). */
export type CompositeVjp = (cotangents: readonly (Value | undefined)[]) => (Value | undefined)[];

/** How a parameter starts out. */
export type Init =
  | { readonly kind: "normal"; readonly std: number }
  | { readonly kind: "uniform"; readonly bound: number }
  | { readonly kind: "constant"; readonly value: number };

/** A trainable value: the builder knows its shape and start, `build` decides where its numbers come from. */
export interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
  readonly init: Init;
}

export interface BuilderOptions {
  readonly name?: string;
  /** Default-domain operator set of the graph; ≥ 18 for graphs that are differentiated. */
  readonly opset?: number;
}

export interface BuildOptions {
  /** Numbers of parameters, by name, to be stored as initializers; parameters not named become graph inputs. */
  readonly weights?: Readonly<Record<string, Tensor>>;
}

interface OpOptions {
  readonly domain?: string;
  /** Names of the outputs, when they matter. */
  readonly names?: readonly string[];
}

/**
 * Writes a tensor program and returns it as an ONNX graph. Shapes and dtypes are inferred as nodes are added,
 * so a mistake is reported at the line that makes it. Node and value names follow the PyTorch exporter:
 * inside `scope("conv1", …)` a Conv is called `/conv1/Conv` and its value `/conv1/Conv_output_0`.
 */
export class GraphBuilder {
  readonly opset: number;
  readonly name: string;
  readonly parameters: Map<string, Parameter> = new Map();
  private readonly root: GraphBuilder;
  private readonly parent: GraphBuilder | undefined;
  private readonly nodes: Node[] = [];
  private readonly initializers: Map<string, Initializer> = new Map();
  private readonly inputInfos: ValueInfo[] = [];
  private readonly outputInfos: ValueInfo[] = [];
  private readonly values: Map<string, Value> = new Map();
  private readonly usedNames: Set<string>;
  private readonly nameCounts: Map<string, number>;
  private readonly domains: Set<string>;
  private readonly constants: Map<string, Value>;
  private readonly bound: Map<string, Value> = new Map();
  private readonly compositeList: Composite[] = [];
  private path: readonly string[] = [];
  /** The graph being written: a loop's body while it is built, whichever value an operator is called on. */
  private active: GraphBuilder = this;

  constructor(options: BuilderOptions = {}, parent?: GraphBuilder) {
    this.parent = parent;
    this.root = parent?.root ?? this;
    this.opset = parent?.opset ?? options.opset ?? 18;
    this.name = options.name ?? "graph";
    this.usedNames = parent?.usedNames ?? new Set();
    this.nameCounts = parent?.nameCounts ?? new Map();
    this.domains = parent?.domains ?? new Set();
    this.constants = parent?.constants ?? new Map();
  }

  /**
   * Continues a loaded model: its nodes and weights are taken over, with shapes inferred from `inputShapes`.
   * @throws ShapeError if the shapes contradict the graph
   */
  static from(model: Model, inputShapes: Readonly<Record<string, readonly Dim[]>> = {}): GraphBuilder {
    const g = new GraphBuilder({ name: model.graph.name, opset: opsetOf(model) });
    for (const { domain } of model.opsets) if (domain !== "" && domain !== "ai.onnx") g.domains.add(domain);
    const inferred = inferGraph(model.graph, { opset: g.opset, inputShapes });
    for (const name of takenNames(model.graph)) g.usedNames.add(name);
    const adopt = (name: string): void => {
      if (name === "" || g.values.has(name)) return;
      const known = inferred.get(name);
      g.values.set(name, new Value(g, name, known ?? {}));
    };
    for (const init of model.graph.initializers) {
      g.initializers.set(init.name, init);
      adopt(init.name);
    }
    for (const input of model.graph.inputs) {
      adopt(input.name);
      const v = g.values.get(input.name)!;
      g.inputInfos.push({ name: input.name, dtype: v.dtype, ...(v.hasShape ? { shape: v.shape } : {}) });
    }
    for (const node of model.graph.nodes) {
      g.nodes.push(node);
      node.outputs.forEach(adopt);
    }
    g.outputInfos.push(...model.graph.outputs.map((o) => ({ ...o, ...shapeInfo(inferred.get(o.name)) })));
    return g;
  }

  /** Nodes added so far, in order. */
  get program(): readonly Node[] {
    return this.nodes;
  }

  /** Runs `body` with `name` appended to the module path; "a.b" is one segment, as PyTorch writes indexed modules. */
  scope<T>(name: string, body: () => T): T {
    const { root } = this;
    const before = root.path;
    root.path = [...before, name];
    try {
      return body();
    } finally {
      root.path = before;
    }
  }

  /** A graph input. Axes may be symbolic names. */
  input(name: string, dtype: DType, shape: readonly Dim[]): Value {
    this.claim(name);
    this.inputInfos.push({ name, dtype, shape });
    return this.define(name, { dtype, shape });
  }

  /** A trainable parameter called `<module path>.<name>`; asking twice for the same name gives the same value. */
  parameter(name: string, shape: readonly number[], init: Init): Value {
    const full = [...this.root.path, name].join(".");
    const root = this.root;
    const existing = root.active.boundParameter(full) ?? root.values.get(full);
    if (existing !== undefined) {
      if (existing.shape.join() !== shape.join()) {
        throw new RangeError(
          `parameter ${full}: it has shape [${existing.shape.join(", ")}], asked for again as [${shape.join(", ")}]`,
        );
      }
      return existing;
    }
    root.claim(full);
    root.parameters.set(full, { name: full, shape, init });
    return root.define(full, { dtype: "float32", shape });
  }

  /** In this graph and its bodies, `parameter(name)` means `value`: how a training loop carries the weights as state. */
  bindParameter(name: string, value: Value): void {
    this.bound.set(name, value);
  }

  private boundParameter(name: string): Value | undefined {
    return this.bound.get(name) ?? this.parent?.boundParameter(name);
  }

  /** Stores a tensor with the graph. */
  constant(tensor: Tensor, name: string = this.fresh("constant")): Value {
    return this.store(initializerOf(name, tensor));
  }

  /** Stores a weight as a loaded graph has it, wherever its bytes are. */
  store(weight: Initializer): Value {
    const { root } = this;
    const { name, dtype, shape } = weight;
    const value = knownElements(weight);
    root.claim(name);
    root.initializers.set(name, weight);
    return root.define(name, { dtype, shape, ...(value && { value }) });
  }

  /** Appends a node as a loaded graph has it; it must read values of this graph. @returns its outputs by name */
  adopt(node: Node): Map<string, Value> {
    if (node.domain !== "" && node.domain !== "ai.onnx") this.domains.add(node.domain);
    const operands = node.inputs.map((name) => (name === "" ? undefined : this.root.active.value(name)));
    const outputs = this.root.active.append(node, operands);
    return new Map(node.outputs.flatMap((name, i) => (name === "" ? [] : [[name, outputs[i]!]])));
  }

  /** A scalar constant, stored once per graph. */
  scalar(value: number, dtype: DType = "float32"): Value {
    return this.shared(`${dtype}:${value}`, () => scalar(value, dtype));
  }

  /** An int64 list constant, stored once per graph. */
  ints(values: readonly number[]): Value {
    return this.shared(`ints:${values.join()}`, () => int64(values));
  }

  /** A constant stored once per graph under a key. */
  shared(key: string, make: () => Tensor): Value {
    const found = this.constants.get(key);
    if (found !== undefined) return found;
    const value = this.root.constant(make(), this.root.fresh(`constant.${key.replace(/[^\w.-]+/g, "_")}`));
    this.constants.set(key, value);
    return value;
  }

  /** Numbers become constants of `dtype`, values pass. */
  lift(operand: Operand, dtype: DType): Value {
    return typeof operand === "number" ? this.scalar(operand, dtype) : operand;
  }

  /** Appends an operator with one output. */
  op(
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes: Readonly<Record<string, AttributeInput | undefined>> = {},
    options: OpOptions = {},
  ): Value {
    return this.ops(opType, inputs, attributes, 1, options)[0]!;
  }

  /**
   * Appends an operator with `count` outputs.
   * @throws ShapeError when the operands do not fit the operator
   */
  ops(
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes: Readonly<Record<string, AttributeInput | undefined>>,
    count: number,
    options: OpOptions = {},
  ): Value[] {
    const nodeName = this.fresh(`/${[...this.root.path, opType].join("/")}`);
    const outputs = options.names ?? Array.from({ length: count }, (_, i) => `${nodeName}_output_${i}`);
    const node = this.makeNode(nodeName, opType, options.domain ?? "", inputs, outputs, toAttributes(attributes));
    return this.root.active.append(node, inputs);
  }

  private makeNode(
    name: string,
    opType: string,
    domain: string,
    inputs: readonly (Value | undefined)[],
    outputs: readonly string[],
    attributes: Attributes,
  ): Node {
    if (domain !== "") this.domains.add(domain);
    const names = inputs.map((v) => v?.name ?? "");
    while (names.at(-1) === "") names.pop();
    return { name, opType, domain, inputs: names, outputs, attributes };
  }

  private append(node: Node, inputs: readonly (Value | undefined)[]): Value[] {
    const inferred = inferNode(
      node,
      inputs.map((v) => v?.facts),
      { opset: this.opset, outer: (name) => this.find(name)?.facts },
    );
    this.nodes.push(node);
    return node.outputs.map((name, i) => {
      if (name !== "") this.claim(name);
      return this.define(name, inferred[i] ?? {});
    });
  }

  /**
   * Adds the nodes that `forward` emits as one differentiable unit with its own reverse rule: for gradients that
   * are cheaper than the sum of their parts, and for pseudo-derivatives (straight-through and the like).
   */
  composite(inputs: readonly Value[], forward: () => { outputs: readonly Value[]; vjp: CompositeVjp }): Value[] {
    const graph = this.root.active;
    const start = graph.nodes.length;
    const { outputs, vjp } = forward();
    graph.compositeList.push({ start, end: graph.nodes.length, inputs, outputs, vjp });
    return [...outputs];
  }

  /** Composites in the order in which they were added. */
  get composites(): readonly Composite[] {
    return this.compositeList;
  }

  cast(value: Value, dtype: DType): Value {
    return this.op("Cast", [value], { to: dataTypeCodes[dtype] });
  }

  /** Element-wise choice. */
  where(condition: Value, then: Operand, otherwise: Operand): Value {
    const dtype = typeof then === "number" ? (typeof otherwise === "number" ? "float32" : otherwise.dtype) : then.dtype;
    return this.op("Where", [condition, this.lift(then, dtype), this.lift(otherwise, dtype)]);
  }

  concat(values: readonly Value[], axis: number): Value {
    return values.length === 1 ? values[0]! : this.op("Concat", values, { axis });
  }

  /** A general matrix product α·A·B (+ β·C) of 2-D values. */
  gemm(a: Value, b: Value, options: { transA?: boolean; transB?: boolean; c?: Value } = {}): Value {
    return this.op("Gemm", [a, b, options.c], { transA: options.transA ? 1 : undefined, transB: options.transB ? 1 : undefined });
  }

  /** A value of a fixed shape holding one number everywhere. */
  full(shape: readonly number[], value: number, dtype: DType = "float32"): Value {
    return this.op("ConstantOfShape", [this.ints(shape)], { value: scalar(value, dtype).reshape([1]) });
  }

  /** `value` everywhere, in the shape and dtype of another value (also a symbolic shape). */
  fullLike(like: Value, value: number): Value {
    return this.op("ConstantOfShape", [this.op("Shape", [like])], { value: scalar(value, like.dtype).reshape([1]) });
  }

  /** Whether a value is a stored constant that is 1 everywhere. */
  isOnes(value: Value): boolean {
    const init = this.root.initializers.get(value.name);
    if (init === undefined || init.data.kind !== "bytes" || init.dtype !== "float32") return false;
    return arrayFromBytes("float32", init.data.bytes).every((x) => x === 1);
  }

  /** Marks a value as an output of the graph, under its own name or another. */
  output(value: Value, name: string = value.name): Value {
    let shown = value;
    if (name !== value.name || value.builder !== this || this.inputInfos.some((i) => i.name === name)) {
      shown = this.ops("Identity", [value], {}, 1, { names: [name === value.name ? this.fresh(name) : name] })[0]!;
    }
    this.outputInfos.push({ name: shown.name, dtype: shown.dtype, ...(shown.hasShape ? { shape: shown.shape } : {}) });
    return shown;
  }

  /**
   * Repeats a body `trips` times, carrying state. The body receives the trip number (int64 scalar) and the state
   * and returns the next state and values to be stacked over trips.
   */
  loop(
    trips: number,
    state: readonly Value[],
    body: (inner: GraphBuilder, trip: Value, state: readonly Value[]) => { state: readonly Value[]; stacked: readonly Value[] },
  ): { state: Value[]; stacked: Value[] } {
    const outer = this.root.active;
    const inner = new GraphBuilder({ name: "loop_body" }, outer);
    const trip = inner.input(this.fresh("trip"), "int64", []);
    const condition = inner.input(this.fresh("condition"), "bool", []);
    const inputs = state.map((v) => inner.input(this.fresh("state"), v.dtype, v.shape));
    this.root.active = inner;
    let result: { state: readonly Value[]; stacked: readonly Value[] };
    try {
      result = body(inner, trip, inputs);
      inner.output(condition, this.fresh("condition_out"));
      // What the body computes is handed over under its own name: another one would cost a copy per trip.
      const handedOver = new Set<string>();
      for (const v of [...result.state, ...result.stacked]) {
        inner.output(v, handedOver.has(v.name) ? this.fresh("carried") : v.name);
        handedOver.add(v.name);
      }
    } finally {
      this.root.active = outer;
    }
    const graph = inner.graph();
    const node = this.makeNode(this.fresh("/Loop"), "Loop", "", [this.scalar(trips, "int64"), undefined, ...state], [], {
      body: { type: "graph", value: graph },
    });
    const outputs = [...result.state, ...result.stacked].map((_, i) => `${node.name}_output_${i}`);
    outer.nodes.push({ ...node, outputs });
    const define = (v: Value, i: number, stacked: boolean): Value => {
      const name = outputs[i]!;
      outer.claim(name);
      return outer.define(name, { dtype: v.dtype, shape: stacked ? [trips, ...v.shape] : v.shape });
    };
    return {
      state: result.state.map((v, i) => define(v, i, false)),
      stacked: result.stacked.map((v, i) => define(v, result.state.length + i, true)),
    };
  }

  /** The value of that name, here or in an enclosing graph. @throws RangeError if there is none */
  value(name: string): Value {
    const found = this.find(name);
    if (found === undefined) throw new RangeError(`graph ${this.name}: there is no value "${name}"`);
    return found;
  }

  /** The value of that name, or undefined. */
  find(name: string): Value | undefined {
    return this.values.get(name) ?? this.parent?.find(name);
  }

  /** The graph; parameters without numbers in `weights` become inputs after the declared ones. */
  graph({ weights = {} }: BuildOptions = {}): Graph {
    const inputs = [...this.inputInfos];
    const initializers = [...this.initializers.values()];
    for (const { name, shape } of this.parameters.values()) {
      const tensor = weights[name];
      if (tensor === undefined) {
        inputs.push({ name, dtype: "float32", shape });
      } else {
        if (tensor.shape.join() !== shape.join())
          throw new RangeError(`weights.${name}: expected shape [${shape.join(", ")}], got ${tensor}`);
        initializers.push(initializerOf(name, tensor));
      }
    }
    return { name: this.name, nodes: [...this.nodes], initializers, inputs, outputs: [...this.outputInfos], valueInfo: [] };
  }

  /** The graph as a model ready to be opened or saved. */
  model(options: BuildOptions = {}): Model {
    const opsets: OpsetImport[] = [
      { domain: "", version: this.opset },
      ...[...this.domains].map((domain) => ({ domain, version: 1 })),
    ];
    return { irVersion: 8, opsets, producerName: "tweedie", graph: this.graph(options) };
  }

  private define(name: string, facts: Inferred): Value {
    const v = new Value(this, name, facts);
    this.values.set(name, v);
    return v;
  }

  private claim(name: string): void {
    if (this.usedNames.has(name) && this.find(name) !== undefined)
      throw new RangeError(`graph ${this.name}: the name "${name}" is taken`);
    this.usedNames.add(name);
  }

  /** A name not used yet: the stem itself, then stem_1, stem_2… */
  private fresh(stem: string): string {
    let n = this.nameCounts.get(stem) ?? 0;
    let name = n === 0 ? stem : `${stem}_${n}`;
    while (this.usedNames.has(name)) name = `${stem}_${++n}`;
    this.nameCounts.set(stem, n + 1);
    this.usedNames.add(name);
    return name;
  }
}

function shapeInfo(inferred: Inferred | undefined): Partial<ValueInfo> {
  return { ...(inferred?.dtype ? { dtype: inferred.dtype } : {}), ...(inferred?.shape ? { shape: inferred.shape } : {}) };
}
