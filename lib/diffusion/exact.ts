import { Tensor } from "../tensor/index.js";
import type { Denoiser } from "./contracts.js";

/** One Gaussian N(mean, deviation²·I) of a mixture. */
export interface Component {
  readonly weight: number;
  /** One value per element of a sample. */
  readonly mean: ArrayLike<number>;
  readonly deviation: number;
}

/**
 * The exact denoiser of data N(mean, deviation²) with independent elements: x̂₀ = (σ²·mean + s²·x) / (s² + σ²).
 * Samplers and measures are checked on it, since the flow it generates is known: x(σ) − mean ∝ √(s² + σ²).
 * @param mean, deviation one value per element of a sample
 * @see Karras et al. 2022, arXiv:2206.00364, App. B.3
 */
export function gaussianDenoiser(mean: ArrayLike<number>, deviation: ArrayLike<number>): Denoiser {
  if (mean.length !== deviation.length) {
    throw new RangeError(
      `gaussianDenoiser: ${mean.length} means and ${deviation.length} deviations; give one of each per element`,
    );
  }
  return async (x, sigma) => {
    const size = itemSize(x, mean.length, "gaussianDenoiser");
    const denoised = x.data.map((value, i) => {
      const variance = deviation[i % size]! ** 2;
      return (sigma ** 2 * mean[i % size]! + variance * value) / (variance + sigma ** 2);
    });
    return new Tensor("float32", denoised, x.shape);
  };
}

/**
 * The exact denoiser of a mixture of isotropic Gaussians: each component's x̂₀, weighted by how likely it is to have
 * produced x at noise σ. With deviation 0 it is the denoiser of a finite data set.
 * @throws RangeError if there are no components or their means differ in length
 * @see Karras et al. 2022, arXiv:2206.00364, App. B.3
 */
export function mixtureDenoiser(components: readonly Component[]): Denoiser {
  const size = components[0]?.mean.length ?? 0;
  if (size === 0 || components.some(({ mean, weight }) => mean.length !== size || !(weight > 0))) {
    throw new RangeError("mixtureDenoiser: expected components with positive weights and means of one length");
  }
  return async (x, sigma) => {
    itemSize(x, size, "mixtureDenoiser");
    const denoised = new Float32Array(x.size);
    for (let start = 0; start < x.size; start += size) {
      const shares = responsibilities(components, x.data.subarray(start, start + size), sigma);
      for (let i = 0; i < size; i++) {
        let expected = 0;
        components.forEach(({ mean, deviation }, k) => {
          const variance = deviation ** 2;
          expected += (shares[k]! * (sigma ** 2 * mean[i]! + variance * x.data[start + i]!)) / (variance + sigma ** 2);
        });
        denoised[start + i] = expected;
      }
    }
    return new Tensor("float32", denoised, x.shape);
  };
}

/** Data on a flat k-dimensional piece of R^D: mean + Σ deviationⱼ·zⱼ·directionⱼ, z standard normal. */
export interface Subspace {
  /** D values. */
  readonly mean: ArrayLike<number>;
  /** k orthonormal directions of D values each. */
  readonly directions: readonly ArrayLike<number>[];
  /** Standard deviation along each direction. */
  readonly deviations: ArrayLike<number>;
}

/**
 * The exact denoiser of a Gaussian on a subspace: along a direction of deviation s, x is shrunk by s²/(s² + σ²) to the
 * mean; across the subspace it is projected onto it. The smallest case of data with an intrinsic dimension.
 * @throws RangeError if the directions are not orthonormal to 1e-6, or the lengths do not fit
 * @see Karras et al. 2022, arXiv:2206.00364, App. B.3; Stanczuk et al. 2022, arXiv:2212.12611 (why the score shows the dimension)
 */
export function subspaceGaussianDenoiser({ mean, directions, deviations }: Subspace): Denoiser {
  const size = mean.length;
  if (directions.length !== deviations.length || directions.some((direction) => direction.length !== size)) {
    throw new RangeError(`subspaceGaussianDenoiser: expected one deviation per direction, and directions of ${size} elements`);
  }
  directions.forEach((a, i) => {
    directions.slice(0, i + 1).forEach((b, j) => {
      if (Math.abs(dot(a, b) - (i === j ? 1 : 0)) > 1e-6) {
        throw new RangeError(`subspaceGaussianDenoiser: directions ${j} and ${i} are not orthonormal; orthonormalise them first`);
      }
    });
  });
  return async (x, sigma) => {
    itemSize(x, size, "subspaceGaussianDenoiser");
    const denoised = new Float32Array(x.size);
    for (let start = 0; start < x.size; start += size) {
      const centred = Float64Array.from({ length: size }, (_, i) => x.data[start + i]! - mean[i]!);
      const item = Float64Array.from(mean);
      directions.forEach((direction, k) => {
        const variance = deviations[k]! ** 2;
        const along = (dot(direction, centred) * variance) / (variance + sigma ** 2);
        for (let i = 0; i < size; i++) item[i] = item[i]! + along * direction[i]!;
      });
      denoised.set(item, start);
    }
    return new Tensor("float32", denoised, x.shape);
  };
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** p(component | x, σ), from log-densities so that far components vanish instead of dividing 0 by 0. */
function responsibilities(components: readonly Component[], x: Float32Array, sigma: number): number[] {
  const logs = components.map(({ weight, mean, deviation }) => {
    const variance = deviation ** 2 + sigma ** 2;
    let squares = 0;
    for (let i = 0; i < x.length; i++) squares += (x[i]! - mean[i]!) ** 2;
    return Math.log(weight) - squares / (2 * variance) - (x.length / 2) * Math.log(variance);
  });
  const largest = Math.max(...logs);
  const shares = logs.map((log) => Math.exp(log - largest));
  const total = shares.reduce((a, b) => a + b);
  return shares.map((share) => share / total);
}

function itemSize(x: Tensor, expected: number, where: string): number {
  if (x.size % expected === 0) return expected;
  throw new RangeError(`${where}: items have ${expected} elements, got ${x}`);
}
