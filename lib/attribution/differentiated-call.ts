import { gradientThrough } from "../autodiff/index.js";
import type { HookPoint } from "../hooks/index.js";
import { type ActivationProgram, programEdit } from "../hooks/program-splice.js";
import { eliminateDeadCode, inferGraph, type Model, opsetOf, raiseOpset, splice } from "../onnx/index.js";
import { GraphBuilder } from "../program/index.js";
import { openSession, type Session } from "../runtime/index.js";
import { scalar, type Tensor, toFloat32, zeros } from "../tensor/index.js";
import type { NetworkCall } from "./network-call.js";
import type { Scalar } from "./scalars.js";

/** Brings an activation part of the way to a baseline: x + away·(baseline − x). */
export interface Interpolation {
  readonly away: number;
  readonly baseline: Tensor<"float32">;
}

/** A place to differentiate at: the hook point, and the value of the graph that stands for it. */
interface Place {
  readonly point: HookPoint;
  readonly value: string;
}

/** The scalar of a network call and its gradients at hook points, as one compiled graph. */
export class DifferentiatedCall {
  readonly points: readonly HookPoint[];
  readonly #call: NetworkCall;
  readonly #session: Session;
  readonly #signal: AbortSignal | undefined;

  private constructor(call: NetworkCall, points: readonly HookPoint[], session: Session, signal: AbortSignal | undefined) {
    this.#call = call;
    this.points = points;
    this.#session = session;
    this.#signal = signal;
  }

  /**
   * @param interpolated whether activations can be moved along the way to a baseline
   * @throws UnknownHookPointError, UnsupportedOpError or RangeError before anything runs
   */
  static async open(
    call: NetworkCall,
    of: Scalar,
    patterns: readonly string[],
    { interpolated = false, signal }: { readonly interpolated?: boolean; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<DifferentiatedCall> {
    const { model: network, edits = [], context } = call;
    const points = [...new Map(patterns.flatMap((p) => network.tree().find(p)).map((p) => [p.path, p])).values()];
    const feeds = { ...call.feeds, ...network.editFeeds(edits, context) };
    const shapes = Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, tensor.shape]));
    const { model: readable, places } = behindInputs(raiseOpset(network.edited(edits)), points);
    const model = interpolated ? interpolatedModel(readable, places, shapes) : readable;
    const g = GraphBuilder.from(model, shapes);
    const compiled = gradientThrough(() => {
      const values = (infos: readonly { readonly name: string }[]) =>
        Object.fromEntries(infos.map((v) => [v.name, g.value(v.name)]));
      const outputs = values(network.outputs);
      const prediction = g.value(network.outputs[0]!.name);
      const branches = context?.branches;
      return {
        of: of({ inputs: values(network.inputs), outputs, prediction, ...(branches && { branches }) }, g),
        withRespectTo: Object.fromEntries(places.map(({ point, value }) => [point.path, g.value(value)])),
        outputs: Object.fromEntries(places.map(({ point, value }) => [`activation:${point.path}`, g.value(value)])),
      };
    }, g);
    const session = await openSession({ ...compiled, graph: eliminateDeadCode(compiled.graph) });
    return new DifferentiatedCall(call, points, session, signal);
  }

  /** The scalar, and what is asked for at each hook point, float32, by path. */
  async run(
    ask: { readonly activations?: boolean; readonly gradients?: readonly HookPoint[] } = {},
    moved: Readonly<Record<string, Interpolation>> = {},
  ): Promise<{
    readonly value: number;
    readonly activations: Readonly<Record<string, Tensor<"float32">>>;
    readonly gradients: Readonly<Record<string, Tensor<"float32">>>;
  }> {
    const { model, edits = [], context, feeds } = this.#call;
    const inputs: Record<string, Tensor> = { ...feeds, ...model.editFeeds(edits, context) };
    for (const { name, shape } of this.#session.inputs) {
      const [, path, kind] = /^interpolation:(.*):(away|baseline)$/.exec(name) ?? [];
      if (path === undefined) continue;
      const { away, baseline } = moved[path] ?? { away: 0, baseline: zeros(shape!.map(() => 1)) };
      inputs[name] = kind === "away" ? scalar(away) : baseline;
    }
    const activations = ask.activations ? this.points.map((p) => `activation:${p.path}`) : [];
    const gradients = (ask.gradients ?? []).map((p) => `gradient:${p.path}`);
    const results = await this.#session.run(inputs, {
      fetches: ["value", ...activations, ...gradients],
      ...(this.#signal && { signal: this.#signal }),
    });
    const byPath = (names: readonly string[]): Record<string, Tensor<"float32">> =>
      Object.fromEntries(names.map((name) => [name.slice(name.indexOf(":") + 1), toFloat32(results[name]!)]));
    return { value: toFloat32(results.value!).data[0]!, activations: byPath(activations), gradients: byPath(gradients) };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#session.release();
  }
}

/** Inputs of the network are read through a copy, so that they can be moved and differentiated like any activation. */
function behindInputs(model: Model, points: readonly HookPoint[]): { model: Model; places: Place[] } {
  let { graph } = model;
  const copy: ActivationProgram = (x) => x.identity();
  const places = points.map((point): Place => {
    if (!graph.inputs.some((v) => v.name === point.value)) return { point, value: point.value };
    graph = splice(point.value, programEdit(copy, point, opsetOf(model)))(graph);
    return { point, value: graph.nodes.find((node) => node.inputs.includes(point.value))!.outputs[0]! };
  });
  return { model: { ...model, graph }, places };
}

function interpolatedModel(
  model: Model,
  places: readonly Place[],
  inputShapes: Readonly<Record<string, readonly number[]>>,
): Model {
  const opset = opsetOf(model);
  const inferred = inferGraph(model.graph, { opset, inputShapes });
  let { graph } = model;
  for (const { point, value } of places) {
    const { dtype, shape } = inferred.get(value) ?? {};
    const known = { ...point, value, ...(dtype && { dtype }), ...(shape && { shape }) };
    const program: ActivationProgram = (x, g) => {
      const away = g.input(`interpolation:${point.path}:away`, "float32", []).cast(x.dtype);
      const loose = g.input(`interpolation:${point.path}:baseline`, "float32", new Array(x.rank).fill(undefined));
      const baseline = loose.cast(x.dtype).expand(x.dims).reshape(x.dims);
      return x.add(baseline.sub(x).mul(away));
    };
    graph = splice(value, programEdit(program, known, opset))(graph);
  }
  return { ...model, graph };
}
