import type { LatentSpace, Pipeline } from "../diffusion/index.js";
import type { Branch } from "../hooks/index.js";
import type { Model } from "../onnx/index.js";
import { embed, type GraphBuilder, type Value } from "../program/index.js";
import { int64, type Tensor } from "../tensor/index.js";
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
  const { guidanceScale, denoised, branches } = call;
  const items = state.dim(0) / branches.length;
  const rowsOf = (value: Value, branch: number): Value => value.slice(0, branch * items, (branch + 1) * items).cast("float32");
  const last = branches.length - 1;
  // A network that also predicts a variance has it in further channels.
  const predicted = (branch: number): Value => rowsOf(prediction, branch).slice(1, 0, state.dim(1));
  const guided =
    last === 0
      ? predicted(0)
      : predicted(0)
          .mul(1 - guidanceScale)
          .add(predicted(last).mul(guidanceScale));
  return rowsOf(state, last).mul(denoised.ofInput).add(guided.mul(denoised.ofPrediction));
}

export interface ClassifierScalarOptions {
  /** Takes pictures [item, 3, y, x] as its only input and gives logits [item, label]. */
  readonly classifier: Model;
  /** Name of the output of logits; default the first. */
  readonly output?: string;
  readonly label: number;
  /** From the decoder's pictures in −1…1 to what the classifier takes; default they are the same. */
  readonly prepare?: (pixels: Value, g: GraphBuilder) => Value;
}

/**
 * A logit that a classifier gives the picture of x̂₀, summed over items: denoiser, decoder and classifier become one graph.
 * Pixels are not clipped to −1…1, which would stop the gradient.
 * @throws RangeError if the classifier has no such output
 */
export function classifierLogit(pipe: Pipeline, call: PipelineCall, options: ClassifierScalarOptions): Scalar {
  const { classifier, label, prepare = (pixels: Value) => pixels } = options;
  const [images] = classifier.graph.inputs;
  const name = options.output ?? classifier.graph.outputs[0]!.name;
  if (!classifier.graph.outputs.some((o) => o.name === name)) {
    const known = classifier.graph.outputs.map((o) => o.name).join(", ");
    throw new RangeError(`classifierLogit: the classifier has no output "${name}"; it has ${known}`);
  }
  return (network, g) => {
    const pixels = decoded(pipe.vaeDecoder?.model, pipe.latentSpace, denoisedOf(call, network), g);
    const logits = embed(g, classifier, { [images!.name]: prepare(pixels, g) }, "classifier")[name]!;
    return logits.slice(1, label, label + 1).sum();
  };
}

/** Pictures in −1…1 of latents; latents that are pictures already stay as they are. */
function decoded(decoder: Model | undefined, { scale, shift }: LatentSpace, latents: Value, g: GraphBuilder): Value {
  if (decoder === undefined) return latents;
  const [input] = decoder.graph.inputs;
  const unscaled = latents.div(scale).add(shift);
  return embed(g, decoder, { [input!.name]: unscaled }, "vae_decoder")[decoder.graph.outputs[0]!.name]!.cast("float32");
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
