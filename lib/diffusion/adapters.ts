import { Tensor } from "../tensor/index.js";
import type { Denoiser, Predictor } from "./contracts.js";

/** What a network was trained to predict, in the words of `scheduler_config.json`. */
export type PredictionType = "epsilon" | "v_prediction" | "sample";

/** Finds the discrete timestep of a noise level; every schedule of this layer is one. */
export interface TimestepLookup {
  timestepOf(sigma: number): number;
}

/**
 * A variance-preserving network that predicts ε as a Denoiser: x̂₀ = x − σ·ε(x / √(1+σ²), t).
 * @see Ho et al. 2020, arXiv:2006.11239, eq. 15; the change of variables is Karras et al. 2022, arXiv:2206.00364, App. C.3
 */
export function fromEpsilon(predict: Predictor, schedule: TimestepLookup): Denoiser {
  return adapt(predict, schedule, (sigma) => ({ ofState: 1, ofPrediction: -sigma }));
}

/**
 * A network that predicts v = √ᾱ·ε − √(1−ᾱ)·x₀ as a Denoiser: x̂₀ = x / (1+σ²) − σ/√(1+σ²)·v.
 * @see Salimans & Ho 2022, arXiv:2202.00512, App. D
 */
export function fromV(predict: Predictor, schedule: TimestepLookup): Denoiser {
  return adapt(predict, schedule, (sigma) => ({
    ofState: 1 / (1 + sigma * sigma),
    ofPrediction: -sigma / Math.sqrt(1 + sigma * sigma),
  }));
}

/** A network that predicts x₀ itself as a Denoiser. */
export function fromSample(predict: Predictor, schedule: TimestepLookup): Denoiser {
  return adapt(predict, schedule, () => ({ ofState: 0, ofPrediction: 1 }));
}

/** The adapter of each prediction type. */
export const denoiserFrom: Readonly<Record<PredictionType, typeof fromEpsilon>> = {
  epsilon: fromEpsilon,
  v_prediction: fromV,
  sample: fromSample,
};

function adapt(
  predict: Predictor,
  schedule: TimestepLookup,
  mixture: (sigma: number) => { ofState: number; ofPrediction: number },
): Denoiser {
  return async (x, sigma, condition) => {
    const toInput = 1 / Math.sqrt(1 + sigma * sigma);
    const input = new Tensor(
      "float32",
      x.data.map((value) => value * toInput),
      x.shape,
    );
    const prediction = await predict(input, schedule.timestepOf(sigma), condition);
    if (prediction.size !== x.size) {
      throw new RangeError(
        `denoiser: expected a prediction of shape [${x.shape.join(", ")}], got ${prediction}; learned variances are not supported`,
      );
    }
    const { ofState, ofPrediction } = mixture(sigma);
    const denoised = prediction.data.map((value, i) => ofState * x.data[i]! + ofPrediction * value);
    return new Tensor("float32", denoised, x.shape);
  };
}
