import type { Activations } from "../activations/index.js";
import { branchNames } from "../activations/index.js";
import type { Branch } from "../hooks/index.js";
import type { Sae } from "../sae/index.js";
import { float32, type Tensor } from "../tensor/index.js";

export interface ImageCodesOptions {
  /** How a picture's vectors are put together: the largest code, or their mean. Default "max". */
  readonly by?: "max" | "mean";
  /** Only vectors of these sampler steps; default all. */
  readonly steps?: readonly number[];
  /** Only vectors of this branch; default "cond". */
  readonly branch?: Branch;
  /** Only vectors of this hook point; default all. */
  readonly hookPoint?: string;
  readonly signal?: AbortSignal;
}

/** Vectors encoded at a time. */
const chunk = 4096;

/**
 * One code per picture and feature, [images, F], from the codes of the picture's vectors: what is compared with
 * labels of whole pictures. Pictures without vectors have zeros.
 */
export async function imageCodes(sae: Sae, acts: Activations, options: ImageCodesOptions = {}): Promise<Tensor<"float32">> {
  const { by = "max", steps, branch = "cond", hookPoint, signal } = options;
  const { provenance, images, plan } = acts;
  const { features } = sae.config;
  const point = hookPoint === undefined ? undefined : plan.hookPoints.findIndex((p) => p.path === hookPoint);
  if (point === -1) {
    throw new RangeError(
      `imageCodes: no vectors of "${hookPoint}"; the collection has ${plan.hookPoints.map((p) => p.path).join(", ")}`,
    );
  }
  const wantedSteps = steps && new Set(steps);
  const wantedBranch = branchNames.indexOf(branch);
  const wanted: number[] = [];
  for (let i = 0; i < acts.count; i++) {
    const fits =
      provenance.branch[i] === wantedBranch &&
      (wantedSteps?.has(provenance.step[i]!) ?? true) &&
      (point === undefined || provenance.hookPoint[i] === point);
    if (fits) wanted.push(i);
  }
  if (wanted.length === 0) throw new RangeError(`imageCodes: the collection has no vectors of branch "${branch}" at those steps`);

  const out = new Float32Array(images.length * features);
  const vectors = new Float64Array(images.length);
  for (let start = 0; start < wanted.length; start += chunk) {
    signal?.throwIfAborted();
    const rows = wanted.slice(start, start + chunk);
    const codes = await sae.encodeSparse(acts.rows(rows));
    rows.forEach((row, i) => {
      const image = provenance.image[row]!;
      vectors[image]!++;
      const { feature, value } = codes.row(i);
      feature.forEach((f, e) => {
        const at = image * features + f;
        out[at] = by === "max" ? Math.max(out[at]!, value[e]!) : out[at]! + value[e]!;
      });
    });
  }
  if (by === "mean") for (let i = 0; i < out.length; i++) out[i]! /= Math.max(1, vectors[Math.floor(i / features)]!);
  return float32(out, [images.length, features]);
}
