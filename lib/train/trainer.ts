import { initialize, type Parameter } from "../program/index.js";
import {
  type Device,
  openSession,
  type ResidentTensor,
  type Session,
  type SessionOptions,
  uploadTensor,
} from "../runtime/index.js";
import { float32, Rng, sizeOf, Tensor, zeros } from "../tensor/index.js";
import { type Checkpoint, readCheckpoint, writeCheckpoint } from "./checkpoint.js";
import {
  coefficientsOf,
  type Slab,
  stateKinds,
  stateName,
  type TrainingGraph,
  type TrainingSpec,
  trainingGraph,
} from "./training-graph.js";

/** One step's feeds, by input name. */
export type StepFeeds = Readonly<Record<string, Tensor>>;

/** What one run of the training graph reports: one number per step, for the loss and each metric. */
export type StepReports = Readonly<Record<string, Float32Array>>;

export interface TrainerOptions {
  /** Seeds the start of parameters that have none given. */
  readonly seed?: number;
  /** Start values by parameter name. */
  readonly weights?: Readonly<Record<string, Tensor>>;
  /** Continue exactly where this checkpoint was written. */
  readonly resume?: string;
  readonly session?: SessionOptions;
}

/**
 * Training state and the graph that advances it. The state stays with the runtime between runs.
 * Release it with `close`.
 */
export class Trainer {
  readonly spec: TrainingSpec;
  readonly parameters: readonly Parameter[];
  private readonly graph: TrainingGraph;
  private readonly session: Session;
  private state: Map<string, ResidentTensor>;
  private stepCount: number;

  private constructor(
    spec: TrainingSpec,
    graph: TrainingGraph,
    session: Session,
    state: Map<string, ResidentTensor>,
    step: number,
  ) {
    this.spec = spec;
    this.graph = graph;
    this.parameters = graph.slabs.flatMap((slab) => slab.parameters);
    this.session = session;
    this.state = state;
    this.stepCount = step;
  }

  /**
   * Builds the graph, opens it and places the starting state.
   * @throws CheckpointError if `resume` is damaged or belongs to another net
   */
  static async create(spec: TrainingSpec, options: TrainerOptions = {}): Promise<Trainer> {
    const graph = trainingGraph(spec);
    const checkpoint = options.resume === undefined ? undefined : await readCheckpoint(options.resume);
    const start = checkpoint === undefined ? startState(spec, graph, options) : stateFrom(checkpoint, graph, options.resume!);
    const resident = Array.from(graph.stateShapes.keys(), nextName);
    const session = await openSession(graph.model, { spinning: false, resident, ...options.session });
    const state = new Map<string, ResidentTensor>();
    for (const [name, tensor] of start) state.set(name, await uploadTensor(tensor));
    return new Trainer(spec, graph, session, state, checkpoint?.step ?? 0);
  }

  /** Steps taken so far. */
  get step(): number {
    return this.stepCount;
  }

  get device(): Device {
    return this.session.device;
  }

  get stepsPerRun(): number {
    return this.graph.stepsPerRun;
  }

  /** Advances by `stepsPerRun` steps. @param feeds one entry per step */
  async run(feeds: readonly StepFeeds[], learningRates: readonly number[]): Promise<StepReports> {
    const { stepsPerRun, stateShapes, metricNames } = this.graph;
    const stateNames = [...stateShapes.keys()];
    if (feeds.length !== stepsPerRun || learningRates.length !== stepsPerRun) {
      throw new RangeError(
        `Trainer.run: expected data and learning rates of ${stepsPerRun} steps, got ${feeds.length} and ${learningRates.length}`,
      );
    }
    const stacked = Object.fromEntries(
      Object.keys(this.spec.inputs).map((name) => [
        name,
        stack(
          feeds.map((f) => f[name]!),
          name,
        ),
      ]),
    );
    const rates = learningRates.flatMap((rate, i) => coefficientsOf(this.spec, this.stepCount + i + 1, rate));
    const retain = stateNames.map(nextName);
    const outputs = await this.session.run(
      { ...stacked, coefficients: float32(rates, [stepsPerRun, rates.length / stepsPerRun]), ...Object.fromEntries(this.state) },
      { retain },
    );
    const previous = this.state;
    this.state = new Map(stateNames.map((name) => [name, outputs[nextName(name)] as ResidentTensor]));
    for (const tensor of previous.values()) tensor.dispose();
    this.stepCount += stepsPerRun;
    return Object.fromEntries(metricNames.map((name) => [name, (outputs[name] as Tensor<"float32">).data]));
  }

