import type { Branch, Capture, Edit, HookedModel } from "../../hooks/index.js";
import type { ValueInfo } from "../../onnx/index.js";
import { expectFloat32, sizeOf, Tensor, toFloat32 } from "../../tensor/index.js";
import type { Condition, Predictor } from "../contracts.js";
import { guide } from "../guidance.js";
import type { NoiseSchedule } from "../schedules/index.js";
import { ActivationRecorder, type RecordedBatch } from "./activation-recorder.js";
import { asInput, concatRows, rowRanges, timestepInput } from "./batches.js";
import type { ModelCall } from "./generation.js";

export interface WatchedNetworkOptions {
  readonly noise: NoiseSchedule;
  readonly items: number;
  /** Text states of the prompts, [item, token, channel]; undefined for an unconditional network. */
  readonly cond: Tensor<"float32"> | undefined;
  /** Text states of the negative prompts; without them there is no guidance. */
  readonly uncond: Tensor<"float32"> | undefined;
  readonly guidanceScale: number;
  readonly guidanceRescale: number;
  readonly guidanceInterval: readonly [low: number, high: number] | undefined;
  readonly capture: readonly Capture[];
  /** Calls whose activations are kept. */
  readonly captureAt: (call: ModelCall) => boolean;
  readonly edits: readonly Edit[];
  /** Most items in one run of the network. */
  readonly batchSize: number;
  readonly signal: AbortSignal | undefined;
}

/** A U-Net as samplers call it, guided, with its activations recorded along the way. */
export class WatchedNetwork {
  /** The sampler's step under way; whoever walks the sampler counts it. */
  step = 0;
  /** The calls whose activations were kept, in order. */
  readonly calls: ModelCall[] = [];
  readonly branches: readonly Branch[];
  readonly condition: Condition;
  readonly recorder: ActivationRecorder;
  /** The network's prediction after guidance. */
  readonly predict: Predictor;
  readonly #unet: HookedModel;
  readonly #options: WatchedNetworkOptions;

  constructor(unet: HookedModel, options: WatchedNetworkOptions) {
    const { cond, uncond, guidanceScale: scale, guidanceRescale: rescale, guidanceInterval: interval } = options;
    this.#unet = unet;
    this.#options = options;
    this.branches = uncond === undefined ? ["cond"] : ["uncond", "cond"];
    this.recorder = new ActivationRecorder(this.branches.length, options.items);
    const textInput = unet.inputs[2]?.name;
    this.condition = textInput !== undefined && cond !== undefined ? { [textInput]: cond } : {};
    this.predict =
      textInput === undefined || uncond === undefined
        ? this.#evaluate
        : guide(this.#evaluate, { scale, rescale, unconditional: { [textInput]: uncond }, ...(interval && { interval }) });
  }

  /** Runs all rows, [branch × item, …]; outside a guidance interval there is only the conditional branch. */
  readonly #evaluate: Predictor = async (input, timestep, condition = {}) => {
    const { noise, items, captureAt, batchSize } = this.#options;
    const branches = this.branches.slice(-input.shape[0]! / items);
    const call: ModelCall = { step: this.step, timestep, sigma: noise.sigmaAt(timestep) };
    const record = captureAt(call);
    const batches: RecordedBatch[] = [];
    const output = new Float32Array(input.size);
    const perItem = sizeOf(input.shape.slice(1));
    for (const [start, end] of rowRanges(items, batchSize)) {
      const rows = (tensor: Tensor<"float32">): Tensor<"float32"> =>
        concatRows(branches.map((_, b) => tensor.slice(b * items + start, b * items + end)));
      const { prediction, batch } = await this.#runRows(rows(input), call, branches, record, (name) =>
        rows(expectFloat32(condition[name]!, name)),
      );
      if (prediction.size !== branches.length * (end - start) * perItem) {
        throw new RangeError(
          `U-Net: expected a prediction of its input's shape, got ${prediction}; learned variances are not supported`,
        );
      }
      for (const b of branches.keys()) {
        const block = (end - start) * perItem;
        output.set(prediction.data.subarray(b * block, (b + 1) * block), (b * items + start) * perItem);
      }
      batches.push(batch);
    }
    if (record) {
      this.calls.push(call);
      this.recorder.add(batches);
    }
    return new Tensor("float32", output, input.shape);
  };

  async #runRows(
    input: Tensor<"float32">,
    call: ModelCall,
    branches: readonly Branch[],
    record: boolean,
    condition: (name: string) => Tensor<"float32">,
  ): Promise<{ prediction: Tensor<"float32">; batch: RecordedBatch }> {
    const { capture, edits, signal } = this.#options;
    const rows = input.shape[0]!;
    const items = rows / branches.length;
    const [sample, timestep, text] = this.#unet.inputs as readonly [ValueInfo, ValueInfo, ValueInfo?];
    const feeds: Record<string, Tensor> = {
      [sample.name]: asInput(input, sample),
      [timestep.name]: timestepInput(call.timestep, timestep, rows),
    };
    if (text !== undefined) feeds[text.name] = asInput(condition(text.name), text);
    const { outputs, activations } = await this.#unet.run(feeds, {
      capture,
      edits,
      record,
      context: { ...call, branches: branches.flatMap((branch) => new Array<Branch>(items).fill(branch)) },
      ...(signal && { signal }),
    });
    return {
      prediction: toFloat32(outputs[this.#unet.outputs[0]!.name]!),
      batch: { items, branches: branches.length, activations },
    };
  }
}
