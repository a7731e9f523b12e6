import type { Branch, Capture, Edit, HookedModel } from "../../hooks/index.js";
import type { ValueInfo } from "../../onnx/index.js";
import { expectFloat32, Tensor, toFloat32 } from "../../tensor/index.js";
import type { Predictor } from "../contracts.js";
import type { NoiseSchedule } from "../schedules/index.js";
import { ActivationRecorder, type RecordedBatch } from "./activation-recorder.js";
import { asInput, concatRows, rowRanges, timestepInput } from "./batches.js";
import type { ModelCall } from "./generation.js";

/** A guidance scale, or one that follows the noise level (for a guidance interval, arXiv:2404.07724). */
export type GuidanceScale = number | ((call: ModelCall) => number);

export interface GuidedNetworkOptions {
  readonly noise: NoiseSchedule;
  /** Text states of the prompts, [item, token, channel]; undefined for an unconditional network. */
  readonly cond: Tensor<"float32"> | undefined;
  /** Text states of the negative prompts; without them there is no guidance. */
  readonly uncond: Tensor<"float32"> | undefined;
  readonly guidanceScale: GuidanceScale;
  readonly guidanceRescale: number;
  readonly capture: readonly Capture[];
  /** Calls whose activations are kept. */
  readonly captureAt: (call: ModelCall) => boolean;
  readonly edits: readonly Edit[];
  /** Most items in one run of the network. */
  readonly batchSize: number;
  readonly signal: AbortSignal | undefined;
}

/** A U-Net under classifier-free guidance, watched while a sampler calls it. */
export class GuidedNetwork {
  /** The sampler's step under way; whoever walks the sampler counts it. */
  step = 0;
  /** The calls whose activations were kept, in order. */
  readonly calls: ModelCall[] = [];
  readonly branches: readonly Branch[];
  readonly recorder: ActivationRecorder;
  readonly #unet: HookedModel;
  readonly #options: GuidedNetworkOptions;

  constructor(unet: HookedModel, options: GuidedNetworkOptions) {
    this.#unet = unet;
    this.#options = options;
    this.branches = options.uncond === undefined ? ["cond"] : ["uncond", "cond"];
    this.recorder = new ActivationRecorder(this.branches.length);
  }

  /** ε (or v, or x₀) after guidance. */
  readonly predict: Predictor = async (input, timestep) => {
    const { noise, captureAt, batchSize } = this.#options;
    const call: ModelCall = { step: this.step, timestep, sigma: noise.sigmaAt(timestep) };
    const record = captureAt(call);
    const batches: RecordedBatch[] = [];
    const predictions: Tensor<"float32">[] = [];
    for (const [start, end] of rowRanges(input.shape[0]!, batchSize)) {
      const { prediction, batch } = await this.#runItems(input.slice(start, end), start, end, call, record);
      predictions.push(prediction);
      batches.push(batch);
    }
    if (record) {
      this.calls.push(call);
      this.recorder.add(batches);
    }
    return predictions.length === 1 ? predictions[0]! : concatRows(predictions);
  };

  async #runItems(
    input: Tensor<"float32">,
    start: number,
    end: number,
    call: ModelCall,
    record: boolean,
  ): Promise<{ prediction: Tensor<"float32">; batch: RecordedBatch }> {
    const { cond, uncond, capture, edits, signal, guidanceScale, guidanceRescale } = this.#options;
    const items = end - start;
    const rows = items * this.branches.length;
    const [sample, timestep, text] = this.#unet.inputs as readonly [ValueInfo, ValueInfo, ValueInfo?];
    const feeds: Record<string, Tensor> = {
      [sample.name]: asInput(uncond === undefined ? input : concatRows([input, input]), sample),
      [timestep.name]: timestepInput(call.timestep, timestep, rows),
    };
    if (text !== undefined && cond !== undefined) {
      const states = cond.slice(start, end);
      feeds[text.name] = asInput(uncond === undefined ? states : concatRows([uncond.slice(start, end), states]), text);
    }
    const context = {
      ...call,
      branches: this.branches.flatMap((branch) => new Array<Branch>(items).fill(branch)),
    };
    const { outputs, activations } = await this.#unet.run(feeds, { capture, edits, context, record, ...(signal && { signal }) });
    const output = toFloat32(outputs[this.#unet.outputs[0]!.name]!);
    const batch = { items, activations };
    if (uncond === undefined) return { prediction: output, batch };
    const scale = typeof guidanceScale === "number" ? guidanceScale : guidanceScale(call);
    const prediction = guide(output.slice(0, items), output.slice(items), scale, guidanceRescale);
    return { prediction, batch };
  }
}

/**
 * Classifier-free guidance: uncond + scale·(cond − uncond). With `rescale` φ the result moves φ of the way to having
 * the standard deviation that `cond` has, item by item.
 * @see Ho & Salimans 2022, arXiv:2207.12598; Lin et al. 2023, arXiv:2305.08891, §3.4
 */
export function guide(uncond: Tensor<"float32">, cond: Tensor<"float32">, scale: number, rescale = 0): Tensor<"float32"> {
  const data = uncond.data.map((u, i) => u + scale * (cond.data[i]! - u));
  if (rescale > 0) {
    const perItem = data.length / cond.shape[0]!;
    for (let start = 0; start < data.length; start += perItem) {
      const item = data.subarray(start, start + perItem);
      const gain = deviation(cond.data.subarray(start, start + perItem)) / deviation(item);
      for (let i = 0; i < perItem; i++) item[i] = item[i]! * (rescale * gain + 1 - rescale);
    }
  }
  return expectFloat32(new Tensor("float32", data, cond.shape), "guide");
}

function deviation(values: Float32Array): number {
  let sum = 0;
  for (const v of values) sum += v;
  const mean = sum / values.length;
  let squares = 0;
  for (const v of values) squares += (v - mean) ** 2;
  return Math.sqrt(squares / values.length);
}
