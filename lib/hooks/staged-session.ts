import { cut, type Graph, inferGraph, type Model, opsetOf, readsOf, type ValueInfo } from "../onnx/index.js";
import { checkFeeds } from "../runtime/feeds.js";
import { type Device, openSession, type ResidentTensor, type Session, type SessionOptions } from "../runtime/index.js";
import type { Tensor } from "../tensor/index.js";

/** A place where a graph waits for JavaScript: `input`, one of its inputs, is made from `value` while it runs. */
export interface Break<Call> {
  readonly value: string;
  readonly input: string;
  readonly call: Call;
}

/** A part of a graph that runs in one go. */
interface Stage<Call> {
  readonly graph: Graph;
  /** What happens behind it; nothing behind the last. */
  readonly break?: Break<Call>;
}

interface OpenStage<Call> extends Stage<Call> {
  readonly session: Session;
}

export interface StagedRunOptions<Call> {
  /** Outputs of the model to compute. */
  readonly fetches: readonly string[];
  readonly signal?: AbortSignal;
  /** Makes the input behind a break from its value. */
  readonly answer: (call: Call, value: Tensor) => Promise<Tensor>;
}

/** A model that is interrupted in places, as one session per stretch in between. What crosses a cut stays with the runtime. */
export class StagedSession<Call> {
  readonly #stages: readonly OpenStage<Call>[];
  readonly #inputs: readonly ValueInfo[];
  readonly #outputs: ReadonlySet<string>;

  private constructor({ graph }: Model, stages: readonly OpenStage<Call>[]) {
    const weights = new Set(graph.initializers.map((w) => w.name));
    const answered = new Set(stages.map((stage) => stage.break?.input));
    this.#stages = stages;
    this.#inputs = graph.inputs.filter((v) => !weights.has(v.name) && !answered.has(v.name));
    this.#outputs = new Set(graph.outputs.map((o) => o.name));
  }

  static async open<Call>(model: Model, breaks: readonly Break<Call>[], options?: SessionOptions): Promise<StagedSession<Call>> {
    const stages = breaks.length === 0 ? [{ graph: model.graph }] : stagesOf(model.graph, breaks, opsetOf(model));
    const open: OpenStage<Call>[] = [];
    try {
      for (const stage of stages) open.push({ ...stage, session: await openSession({ ...model, graph: stage.graph }, options) });
    } catch (error) {
      await Promise.all(open.map(({ session }) => session.release()));
      throw error;
    }
    return new StagedSession(model, open);
  }

  get device(): Device {
    return this.#stages.at(-1)!.session.device;
  }

