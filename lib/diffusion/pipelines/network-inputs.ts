import type { ValueInfo } from "../../onnx/index.js";
import type { Tensor } from "../../tensor/index.js";
import { concatRows } from "../batches.js";

/** The inputs of a denoising network, told apart. */
export interface NetworkInputs {
  /** The noisy state. */
  readonly sample: ValueInfo;
  readonly timestep: ValueInfo;
  /** Everything else, by the name that Diffusers gives it today. */
  readonly conditions: ReadonlyMap<string, ValueInfo>;
}

/**
 * Names under which exporters have written an input; the key is Diffusers' own.
 * @see https://github.com/huggingface/optimum-onnx, exporters/onnx/model_configs.py; Diffusers' convert_stable_diffusion_checkpoint_to_onnx.py
 */
const aliases = {
  sample: ["sample", "hidden_states", "latent_model_input", "noisy_latents", "latents", "latent", "x"],
  timestep: ["timestep", "timesteps", "t", "time", "sigma", "noise_level", "noise_labels"],
  encoder_hidden_states: ["encoder_hidden_states", "encoder_hidden_state", "text_embeddings", "prompt_embeds", "context"],
  encoder_attention_mask: ["encoder_attention_mask", "prompt_attention_mask", "attention_mask"],
  text_embeds: ["text_embeds", "add_text_embeds", "added_cond_kwargs.text_embeds"],
  time_ids: ["time_ids", "add_time_ids", "added_cond_kwargs.time_ids"],
  timestep_cond: ["timestep_cond", "w_embedding", "guidance_scale_embedding"],
  pooled_projections: ["pooled_projections", "pooled_projection", "pooled_prompt_embeds"],
  guidance: ["guidance", "guidance_scale"],
  class_labels: ["class_labels", "class_label", "labels", "label", "y"],
  resolution: ["resolution", "added_cond_kwargs.resolution"],
  aspect_ratio: ["aspect_ratio", "added_cond_kwargs.aspect_ratio"],
} as const;

/** Tells inputs apart by their names, and the first two by their places where the names say nothing. */
export function networkInputs(inputs: readonly ValueInfo[]): NetworkInputs {
  const named = (role: keyof typeof aliases): ValueInfo | undefined =>
    aliases[role].map((name) => inputs.find((input) => input.name === name)).find((input) => input !== undefined);
  const sample = named("sample") ?? inputs[0];
  const timestep = named("timestep") ?? inputs[1];
  if (sample === undefined || timestep === undefined || sample === timestep) {
    const found = inputs.map((input) => input.name).join(", ") || "none";
    throw new RangeError(`network: expected inputs for the noisy state and the timestep, got ${found}; export the network alone`);
  }
  const roles = new Map<ValueInfo, string>();
  for (const role of Object.keys(aliases) as (keyof typeof aliases)[]) {
    const input = named(role);
    if (input !== undefined && !roles.has(input)) roles.set(input, role);
  }
  const rest = inputs.filter((input) => input !== sample && input !== timestep);
  return { sample, timestep, conditions: new Map(rest.map((input) => [roles.get(input) ?? input.name, input])) };
}

/** The length of an axis of the state [row, channel, y, x] that a network was exported for; undefined where it takes any. */
export function fixedSide(inputs: readonly ValueInfo[], axis: number): number | undefined {
  const { shape } = networkInputs(inputs).sample;
  const length = shape?.length === 4 ? shape[axis] : undefined;
  return typeof length === "number" ? length : undefined;
}

/** A tensor for all rows as an input declares it: older exports of Flux want the places of tokens once per row. */
export function sharedInput(tensor: Tensor, { shape }: ValueInfo, rows: number): Tensor {
  if (shape === undefined || shape.length !== tensor.shape.length + 1) return tensor;
  return concatRows(new Array<Tensor>(rows).fill(tensor.reshape([1, ...tensor.shape])));
}
