import { type HookPoint, positionAxes } from "../hooks/index.js";
import { beginTask, environment } from "../runtime/index.js";
import { expectFloat32, float32, type Tensor, zeros } from "../tensor/index.js";
import { Attribution, type AttributionMethod, type Completeness, type PointAttribution } from "./attribution.js";
import { DifferentiatedCall } from "./differentiated-call.js";
import type { NetworkCall } from "./network-call.js";
import { type QuadratureRule, quadrature } from "./quadrature.js";
import type { Scalar } from "./scalars.js";
import { sumOnto } from "./sum-onto.js";

export interface AttributionOptions {
  /** The number to explain. */
  readonly of: Scalar;
  /** Hook points: paths and patterns. */
  readonly at: string | readonly string[];
  readonly signal?: AbortSignal;
}

/** Where a path of integration starts: zeros, each channel's mean over places, the same activations in another call, or tensors by path. */
export type Baseline = "zero" | "mean" | NetworkCall | Readonly<Record<string, Tensor<"float32">>>;

export interface IntegratedGradientsOptions extends AttributionOptions {
  /** Default "zero". */
  readonly baseline?: Baseline;
  /** Evaluations along the path; default 16. */
  readonly points?: number;
  /** Default "gauss-legendre". */
  readonly rule?: QuadratureRule;
  readonly onProgress?: (done: number, total: number) => void;
}

/** ∂scalar/∂activation at each hook point. */
export function gradients(call: NetworkCall, options: AttributionOptions): Promise<Attribution> {
  return byGradient(call, options, "gradient", (_, gradient) => gradient);
}

/** Activation times gradient: what a linear network would owe to each number. */
export function gradientTimesActivation(call: NetworkCall, options: AttributionOptions): Promise<Attribution> {
  return byGradient(call, options, "gradient × activation", (activation, gradient) => product(activation, gradient));
}

/**
 * (a_source − a_target)·∇ at the target: what patching the source's activations into the target would change, to first
 * order, for all hook points in one backward pass.
 * @param source the call whose activations would be patched in, of the same network and batch
 * @throws RangeError if the two calls' activations differ in shape
 * @see Syed et al. 2023, arXiv:2310.10348; Nanda 2023, "Attribution patching"
 */
export async function attributionPatching(
  target: NetworkCall,
  source: NetworkCall,
  options: AttributionOptions,
): Promise<Attribution> {
  const patterns = [options.at].flat();
  const patched = await activationsOf(source, patterns, options.signal);
  return byGradient(target, options, "attribution patching", (activation, gradient, point) =>
    product(difference(sameShape(patched[point.path], activation, point), activation), gradient),
  );
}

/**
 * Integrated gradients of each hook point on its own: (a − baseline)·∫₀¹ ∇(baseline + α(a − baseline)) dα. Attributions of
 * a hook point add up to what moving it to the baseline changes; `completeness` tells how nearly.
 * @throws RangeError if a baseline has another shape than its activation
 * @see Sundararajan et al. 2017, arXiv:1703.01365
 */
export async function integratedGradients(call: NetworkCall, options: IntegratedGradientsOptions): Promise<Attribution> {
  const { baseline = "zero", points: count = 16, rule = "gauss-legendre", onProgress, signal } = options;
  const { nodes, weights } = quadrature(rule, count);
  const patterns = [options.at].flat();
  await using network = await DifferentiatedCall.open(call, options.of, patterns, { interpolated: true, signal });
  const others =
    baseline === "zero" || baseline === "mean"
      ? {}
      : isCall(baseline)
        ? await activationsOf(baseline, patterns, signal)
        : baseline;
  const { value, activations, gradients } = await network.run({ activations: true, gradients: network.points });
  const total = network.points.length * (count + 1);
  let done = 0;
  using task = beginTask("integratedGradients", { total, unit: "gradients", told: onProgress });
  const tell = (): void => {
    task.at(++done);
    onProgress?.(done, total);
  };
  const attributed: PointAttribution[] = [];
  for (const point of network.points) {
    const activation = activations[point.path]!;
    const start =
      baseline === "zero"
        ? zeros(activation.shape)
        : baseline === "mean"
          ? channelMeans(activation, point)
          : sameShape(others[point.path], activation, point);
    const moved = (away: number) => ({ [point.path]: { away, baseline: start } });
    const { value: valueAtStart } = await network.run({}, moved(1));
    tell();
    const mean = new Float64Array(activation.size);
    for (const [i, node] of nodes.entries()) {
      const { data } = (await network.run({ gradients: [point] }, moved(1 - node))).gradients[point.path]!;
      for (let k = 0; k < mean.length; k++) mean[k]! += weights[i]! * data[k]!;
      tell();
    }
    const attribution = product(difference(activation, start), float32(Float32Array.from(mean), activation.shape));
    const sum = totalOf(attribution);
    const completeness: Completeness = { difference: value - valueAtStart, residual: sum - (value - valueAtStart) };
    attributed.push({ ...pointOf(point, activation, gradients[point.path]!, attribution), completeness });
  }
  const shown = typeof baseline === "string" ? baseline : isCall(baseline) ? { call: baseline.source } : "given";
  return attributionOf(call, "integrated gradients", { baseline: shown, points: count, rule }, value, attributed);
}

