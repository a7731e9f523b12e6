import { backward } from "../autodiff/index.js";
import type { Model } from "../onnx/index.js";
import { GraphBuilder, type Parameter, type Value } from "../program/index.js";
import { type DType, sizeOf, type Tensor } from "../tensor/index.js";
import type { Optimizer } from "./optimizers/index.js";

/** What one step of training computes. */
export interface TrainingSpec {
  /** One step's data. */
  readonly inputs: Readonly<Record<string, { readonly dtype: DType; readonly shape: readonly number[] }>>;
  /**
   * Writes the net and its loss (a scalar) into the graph, with further scalars worth watching and the next values of
   * what is carried.
   */
  loss(g: GraphBuilder, inputs: Readonly<Record<string, Value>>, carried: Readonly<Record<string, Value>>): StepResult;
  readonly optimizer: Optimizer;
  /** Gradients are scaled down when their global norm exceeds this. */
  readonly clipNorm?: number;
  /** Decay of a running average of the weights, kept beside them. */
  readonly emaDecay?: number;
  /** Steps computed by one run of the graph. More steps, fewer copies of the state; CPU and CUDA. Default 1 */
  readonly stepsPerRun?: number;
  /** Applied to each parameter after its update, e.g. to keep rows at unit norm. */
  project?(g: GraphBuilder, name: string, weight: Value): Value;
  /** Applied to each gradient before the optimizer, e.g. to remove a component. */
  adjustGradient?(g: GraphBuilder, name: string, gradient: Value, weight: Value): Value;
  /** Weights used but not trained, by parameter name. */
  readonly frozen?: Readonly<Record<string, Tensor>>;
  /** State that the loss itself moves on from step to step, by name: counters, running statistics. float32 */
  readonly carried?: Readonly<Record<string, { readonly shape: readonly number[]; readonly start: number }>>;
}

/** What the loss of one step hands back. */
export interface StepResult {
  readonly loss: Value;
  readonly metrics?: Readonly<Record<string, Value>>;
  /** Next values of everything that is carried. */
  readonly carried?: Readonly<Record<string, Value>>;
}

/** Parameters whose state is one tensor: one of its own shape, or many laid end to end in a vector. */
export interface Slab {
  /** The parameter's name, or that of the pack. */
  readonly name: string;
  readonly parameters: readonly Parameter[];
  /** Shape of the state: the parameter's, or [elements]. */
  readonly shape: readonly number[];
  /** Whether weight decay applies: matrices and kernels, not biases and norms. */
  readonly decays: boolean;
}

/** A graph that maps (state, data of K steps) to (next state, K losses). */
export interface TrainingGraph {
  readonly model: Model;
  readonly slabs: readonly Slab[];
  /** Shapes of the state by name, in order: for each slab its weight, the optimizer's slots, its running average; then what is carried. */
  readonly stateShapes: ReadonlyMap<string, readonly number[]>;
  readonly metricNames: readonly string[];
  readonly stepsPerRun: number;
}

/** Name of a piece of state: `weight/conv.bias`, `m/packed.matrices`, `ema/conv.bias`, `carried/counter`. */
export function stateName(kind: string, slab: string): string {
  return `${kind}/${slab}`;
}

/** A parameter with more elements stays by itself: copying it into a pack would cost more than calls saved. */
const largestPacked = 1 << 17;

/**
 * Puts small parameters together, those that decay and those that do not: a net of hundreds of them is then updated by
 * a dozen calls instead of thousands. Where the recipe looks at parameters one by one, each stays by itself.
 */