  async run(
    feeds: Readonly<Record<string, Tensor>>,
    { fetches, signal, answer }: StagedRunOptions<Call>,
  ): Promise<Record<string, Tensor>> {
    const [only] = this.#stages;
    const withdrawal = signal && { signal };
    if (this.#stages.length === 1) return only!.session.run(feeds, { fetches, ...withdrawal });
    checkFeeds(feeds, this.#inputs, only!.session.name);
    const values = new Map<string, Tensor | ResidentTensor>(Object.entries(feeds));
    try {
      for (const { graph, session, break: stop } of this.#stages) {
        const outputs = graph.outputs.map((o) => o.name);
        const fetched = outputs.filter((name) => (this.#outputs.has(name) ? fetches.includes(name) : name === stop?.value));
        const retain = outputs.filter((name) => !this.#outputs.has(name) && name !== stop?.value);
        if (fetched.length + retain.length === 0) continue;
        const inputs = Object.fromEntries(graph.inputs.map(({ name }) => [name, values.get(name)!]));
        const results = await session.run(inputs, { fetches: fetched, retain, ...withdrawal });
        for (const [name, value] of Object.entries(results)) values.set(name, value);
        if (stop === undefined) continue;
        const answered = await answer(stop.call, values.get(stop.value) as Tensor).catch((error: unknown) => {
          signal?.throwIfAborted();
          throw error;
        });
        values.set(stop.input, answered);
      }
      return Object.fromEntries(fetches.map((name) => [name, values.get(name) as Tensor]));
    } finally {
      for (const value of values.values()) if ("dispose" in value) value.dispose();
    }
  }

  async release(): Promise<void> {
    await Promise.all(this.#stages.map(({ session }) => session.release()));
  }
}

/**
 * A graph cut into the parts before, between and behind its breaks: each computes what the next break needs and no part
 * has computed, the last one the outputs. Only what is computed from inputs crosses; weights and constants go
 * where they are read.
 */
function stagesOf<Call>(graph: Graph, breaks: readonly Break<Call>[], opset: number): Stage<Call>[] {
  const weights = new Set(graph.initializers.map((w) => w.name));
  const outputs = graph.outputs.map((o) => o.name);
  const position = new Map(graph.nodes.flatMap((node, i) => node.outputs.map((name) => [name, i] as const)));
  // Nodes are in topological order, and so are the values they compute.
  const inOrder = breaks.toSorted((a, b) => position.get(a.value)! - position.get(b.value)!);
  const available = new Set(graph.inputs.map((v) => v.name).filter((name) => !weights.has(name)));
  const computed = computedFrom(graph, available);
  const parts = [...inOrder.map((stop) => ({ targets: [stop.value], stop })), { targets: outputs, stop: undefined }].map(
    ({ targets, stop }) => {
      const part = partFor(graph, targets, available, computed);
      for (const name of part.made) available.add(name);
      return { ...part, targets, stop };
    },
  );
  const inputs = new Set(graph.inputs.map((v) => v.name));
  const typed = withTypes(graph, new Set(parts.flatMap((part) => part.reads).filter((name) => !inputs.has(name))), opset);
  return parts.map(({ reads, made, stop }, i) => {
    const later = new Set([...parts.slice(i + 1).flatMap((p) => [...p.reads, ...p.targets]), ...outputs]);
    const handedOn = made.filter((name) => later.has(name) || name === stop?.value);
    return { graph: cut(typed, { inputs: reads, outputs: handedOn }), ...(stop && { break: stop }) };
  });
}

/** What a part that computes `targets` reads of what there is, and what it makes. */
function partFor(
  graph: Graph,
  targets: readonly string[],
  available: ReadonlySet<string>,
  computed: ReadonlySet<string>,
): { reads: string[]; made: string[] } {
  const reads = new Set<string>();
  const made: string[] = [];
  const needed = new Set(targets.filter((name) => !available.has(name)));
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((name) => needed.has(name))) continue;
    const isMade = (name: string): boolean => computed.has(name) || targets.includes(name);
    made.push(...node.outputs.filter((name) => isMade(name) && !available.has(name)));
    for (const name of readsOf(node)) (available.has(name) ? reads : needed).add(name);
  }
  return { reads: [...reads], made };
}

/** Values that depend on the given ones. */
function computedFrom(graph: Graph, given: ReadonlySet<string>): Set<string> {
  const computed = new Set(given);
  for (const node of graph.nodes) {
    if (![...readsOf(node)].some((name) => computed.has(name))) continue;
    for (const name of node.outputs) if (name !== "") computed.add(name);
  }
  return computed;
}

/**
 * The graph with dtype and rank written down for values that cross a cut, since inputs need them, and no lengths: what is
 * known of those decides which kernels the runtime chooses, and with them the last bit.
 */
function withTypes(graph: Graph, crossing: ReadonlySet<string>, opset: number): Graph {
  const inferred = inferGraph(graph, { opset });
  const typed = [...crossing].map((name): ValueInfo => {
    const { dtype, shape } = inferred.get(name) ?? {};
    if (dtype !== undefined) return { name, dtype, ...(shape && { shape: shape.map(() => undefined) }) };
    throw new TypeError(`a callback cuts the graph at "${name}", whose type is not known; put it where another value crosses`);
  });
  return { ...graph, valueInfo: [...graph.valueInfo.filter((v) => !crossing.has(v.name)), ...typed] };
}
