import { decoded, type LogProbability, type Pipeline } from "../diffusion/index.js";
import type { Branch } from "../hooks/index.js";
import type { Model } from "../onnx/index.js";
import { embed, type GraphBuilder, type Value } from "../program/index.js";
import { float32, int64, type Tensor } from "../tensor/index.js";
import type { PipelineCall } from "./network-call.js";

/** A network in the graph under construction. */
export interface NetworkValues {
  readonly inputs: Readonly<Record<string, Value>>;
  readonly outputs: Readonly<Record<string, Value>>;
  /** The first output. */
  readonly prediction: Value;
  /** What the rows of the batch are; absent where there is no guidance. */
  readonly branches?: readonly Branch[];
}

/** A program from what a network computes to one number, which is then attributed. */
export type Scalar = (network: NetworkValues, g: GraphBuilder) => Value;

/** A part of the prediction; what is left out is not restricted. */
export interface Region {
  /** Name of the output; default the first. */
  readonly output?: string;
  readonly branch?: Branch;
  readonly channels?: readonly number[];
  /** Rows of the picture, from–to, end exclusive. */
  readonly y?: readonly [start: number, end: number];
  readonly x?: readonly [start: number, end: number];
}

/** Mean over the prediction or a part of it. */
export function meanOf(region: Region = {}): Scalar {
  return (network, g) => part(network, g, region).mean();
}

/** Σv² over the prediction or a part of it. */
export function squaredNorm(region: Region = {}): Scalar {
  return (network, g) => part(network, g, region).square().sum();
}

/**
 * ⟨prediction, tensor⟩: how far the prediction goes in a direction, such as the difference of two runs' predictions.
 * @param tensor float32, of the shape of the part, or anything that broadcasts to it
 */
export function innerProduct(tensor: Tensor<"float32">, region: Region = {}): Scalar {
  return (network, g) => part(network, g, region).mul(g.constant(tensor)).sum();
}

/** ‖prediction − tensor‖², such as the distance to another run's prediction. @param tensor as for `innerProduct` */
export function squaredDistance(tensor: Tensor<"float32">, region: Region = {}): Scalar {
  return (network, g) => part(network, g, region).sub(g.constant(tensor)).square().sum();
}

/** x̂₀ of a pipeline's call in its graph, [item, channel, y, x], after guidance (without rescale) where the call is guided. */
export function denoisedOf(call: PipelineCall, { inputs, prediction }: NetworkValues): Value {
  const state = inputs[call.sample]!;
  const { guidanceScale, imageGuidanceScale = 1, denoised, branches } = call;
  const items = state.dim(0) / branches.length;
  // A network that also predicts a variance has it in further channels; one that sees a picture has that beside the state.
  const channels = Math.min(state.dim(1), prediction.dim(1));
  const rowsOf = (value: Value, branch: number): Value =>
    value
      .slice(0, branch * items, (branch + 1) * items)
      .slice(1, 0, channels)
      .cast("float32");
  const last = branches.length - 1;
  const predicted = (branch: number): Value => rowsOf(prediction, branch);
  const scales = last === 2 ? [imageGuidanceScale, guidanceScale] : [guidanceScale];
  const guided =
    last === 0
      ? predicted(0)
      : scales
          .map((scale, b) => predicted(b).mul((scales[b - 1] ?? 1) - scale))
          .reduce((sum, term) => sum.add(term), predicted(last).mul(guidanceScale));
  return rowsOf(state, last).mul(denoised.ofInput).add(guided.mul(denoised.ofPrediction));
}

/**
 * Anything that a graph computes from the picture of x̂₀, summed: denoiser, decoder and what judges the picture become one
 * graph. `classifierLogit` and `classifierLogProbability` make such programs of a classifier.
 */
export function ofPicture(pipe: Pipeline, call: PipelineCall, judge: LogProbability): Scalar {
  return (network, g) => {
    const picture = decoded(g, pipe, denoisedOf(call, network));
    const timesteps = new Float32Array(picture.dim(0)).fill(call.at.timestep);
    return judge(picture, g, g.constant(float32(timesteps))).sum();
  };
}

/**
 * A classifier's logit of a picture in −1…1.
 * @param classifier takes pictures [item, 3, y, x] as its only input and gives logits [item, label]
 * @param output name of the logits; default the first output
 * @throws RangeError if the classifier has no such output
 */
export function classifierLogit(
  classifier: Model,
  label: number,
  output: string = classifier.graph.outputs[0]!.name,
): LogProbability {
  const { inputs, outputs } = classifier.graph;
  if (!outputs.some((o) => o.name === output)) {
    const known = outputs.map((o) => o.name).join(", ");
    throw new RangeError(`classifierLogit: the classifier has no output "${output}"; it has ${known}`);
  }
  return (picture, g) => {
    const logits = embed(g, classifier, { [inputs[0]!.name]: picture }, "classifier")[output]!;
    return logits.slice(1, label, label + 1);
  };
}

function part({ outputs, prediction, branches }: NetworkValues, g: GraphBuilder, region: Region): Value {
  const { output, branch, channels, y, x } = region;
  let value = output === undefined ? prediction : outputs[output];
  if (value === undefined) throw new RangeError(`scalar: no output "${output}" among ${Object.keys(outputs).join(", ")}`);
  if (branch !== undefined) {
    const rows = (branches ?? []).flatMap((b, row) => (b === branch ? [row] : []));
    if (rows.length === 0) throw new RangeError(`scalar: the call has no "${branch}" rows; leave branch out`);
    value = value.gather(g.constant(int64(rows)), 0);
  }
  if (channels !== undefined) value = value.gather(g.constant(int64(channels)), 1);
  if (y !== undefined) value = value.slice(2, ...y);
  if (x !== undefined) value = value.slice(3, ...x);
  return value.cast("float32");
}