  /** The weights, or their running average. */
  async weights(kind: "weight" | "ema" = "weight"): Promise<Record<string, Tensor>> {
    const out: Record<string, Tensor> = {};
    for (const slab of this.graph.slabs) {
      const { data } = (await this.state.get(stateName(kind, slab.name))!.read()) as Tensor<"float32">;
      let at = 0;
      for (const { name, shape } of slab.parameters) {
        const end = at + sizeOf(shape);
        out[name] = float32(data.slice(at, end), shape);
        at = end;
      }
    }
    return { ...this.spec.frozen, ...out };
  }

  /** The carried state, by name. */
  async carried(): Promise<Record<string, Tensor>> {
    const out: Record<string, Tensor> = {};
    for (const name of Object.keys(this.spec.carried ?? {})) out[name] = await this.state.get(stateName("carried", name))!.read();
    return out;
  }

  /** Writes the whole state atomically; `Trainer.create({resume})` goes on from it bit for bit. */
  async save(path: string, metadata: Readonly<Record<string, string>> = {}): Promise<void> {
    const tensors: Record<string, Tensor> = {};
    for (const [name, tensor] of this.state) tensors[name] = await tensor.read();
    await writeCheckpoint(path, { step: this.stepCount, tensors, metadata });
  }

  async close(): Promise<void> {
    for (const tensor of this.state.values()) tensor.dispose();
    await this.session.release();
  }
}

/** The output that is a state's next value. */
function nextName(state: string): string {
  return `next:${state}`;
}

function startState(spec: TrainingSpec, graph: TrainingGraph, { seed = 0, weights = {} }: TrainerOptions): Map<string, Tensor> {
  const parameters = graph.slabs.flatMap((slab) => slab.parameters);
  const drawn = initialize(
    parameters.filter((p) => weights[p.name] === undefined),
    new Rng([seed, 0x696e6974]),
  );
  const startOf = ({ name, shape }: Parameter): Tensor<"float32"> => {
    const weight = weights[name] ?? drawn[name]!;
    if (weight.shape.join() !== shape.join() || weight.dtype !== "float32")
      throw new RangeError(`Trainer: weight ${name} should be float32 [${shape.join(", ")}], got ${weight}`);
    return weight as Tensor<"float32">;
  };
  const kinds = stateKinds(spec);
  const trained = graph.slabs.flatMap((slab) => {
    const weight = packed(slab, slab.parameters.map(startOf));
    return kinds.map(
      (kind) => [stateName(kind, slab.name), kind === "weight" || kind === "ema" ? weight : zeros(slab.shape)] as const,
    );
  });
  const carried = Object.entries(spec.carried ?? {}).map(
    ([name, { shape, start }]) =>
      [stateName("carried", name), float32(new Float32Array(sizeOf(shape)).fill(start), shape)] as const,
  );
  return new Map<string, Tensor>([...trained, ...carried]);
}

/** The tensors of a slab's parameters, end to end. */
function packed({ shape }: Slab, tensors: readonly Tensor<"float32">[]): Tensor<"float32"> {
  if (tensors.length === 1) return tensors[0]!.reshape(shape);
  const data = new Float32Array(sizeOf(shape));
  let at = 0;
  for (const tensor of tensors) {
    data.set(tensor.data, at);
    at += tensor.size;
  }
  return float32(data, shape);
}

function stateFrom(checkpoint: Checkpoint, graph: TrainingGraph, path: string): Map<string, Tensor> {
  return new Map(
    Array.from(graph.stateShapes, ([name, shape]) => {
      const tensor = checkpoint.tensors[name];
      if (tensor === undefined || tensor.shape.join() !== shape.join()) {
        throw new RangeError(
          `Trainer: ${path} has ${tensor ?? "no"} ${name}, this net needs [${shape.join(", ")}]; it belongs to another net or optimizer`,
        );
      }
      return [name, tensor] as const;
    }),
  );
}

/** Steps' tensors as one with a leading axis. */
function stack(tensors: readonly Tensor[], name: string): Tensor {
  const first = tensors[0];
  if (first === undefined) throw new RangeError(`Trainer.run: the data has no "${name}"`);
  if (tensors.length === 1) return first.reshape([1, ...first.shape]);
  const data = new (first.data.constructor as new (n: number) => Float32Array)(first.size * tensors.length);
  tensors.forEach((t, i) => {
    data.set(t.data as Float32Array, i * first.size);
  });
  return new Tensor(first.dtype, data as never, [tensors.length, ...first.shape]);
}
