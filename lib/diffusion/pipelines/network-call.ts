import type { HookedModel, HookedRun, HookedRunOptions } from "../../hooks/index.js";
import { type Tensor, toFloat32 } from "../../tensor/index.js";
import { asInput, timestepInput } from "../batches.js";
import type { Condition } from "../contracts.js";
import { fixedRows, runRows } from "../row-runs.js";
import { type NetworkInputs, sharedInput } from "./network-inputs.js";
import { packTokens, type StateLayout, unpackTokens } from "./state-layout.js";

/** A denoising network with what is known of how it is fed. */
export interface DenoisingNetwork {
  readonly network: HookedModel;
  readonly inputs: NetworkInputs;
  readonly layout: StateLayout | undefined;
}

/** One evaluation, some rows at once. */
export interface NetworkCall {
  /** The state that it sees, [row, channel, y, x]. */
  readonly input: Tensor<"float32">;
  readonly timestep: number;
  /** A condition by Diffusers' name, with one row each. */
  readonly condition: (name: string) => Tensor | undefined;
  /** Conditions that are the same for all rows. */
  readonly shared?: Condition | undefined;
}

/**
 * The network's prediction, laid out as its state.
 * @throws TypeError if it asks for something that it is not told
 */
export async function callNetwork(
  { network, inputs, layout }: DenoisingNetwork,
  { input, timestep, condition, shared }: NetworkCall,
  options: HookedRunOptions,
): Promise<{ prediction: Tensor<"float32">; activations: HookedRun["activations"] }> {
  const { sample, timestep: time, conditions } = inputs;
  const rows = input.shape[0]!;
  const scale = layout?.timestepScale ?? 1;
  const state = layout?.packed ? packTokens(input, layout.patch) : input;
  const perRow: Record<string, Tensor> = { [sample.name]: asInput(state, sample) };
  const forAll: Record<string, Tensor> = {};
  const fed = timestepInput(timestep * scale, time, rows);
  (fed.shape[0] === rows ? perRow : forAll)[time.name] = fed;
  for (const [name, info] of conditions) {
    const value = condition(name);
    if (value !== undefined) perRow[info.name] = asInput(value, info);
    else if (shared?.[name] !== undefined)
      forAll[info.name] = asInput(sharedInput(shared[name], info, fixedRows(network, [sample.name]) ?? rows), info);
    else
      throw new TypeError(
        `generate: the network wants ${info.name}, which this pipeline's conditioner does not give; pass it as condition`,
      );
  }
  const { outputs, activations } = await runRows(network, perRow, forAll, options);
  const prediction = toFloat32(outputs[network.outputs[0]!.name]!);
  return { prediction: layout?.packed ? unpackTokens(prediction, input.shape, layout.patch) : prediction, activations };
}