function slabsOf(spec: TrainingSpec, parameters: readonly Parameter[]): readonly Slab[] {
  const alone = (p: Parameter): Slab => ({ name: p.name, parameters: [p], shape: p.shape, decays: p.shape.length > 1 });
  if (spec.project !== undefined || spec.adjustGradient !== undefined) return parameters.map(alone);
  const small = parameters.filter((p) => sizeOf(p.shape) <= largestPacked);
  const pack = (name: string, members: readonly Parameter[], decays: boolean): Slab[] =>
    members.length < 2
      ? members.map(alone)
      : [{ name: `packed.${name}`, parameters: members, shape: [members.reduce((n, p) => n + sizeOf(p.shape), 0)], decays }];
  return [
    ...parameters.filter((p) => !small.includes(p)).map(alone),
    ...pack(
      "matrices",
      small.filter((p) => p.shape.length > 1),
      true,
    ),
    ...pack(
      "vectors",
      small.filter((p) => p.shape.length <= 1),
      false,
    ),
  ];
}

/** The parameters of a slab as parts of its state. */
function unpacked(g: GraphBuilder, { parameters }: Slab, state: Value): readonly Value[] {
  if (parameters.length === 1) return [state];
  const sizes = parameters.map((p) => sizeOf(p.shape));
  return g.ops("Split", [state, g.ints(sizes)], { axis: 0 }, sizes.length).map((part, i) => part.reshape(parameters[i]!.shape));
}

/** Parameters the loss asks for, in the order in which it asks. */
export function parametersOf(spec: TrainingSpec): readonly Parameter[] {
  const g = new GraphBuilder();
  const carried = Object.entries(spec.carried ?? {}).map(
    ([name, { shape }]) => [name, g.input(stateName("carried", name), "float32", shape)] as const,
  );
  spec.loss(g, declareInputs(g, spec), Object.fromEntries(carried));
  const frozen = spec.frozen ?? {};
  return [...g.parameters.values()].filter((p) => frozen[p.name] === undefined);
}

function declareInputs(g: GraphBuilder, spec: TrainingSpec): Record<string, Value> {
  return Object.fromEntries(Object.entries(spec.inputs).map(([name, { dtype, shape }]) => [name, g.input(name, dtype, shape)]));
}

/** Kinds of state kept for each slab. */
export function stateKinds(spec: TrainingSpec): readonly string[] {
  return ["weight", ...spec.optimizer.slots, ...(spec.emaDecay === undefined ? [] : ["ema"])];
}

/** Number of fed coefficients per step: the optimizer's own and the running average's rate. */
export function coefficientsOf(spec: TrainingSpec, step: number, learningRate: number): readonly number[] {
  const own = spec.optimizer.coefficients(step, learningRate);
  if (spec.emaDecay === undefined) return own;
  // a young average must not remember the random start: decay ramps up as (1+t)/(10+t)
  return [...own, 1 - Math.min(spec.emaDecay, (1 + step) / (10 + step))];
}

/**
 * Builds the training graph: forward, reverse, clipping, update, running average, `stepsPerRun` times in a Loop.
 * Data inputs get a leading axis of that length; so does `coefficients` [K, c] float32.
 */
