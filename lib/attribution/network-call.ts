import { type GenerateOptions, type ModelCall, type Pipeline, preconditioning, scheduleFromConfig } from "../diffusion/index.js";
import { networkInputs } from "../diffusion/pipelines/network-inputs.js";
import type { Activation, Branch, Edit, HookedModel, StepContext } from "../hooks/index.js";
import type { ValueInfo } from "../onnx/index.js";
import { expectFloat32, int64, type Tensor, toFloat16 } from "../tensor/index.js";

/** One evaluation of a network, which can be asked what in it mattered. */
export interface NetworkCall {
  readonly model: HookedModel;
  readonly feeds: Readonly<Record<string, Tensor>>;
  /** In force during the call; gradients flow through them. */
  readonly edits?: readonly Edit[];
  /** Where the call stands in a trajectory, for edits that depend on it. */
  readonly context?: StepContext;
  /** Where the call comes from, for the manifest. */
  readonly source?: unknown;
}

/** A network call as a pipeline made it. */
export interface PipelineCall extends NetworkCall {
  readonly context: StepContext;
  readonly at: ModelCall;
  /** Name of the network's input that is the noisy state. */
  readonly sample: string;
  /** What the rows of the batch are: one block of items per branch. */
  readonly branches: readonly Branch[];
  readonly guidanceScale: number;
  /** Of networks that edit a picture. */
  readonly imageGuidanceScale?: number;
  /** x̂₀ = ofInput·(the network's input) + ofPrediction·(its prediction). */
  readonly denoised: { readonly ofInput: number; readonly ofPrediction: number };
}

export interface NetworkCallOptions extends Omit<GenerateOptions, "capture" | "captureAt" | "decode"> {
  /** Which evaluation of the network, counted from 0: the step, for samplers that make one per step. */
  readonly call: number;
}

/**
 * The network call number `call` of a generation: its inputs as the sampler had brought them forth by then, and the
 * edits that were in force.
 * @throws RangeError if the generation makes fewer calls
 * @example
 * import { gradients, load, networkCall, squaredNorm } from "tweedie";
 *
 * const call = await networkCall(await load("shapes"), "a red circle", { call: 2, steps: 6 });
 * await gradients(call, { of: squaredNorm({ branch: "cond" }), at: "mid_block" })
 */
export async function networkCall(pipe: Pipeline, prompt: string, options: NetworkCallOptions): Promise<PipelineCall> {
  const { call: wanted, ...settings } = options;
  const { inputs } = pipe.network;
  const sample = networkInputs(inputs).sample.name;
  let calls = 0;
  const run = await pipe.generate(prompt, {
    ...settings,
    capture: inputs.map((input) => input.name),
    captureAt: () => calls++ === wanted,
    decode: false,
  });
  const [at] = run.calls;
  if (at === undefined) throw new RangeError(`networkCall: call must be 0…${calls - 1}, got ${wanted}`);
  const { branches, manifest, items } = run;
  // Outside a guidance interval the unconditional rows were not computed; the recorder marks them with NaN.
  const skipped = Number.isNaN(run.activations[sample]!.tensor.data[0]) ? branches.length - 1 : 0;
  const here = branches.slice(skipped);
  return {
    model: pipe.network,
    feeds: Object.fromEntries(inputs.map((input) => [input.name, fed(run.activations[input.name]!, input, skipped)])),
    // Captured inputs are those that edits of inputs have made.
    edits: [...pipe.edits, ...(options.edits ?? [])].filter((edit) => !inputs.some((input) => input.name === edit.pattern)),
    context: { ...at, branches: here.flatMap((branch) => new Array<Branch>(items.length).fill(branch)) },
    at,
    sample,
    branches: here,
    guidanceScale: manifest.guidanceScale,
    ...(manifest.imageGuidanceScale !== undefined && { imageGuidanceScale: manifest.imageGuidanceScale }),
    denoised: denoisedFrom(pipe, options, at),
    source: { call: wanted, ...manifest },
  };
}

/** A captured input as it was fed: branch and item are rows of one batch again. */
function fed({ axes, tensor }: Activation, input: ValueInfo, skipped: number): Tensor {
  let values = expectFloat32(tensor, input.name).row(0);
  if (axes[1] === "branch") {
    const computed = values.slice(skipped);
    values = computed.reshape([computed.shape[0]! * computed.shape[1]!, ...computed.shape.slice(2)]);
  }
  if (input.dtype === "int64") return int64(BigInt64Array.from(values.data, BigInt), values.shape);
  return input.dtype === "float16" ? toFloat16(values) : values;
}

/** The factors by which the pipeline's adapter makes x̂₀ of what the network sees and says. */
function denoisedFrom(pipe: Pipeline, options: GenerateOptions, { sigma }: ModelCall): PipelineCall["denoised"] {
  const { predictionType, plan } = scheduleFromConfig(pipe.schedulerConfig, options.sampler, options.scheduler);
  const { input, ofState, ofPrediction } = preconditioning(predictionType, plan(options.steps ?? 20), sigma);
  return { ofInput: (1 - sigma * ofState) / input, ofPrediction: -sigma * ofPrediction };
}