async function byGradient(
  call: NetworkCall,
  { of, at, signal }: AttributionOptions,
  method: AttributionMethod,
  attribute: (activation: Tensor<"float32">, gradient: Tensor<"float32">, point: HookPoint) => Tensor<"float32">,
): Promise<Attribution> {
  await using network = await DifferentiatedCall.open(call, of, [at].flat(), { signal });
  const { value, activations, gradients } = await network.run({ activations: true, gradients: network.points });
  const points = network.points.map((point) => {
    const [activation, gradient] = [activations[point.path]!, gradients[point.path]!];
    return pointOf(point, activation, gradient, attribute(activation, gradient, point));
  });
  return attributionOf(call, method, {}, value, points);
}

function pointOf(
  hookPoint: HookPoint,
  activation: Tensor<"float32">,
  gradient: Tensor<"float32">,
  attribution: Tensor<"float32">,
): PointAttribution {
  return { hookPoint, axes: hookPoint.axes, activation, gradient, attribution, total: totalOf(attribution) };
}

async function attributionOf(
  call: NetworkCall,
  method: AttributionMethod,
  options: Readonly<Record<string, unknown>>,
  value: number,
  points: readonly PointAttribution[],
): Promise<Attribution> {
  const { source, edits = [], model } = call;
  const device = await model.prepare({ edits });
  return new Attribution({
    value,
    points,
    manifest: {
      method,
      options,
      ...(source === undefined ? {} : { source }),
      edits: edits.map((e) => e.label),
      environment: environment(device),
    },
  });
}

/** Activations of a call, by hook point path. */
async function activationsOf(
  { model, feeds, edits = [], context }: NetworkCall,
  capture: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Record<string, Tensor<"float32">>> {
  const options = { capture, edits, ...(context && { context }), ...(signal && { signal }) };
  const { activations } = await model.run(feeds, options);
  return Object.fromEntries(Object.entries(activations).map(([path, { tensor }]) => [path, expectFloat32(tensor, path)]));
}

function isCall(baseline: Exclude<Baseline, string>): baseline is NetworkCall {
  return "feeds" in baseline && "model" in baseline;
}

function sameShape(other: Tensor<"float32"> | undefined, activation: Tensor<"float32">, { path }: HookPoint): Tensor<"float32"> {
  if (other?.shape.join() === activation.shape.join()) return other;
  throw new RangeError(
    `attribution at ${path}: expected the other activation in shape [${activation.shape.join(", ")}], got ${other ?? "none"}; ` +
      "both calls need the same batch and size",
  );
}

/** Each channel's mean over places, in its own row, at every place. */
function channelMeans(activation: Tensor<"float32">, { axes, path }: HookPoint): Tensor<"float32"> {
  const places = positionAxes(axes);
  if (places.length === 0)
    throw new RangeError(`attribution at ${path}: no places to average, its axes are [${axes.join(", ")}]`);
  const rest = activation.shape.map((_, axis) => axis).filter((axis) => !places.includes(axis));
  const { sums, cellOf } = sumOnto(activation, rest);
  const share = sums.length / activation.size;
  return float32(
    activation.data.map((_, i) => sums[cellOf(i)]! * share),
    activation.shape,
  );
}

function product(a: Tensor<"float32">, b: Tensor<"float32">): Tensor<"float32"> {
  return float32(
    a.data.map((v, i) => v * b.data[i]!),
    a.shape,
  );
}

function difference(a: Tensor<"float32">, b: Tensor<"float32">): Tensor<"float32"> {
  return float32(
    a.data.map((v, i) => v - b.data[i]!),
    a.shape,
  );
}

function totalOf({ data }: Tensor<"float32">): number {
  return data.reduce((sum, v) => sum + v, 0);
}