export function trainingGraph(spec: TrainingSpec): TrainingGraph {
  const stepsPerRun = spec.stepsPerRun ?? 1;
  const slabs = slabsOf(spec, parametersOf(spec));
  const kinds = stateKinds(spec);
  const g = new GraphBuilder({ name: "training" });
  const carriedNames = Object.keys(spec.carried ?? {});
  const stateShapes = new Map<string, readonly number[]>([
    ...slabs.flatMap(({ name, shape }) => kinds.map((kind) => [stateName(kind, name), shape] as const)),
    ...carriedNames.map((name) => [stateName("carried", name), spec.carried![name]!.shape] as const),
  ]);
  const data = Object.entries(spec.inputs).map(
    ([name, { dtype, shape }]) => [name, g.input(name, dtype, [stepsPerRun, ...shape])] as const,
  );
  const coefficientCount = coefficientsOf(spec, 1, 1).length;
  const coefficients = g.input("coefficients", "float32", [stepsPerRun, coefficientCount]);
  const state = Array.from(stateShapes, ([name, shape]) => g.input(name, "float32", shape));

  let metricNames: readonly string[] = [];
  const step = (inner: GraphBuilder, trip: Value, current: readonly Value[]): { state: Value[]; stacked: Value[] } => {
    slabs.forEach((slab, i) => {
      const parts = unpacked(inner, slab, current[i * kinds.length]!);
      slab.parameters.forEach(({ name }, j) => {
        inner.bindParameter(name, parts[j]!);
      });
    });
    for (const [name, tensor] of Object.entries(spec.frozen ?? {}))
      inner.bindParameter(
        name,
        inner.shared(`frozen:${name}`, () => tensor),
      );
    const pick = (v: Value): Value => inner.op("Gather", [v, trip], { axis: 0 });
    const inputs = Object.fromEntries(data.map(([name, v]) => [name, pick(v)]));
    const rates = inner.ops(
      "Split",
      [pick(coefficients), inner.ints(new Array(coefficientCount).fill(1))],
      { axis: 0 },
      coefficientCount,
    );
    const firstCarried = current.length - carriedNames.length;
    const carried = Object.fromEntries(carriedNames.map((name, i) => [name, current[firstCarried + i]!]));
    const { loss, metrics = {}, carried: moved = {} } = spec.loss(inner, inputs, carried);
    metricNames = Object.keys(metrics);
    const next = update(inner, spec, slabs, kinds, current, loss, rates);
    return {
      state: [...next.state, ...carriedNames.map((name) => moved[name] ?? carried[name]!)],
      stacked: [loss.reshape([]), ...Object.values(metrics).map((m) => m.reshape([])), ...next.norms],
    };
  };
  const result = g.loop(stepsPerRun, state, step);
  const stateNames = [...stateShapes.keys()];
  result.state.forEach((v, i) => void g.output(v, `next:${stateNames[i]!}`));
  const names = ["loss", ...metricNames, ...(spec.clipNorm === undefined ? [] : ["gradientNorm"])];
  result.stacked.forEach((v, i) => void g.output(v, names[i]!));
  return { model: g.model(), slabs, stateShapes, metricNames: names, stepsPerRun };
}

function update(
  g: GraphBuilder,
  spec: TrainingSpec,
  slabs: readonly Slab[],
  kinds: readonly string[],
  current: readonly Value[],
  loss: Value,
  rates: readonly Value[],
): { state: Value[]; norms: Value[] } {
  const weights = slabs.map((_, i) => current[i * kinds.length]!);
  let gradients = backward(g, loss, weights);
  if (spec.adjustGradient !== undefined)
    gradients = gradients.map((d, i) => spec.adjustGradient!(g, slabs[i]!.name, d, weights[i]!));
  const norms: Value[] = [];
  if (spec.clipNorm !== undefined) {
    const norm = g
      .op(
        "Sum",
        gradients.map((d) => g.op("ReduceSumSquare", [d, g.ints(d.shape.map((_, i) => i))], { keepdims: 0 })),
      )
      .sqrt();
    norms.push(norm);
    const scale = g.scalar(spec.clipNorm).div(norm.add(1e-6)).minimum(1);
    gradients = gradients.map((d) => d.mul(scale));
  }
  const state = slabs.flatMap(({ name, decays }, i) => {
    const own = current.slice(i * kinds.length, (i + 1) * kinds.length);
    const slots = own.slice(1, 1 + spec.optimizer.slots.length);
    const next = spec.optimizer.update(g, {
      weight: own[0]!,
      gradient: gradients[i]!,
      slots,
      coefficients: rates,
      decays,
    });
    const weight = spec.project?.(g, name, next.weight) ?? next.weight;
    if (spec.emaDecay === undefined) return [weight, ...next.slots];
    const average = own.at(-1)!;
    return [weight, ...next.slots, average.add(weight.sub(average).mul(rates.at(-1)!))];
  });
  return { state, norms };
}
