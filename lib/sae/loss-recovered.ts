import { denoise, type Pipeline } from "../diffusion/index.js";
import { at, type Edit, identityOf, positionAxes } from "../hooks/index.js";
import { float32, type Picture, Rng, type Tensor } from "../tensor/index.js";
import { activationVectors, positionCount } from "./activation-vectors.js";
import { columnMeans } from "./metrics.js";
import type { Sae } from "./sae.js";

export interface LossRecoveredOptions {
  /** The hook point whose activations the SAE was trained on. */
  readonly at: string;
  /** Training timesteps at which the pictures are noised and judged. */
  readonly timesteps: readonly number[];
  /** What the network is told, one text for all pictures or one each; default "". */
  readonly prompts?: string | readonly string[];
  /** Of the noise, one per picture; default 0, 1, 2, … */
  readonly seeds?: readonly number[];
  /** Resamples of the pictures behind the interval; default 1000. */
  readonly resamples?: number;
  /** Pictures run at once; default 8. */
  readonly batchSize?: number;
  readonly signal?: AbortSignal;
}

/** What an SAE's reconstruction keeps of the network's work, beside what an ablation keeps. */
export interface Recovery {
  /** (L_ablated − L_sae) / (L_ablated − L_original), not clipped: 1 loses nothing, 0 is no better than the ablation. */
  readonly recovered: number;
  /** 95 % interval, by resampling pictures. */
  readonly low: number;
  readonly high: number;
  /** ‖ε_sae − ε_original‖² / ‖ε_ablated − ε_original‖²: 0 changes no prediction, 1 as much as the ablation. */
  readonly epsRatio: number;
}

/** Loss at one timestep. */
export interface LossAtTimestep {
  readonly timestep: number;
  readonly sigma: number;
  /** Mean squared error of the predicted noise to the true noise, per number: of the network as it is, … */
  readonly original: number;
  /** … with the SAE's reconstruction in the activation's place, … */
  readonly sae: number;
  /** … with the mean over all evaluated vectors in its place, … */
  readonly meanAblated: number;
  /** … and with zeros in its place. */
  readonly zeroAblated: number;
  readonly overMean: Recovery;
  readonly overZero: Recovery;
}

/**
 * How much of what the network does with an activation survives the SAE: the activation is replaced by the SAE's
 * reconstruction, by its mean and by zero, and the loss of denoising compared, timestep by timestep.
 * @param pictures pictures of one size, pixels in [0, 1] or `{ latents }`, as `denoise` takes them
 * @throws RangeError if the hook point is not one, or has other channels than the SAE
 */
export async function lossRecovered(
  pipe: Pipeline,
  sae: Sae,
  pictures: readonly Picture[] | Tensor<"float32"> | { readonly latents: Tensor<"float32"> },
  options: LossRecoveredOptions,
): Promise<LossAtTimestep[]> {
  const { at: pattern, resamples = 1000, ...settings } = options;
  const [point, another] = pipe.network.tree().find(pattern);
  if (another !== undefined)
    throw new RangeError(
      `lossRecovered: "${pattern}" names several hook points; an SAE belongs to one, such as "${point!.path}"`,
    );
  const { path, axes } = point!;
  const plain = await denoise(pipe, pictures, {
    ...settings,
    capture: [positionAxes(axes).length > 0 ? { at: path, reduce: "tokens" } : path],
  });
  const { latents, noise } = plain;
  const vectors = plain.activations[path]!.tensor;
  const mean = columnMeans([vectors.reshape([-1, vectors.shape.at(-1)!])]);
  const edited = async (edit: Edit): Promise<Tensor<"float32">> =>
    (await denoise(pipe, { latents }, { ...settings, edits: [edit] })).eps;
  const eps = {
    original: plain.eps,
    sae: await edited(reconstruct(sae, { at: path })),
    meanAblated: await edited(at(path).replace(float32(mean))),
    zeroAblated: await edited(at(path).ablate("zero")),
  };
  const rng = new Rng(0);
  const resampled = Array.from({ length: resamples }, () =>
    Array.from({ length: noise.shape[0]! }, () => rng.int(noise.shape[0]!)),
  );

  return Array.from(plain.timesteps, (timestep, step): LossAtTimestep => {
    const loss = perRun((run) => squaredErrors(eps[run].row(step), noise));
    const moved = perRun((run) => sum(squaredErrors(eps[run].row(step), eps.original.row(step))));
    const over = (ablated: "meanAblated" | "zeroAblated"): Recovery => {
      const share = (items?: readonly number[]): number => {
        const total = perRun((run) => sum(loss[run], items));
        return (total[ablated] - total.sae) / (total[ablated] - total.original);
      };
      const shares = resampled.map(share).sort((a, b) => a - b);
      return {
        recovered: share(),
        low: shares[Math.floor(0.025 * resamples)] ?? Number.NaN,
        high: shares[Math.ceil(0.975 * resamples) - 1] ?? Number.NaN,
        epsRatio: moved.sae / moved[ablated],
      };
    };
    return {
      timestep,
      sigma: plain.sigmas[step]!,
      ...perRun((run) => sum(loss[run]) / noise.size),
      overMean: over("meanAblated"),
      overZero: over("zeroAblated"),
    };
  });
}

type Run = "original" | "sae" | "meanAblated" | "zeroAblated";

function perRun<T>(of: (run: Run) => T): Record<Run, T> {
  return { original: of("original"), sae: of("sae"), meanAblated: of("meanAblated"), zeroAblated: of("zeroAblated") };
}

/** Σ(a − b)² of each item. */
function squaredErrors(a: Tensor<"float32">, b: Tensor<"float32">): Float64Array {
  const items = a.shape[0]!;
  const out = new Float64Array(items);
  for (let i = 0; i < a.size; i++) out[Math.floor((i * items) / a.size)]! += (a.data[i]! - b.data[i]!) ** 2;
  return out;
}

function sum(values: Float64Array, items?: readonly number[]): number {
  return items === undefined ? values.reduce((a, b) => a + b, 0) : items.reduce((total, i) => total + values[i]!, 0);
}

/** Puts an SAE's reconstruction in the place of the activation: what the rest of the network makes of it is what the SAE keeps. */
export function reconstruct(sae: Sae, { at: pattern }: { readonly at: string }): Edit {
  return {
    pattern,
    structure: `reconstruction of ${identityOf(sae)} @ ${pattern}`,
    label: `${pattern} ← reconstruction by SAE ${sae.digest.slice(0, 12)}`,
    program: (point) => (x, g) => {
      const { width } = sae.config;
      const { vectors, restore } = activationVectors(x.cast("float32"), point, width);
      const codes = sae.encoder(g, vectors.reshape([-1, width]));
      const places = positionCount(point);
      return restore(sae.decoder(g, codes).reshape([-1, places, width])).cast(x.dtype);
    },
    feeds: () => ({}),
  };
}
