import { type Branch, branchesOf, type Capture, type Edit, type HookedModel, type StepContext } from "../../hooks/index.js";
import { Tensor, zeros } from "../../tensor/index.js";
import { concatRows, joined, rowRanges } from "../batches.js";
import type { Conditioning } from "../conditioning/index.js";
import type { Condition, Predictor } from "../contracts.js";
import { guide } from "../guidance.js";
import type { NoiseSchedule } from "../schedules/index.js";
import { ActivationRecorder, type RecordedBatch } from "./activation-recorder.js";
import type { ControlledCall, Controls } from "./control.js";
import type { ModelCall } from "./generation.js";
import { callNetwork } from "./network-call.js";
import { type NetworkInputs, networkInputs } from "./network-inputs.js";
import type { StateLayout } from "./state-layout.js";

export interface WatchedNetworkOptions {
  /** How the network sees its state; default as samplers have it. */
  readonly layout?: StateLayout | undefined;
  readonly noise: NoiseSchedule;
  readonly items: number;
  /** What the network is told; its rows are the pictures. */
  readonly cond: Conditioning;
  /** What the unconditional branch is told; without it there is no guidance. */
  readonly uncond?: Conditioning | undefined;
  /** What it is told instead at each step, rows [item, …] by name. */
  readonly uncondAt?: ((step: number) => Condition) | undefined;
  /** Channels beside the state's own, [item, channel, y, x]: an inpainting network sees the mask and what lies around it. */
  readonly beside?: Tensor<"float32"> | undefined;
  /** Guidance by what is beside: a branch more, and zeros there in the unconditional one. */
  readonly imageGuidanceScale?: number | undefined;
  readonly controls?: Controls | undefined;
  readonly guidanceScale: number;
  readonly guidanceRescale: number;
  readonly guidanceInterval: readonly [low: number, high: number] | undefined;
  readonly capture: readonly Capture[];
  /** Calls whose activations are kept. */
  readonly captureAt: (call: ModelCall) => boolean;
  /** Predictions that need no run of the network. */
  readonly recall?: ((call: ModelCall) => Tensor<"float32"> | undefined) | undefined;
  readonly edits: readonly Edit[];
  /** Most items in one run of the network. */
  readonly batchSize: number;
  readonly signal: AbortSignal | undefined;
}

/** A denoising network as samplers call it, guided, with its activations recorded along the way. */
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
  /** Model calls so far. */
  #call = 0;
  readonly #network: HookedModel;
  readonly #inputs: NetworkInputs;
  readonly #options: WatchedNetworkOptions;

  constructor(network: HookedModel, options: WatchedNetworkOptions) {
    const { cond, uncond, uncondAt, guidanceScale: scale, guidanceRescale: rescale, guidanceInterval: interval } = options;
    this.#network = network;
    this.#inputs = networkInputs(network.inputs);
    this.#options = options;
    const { imageGuidanceScale: imageScale } = options;
    this.branches = branchesOf(uncond === undefined ? 1 : imageScale === undefined ? 2 : 3);
    this.recorder = new ActivationRecorder(this.branches.length, options.items);
    this.condition = cond.rows;
    this.predict =
      uncond === undefined
        ? this.#evaluate
        : guide(this.#evaluate, {
            scale,
            imageScale,
            rescale,
            unconditional: uncondAt ? () => ({ ...uncond.rows, ...uncondAt(this.step) }) : uncond.rows,
            ...(interval && { interval }),
          });
  }

  /** Runs all rows, [branch × item, …]; outside a guidance interval there is only the conditional branch. */
  readonly #evaluate: Predictor = async (input, timestep, condition = {}) => {
    const { noise, items, captureAt, recall, batchSize } = this.#options;
    const branches = this.branches.slice(-input.shape[0]! / items);
    const call: ModelCall = { step: this.step, timestep, sigma: noise.sigmaAt(timestep) };
    const known = recall?.(call);
    if (known !== undefined) return known;
    const record = captureAt(call);
    const count = this.#call++;
    const batches: RecordedBatch[] = [];
    const predictions: Tensor<"float32">[] = [];
    for (const [start, end] of rowRanges(items, batchSize)) {
      const given = (tensor: Tensor): Tensor => tensor.slice(start, end);
      const rows = (tensor: Tensor): Tensor =>
        end - start === items ? tensor : concatRows(branches.map((_, b) => tensor.slice(b * items + start, b * items + end)));
      const { prediction, batch } = await this.#runRows({
        input: rows(input) as Tensor<"float32">,
        call: {
          ...call,
          call: count,
          branches: branches.flatMap((branch) => new Array<Branch>(end - start).fill(branch)),
          items: branches.flatMap(() => Array.from({ length: end - start }, (_, i) => start + i)),
        },
        branches,
        record,
        condition: (name) => condition[name] && rows(condition[name]),
        given,
        perItem: (tensor) => concatRows(branches.map(() => given(tensor))),
      });
      predictions.push(prediction);
      batches.push(batch);
    }
    if (record) {
      this.calls.push(call);
      this.recorder.add(batches, call);
    }
    if (predictions.length === 1) return predictions[0]!;
    // Batches hold some items of every branch; guidance wants all items of one branch, then of the other.
    const ofBranch = (p: Tensor<"float32">, b: number): Tensor<"float32"> => {
      const n = p.shape[0]! / branches.length;
      return p.slice(b * n, (b + 1) * n);
    };
    return concatRows(branches.flatMap((_, b) => predictions.map((p) => ofBranch(p, b))));
  };

  async #runRows(batch: RowBatch): Promise<{ prediction: Tensor<"float32">; batch: RecordedBatch }> {
    const { input, call, branches, record } = batch;
    const { capture, edits, cond, beside, imageGuidanceScale, controls, layout, signal } = this.#options;
    const items = input.shape[0]! / branches.length;
    const seen = (branch: Branch): Tensor<"float32"> => {
      const own = batch.given(beside!) as Tensor<"float32">;
      return branch === "uncond" && imageGuidanceScale !== undefined ? zeros(own.shape) : own;
    };
    const assisted = await controls?.feeds({ ...batch, condition: (name) => batch.condition(name) ?? cond.shared?.[name] });
    const { prediction, activations } = await callNetwork(
      { network: this.#network, inputs: this.#inputs, layout },
      {
        input: beside ? besides(input, concatRows(branches.map(seen))) : input,
        timestep: call.timestep,
        condition: (name) => assisted?.[name] ?? batch.condition(name),
        shared: cond.shared,
      },
      { capture, edits, record, context: call, ...(signal && { signal }) },
    );
    return { prediction, batch: { items, branches: branches.length, activations } };
  }
}

/** Some rows of every branch in one run of the network. */
interface RowBatch extends ControlledCall {
  readonly call: ModelCall & StepContext;
  readonly record: boolean;
  /** The rows' pictures of a tensor that has one row per picture. */
  readonly given: (tensor: Tensor) => Tensor;
}

/** Channels of two tensors [item, channel, …] one after the other. */
function besides(x: Tensor<"float32">, more: Tensor<"float32">): Tensor<"float32"> {
  const [items = 0, channels = 0, ...rest] = x.shape;
  const rows = Array.from({ length: items }, (_, i) => concatRows([x.row(i), more.row(i)]));
  return new Tensor("float32", joined(rows.map((r) => r.data)), [items, channels + more.shape[1]!, ...rest]);
}
