import { Tensor } from "../../tensor/index.js";
import type { Condition, Denoiser, NoiseSource, SamplerOptions, Step } from "../contracts.js";
import { ddpm } from "./ddpm.js";

export interface FewStepOptions extends SamplerOptions {
  /** The generator's input for its latent z, [batch, size], drawn anew at every call; left out, it has none. */
  readonly latent?: { readonly name: string; readonly size: number };
  /** Where z and the noise come from. */
  readonly rng?: NoiseSource;
}

/**
 * Denoising diffusion GAN: x̂₀ is a sample G(x, z, t) of what the state may come from, not its mean, so that a few large
 * steps through the posterior q(x' | x, x̂₀) are enough.
 * @see Xiao et al. 2021, arXiv:2112.07804
 */
export async function* fewStep(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: FewStepOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const { latent, rng } = options;
  const batch = x.shape[0] ?? 1;
  const generator: Denoiser = (state, sigma, condition) => {
    if (latent === undefined) return denoiser(state, sigma, condition);
    if (rng === undefined) throw new TypeError("fewStep: the generator's latent is drawn; pass a seeded source as options.rng");
    const z = new Tensor("float32", rng.normals(batch * latent.size), [batch, latent.size]);
    return denoiser(state, sigma, { ...condition, [latent.name]: z } satisfies Condition);
  };
  yield* ddpm(generator, x, sigmas, options);
}
