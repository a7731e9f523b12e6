import type { ValueInfo } from "../../onnx/index.js";

/** The inputs of a denoising network, told apart. */
export interface NetworkInputs {
  /** The noisy state. */
  readonly sample: ValueInfo;
  readonly timestep: ValueInfo;
  /** Everything else, by the name that Diffusers gives it today. */
  readonly conditions: ReadonlyMap<string, ValueInfo>;
}

/** Names under which exporters have written an input; the first is Diffusers' own. */
const names = {
  sample: ["sample", "hidden_states", "latent_model_input", "latents", "latent", "x"],
  timestep: ["timestep", "timesteps", "t", "time", "sigma", "noise_level"],
  encoder_hidden_states: ["encoder_hidden_states", "encoder_hidden_state", "text_embeddings", "prompt_embeds", "context"],
} as const;

/** Tells inputs apart by their names, and the first two by their places where the names say nothing. */
export function networkInputs(inputs: readonly ValueInfo[]): NetworkInputs {
  const named = (role: keyof typeof names): ValueInfo | undefined =>
    names[role].map((name) => inputs.find((input) => input.name === name)).find((input) => input !== undefined);
  const sample = named("sample") ?? inputs[0];
  const timestep = named("timestep") ?? inputs[1];
  if (sample === undefined || timestep === undefined || sample === timestep) {
    const found = inputs.map((input) => input.name).join(", ") || "none";
    throw new RangeError(`network: expected inputs for the noisy state and the timestep, got ${found}; export the network alone`);
  }
  const text = named("encoder_hidden_states");
  const rest = inputs.filter((input) => input !== sample && input !== timestep);
  const conditions = new Map(rest.map((input) => [input === text ? "encoder_hidden_states" : input.name, input]));
  return { sample, timestep, conditions };
}
