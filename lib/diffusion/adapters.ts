import { Tensor } from "../tensor/index.js";
import type { Condition, Denoised, Denoiser, Predictor } from "./contracts.js";

/**
 * What a network was trained to predict. The first four are words of `scheduler_config.json`; the others are
 * flow_prediction with time turned round, F of Karras et al., its v form, the F of consistency models, and ∇log p.
 */
export type PredictionType =
  | "epsilon"
  | "v_prediction"
  | "sample"
  | "flow_prediction"
  | "reversed_flow_prediction"
  | "edm"
  | "edm_v_prediction"
  | "consistency"
  | "score";

/** Finds the timestep of a noise level, and how networks of its kind see a state; every schedule of this layer is one. */
export interface TimestepLookup {
  timestepOf(sigma: number): number;
  /** The share of the signal in the training process at σ: its state is signal(σ)·(x₀ + σε). Default 1/√(1+σ²). */
  signal?(sigma: number): number;
  /** Standard deviation σ_d of the data, which EDM and consistency networks are scaled by; default 0.5. */
  readonly sigmaData?: number;
  /** The level at which a consistency network is the identity; default 0.002. */
  readonly sigmaMin?: number;
}

/** How a prediction becomes noise: the network sees `input`·x, and ε̂ = ofState·x + ofPrediction·prediction. */
export interface Preconditioning {
  readonly input: number;
  readonly ofState: number;
  readonly ofPrediction: number;
}

type Rule = (sigma: number, schedule: TimestepLookup) => Omit<Preconditioning, "input"> & { readonly input?: number };

const variancePreserving = (sigma: number): number => 1 / Math.sqrt(1 + sigma * sigma);

/** ofState and ofPrediction of each type; `input` where it is not the share of the signal in the process. */
const rules: Readonly<Record<PredictionType, Rule>> = {
  epsilon: () => ({ ofState: 0, ofPrediction: 1 }),
  v_prediction: (sigma) => ({ ofState: sigma / (1 + sigma * sigma), ofPrediction: 1 / Math.sqrt(1 + sigma * sigma) }),
  sample: (sigma) => ({ ofState: 1 / sigma, ofPrediction: -1 / sigma }),
  flow_prediction: (sigma) => velocity(sigma, 1),
  reversed_flow_prediction: (sigma) => velocity(sigma, -1),
  edm: (sigma, schedule) => edm(sigma, schedule, -1),
  edm_v_prediction: (sigma, schedule) => edm(sigma, schedule, 1),
  consistency: (sigma, { sigmaData = 0.5, sigmaMin = 0.002 }) => {
    const above = (sigma - sigmaMin) ** 2;
    const input = 1 / Math.sqrt(sigma ** 2 + sigmaData ** 2);
    return {
      input,
      ofState: above / ((above + sigmaData ** 2) * sigma),
      ofPrediction: (-(sigma - sigmaMin) * sigmaData * input) / sigma,
    };
  },
  score: (sigma) => ({ input: 1, ofState: 0, ofPrediction: -sigma }),
};

function velocity(sigma: number, sign: number): Preconditioning {
  const signal = 1 / (1 + sigma);
  return { input: signal, ofState: signal, ofPrediction: sign * signal };
}

function edm(sigma: number, { sigmaData = 0.5 }: TimestepLookup, sign: number): Preconditioning {
  const total = sigma ** 2 + sigmaData ** 2;
  return { input: 1 / Math.sqrt(total), ofState: sigma / total, ofPrediction: (sign * sigmaData) / Math.sqrt(total) };
}

/** How a network of a type sees x₀ + σε, and how its prediction becomes ε̂: for graphs that contain both; x̂₀ is x − σ·ε̂. */
export function preconditioning(type: PredictionType, schedule: TimestepLookup, sigma: number): Preconditioning {
  return { input: (schedule.signal ?? variancePreserving)(sigma), ...rules[type](sigma, schedule) };
}

/**
 * A network that predicts ε as a Denoiser: x̂₀ = x − σ·ε(x / √(1+σ²), t) if it is variance-preserving.
 * @see Ho et al. 2020, arXiv:2006.11239, eq. 15; the change of variables is Karras et al. 2022, arXiv:2206.00364, App. C.3
 */
export function fromEpsilon(predict: Predictor, schedule: TimestepLookup): Denoiser {
  return adapt(predict, schedule, "epsilon");
}

/**
 * A network that predicts v = √ᾱ·ε − √(1−ᾱ)·x₀ as a Denoiser: x̂₀ = x / (1+σ²) − σ/√(1+σ²)·v.
 * @see Salimans & Ho 2022, arXiv:2202.00512, App. D
 */
export function fromV(predict: Predictor, schedule: TimestepLookup): Denoiser {
  return adapt(predict, schedule, "v_prediction");
}

/** A network that predicts x₀ itself as a Denoiser, which knows no ε̂ but (x − x̂₀)/σ. */
export function fromSample(predict: Predictor, schedule: TimestepLookup): Denoiser {
  const denoiser = adapt(predict, schedule, "sample");
  return (x, sigma, condition) => denoiser(x, sigma, condition);
}

/**
 * A flow-matching network, which predicts the velocity ε − x₀ at (1−s)x₀ + sε, as a Denoiser; σ = s/(1−s), and
 * x̂₀ = (1−s)x − s·velocity for x = x₀ + σε.
 * @see Lipman et al. 2022, arXiv:2210.02747; Esser et al. 2024, arXiv:2403.03206, §3.1
 */
export function fromFlow(predict: Predictor, schedule: TimestepLookup): Denoiser {
  return adapt(predict, schedule, "flow_prediction");
}

/** A flow-matching network whose time runs from noise to data, and its velocity with it. */
export function fromReversedFlow(predict: Predictor, schedule: TimestepLookup): Denoiser {
  return adapt(predict, schedule, "reversed_flow_prediction");
}

/**
 * A network F preconditioned as in EDM as a Denoiser: x̂₀ = (σ_d²·x + σσ_d·√(σ²+σ_d²)·F(x/√(σ²+σ_d²), c)) / (σ²+σ_d²).
 * @see Karras et al. 2022, arXiv:2206.00364, table 1
 */
export function fromEdm(predict: Predictor, schedule: TimestepLookup): Denoiser {
  return adapt(predict, schedule, "edm");
}

/** An EDM network that predicts −F: v at the data's own scale. */
export function fromEdmV(predict: Predictor, schedule: TimestepLookup): Denoiser {
  return adapt(predict, schedule, "edm_v_prediction");
}

/**
 * A consistency network F as a Denoiser, the identity at the lowest level.
 * @see Song et al. 2023, arXiv:2303.01469, App. C
 */
export function fromConsistency(predict: Predictor, schedule: TimestepLookup): Denoiser {
  return adapt(predict, schedule, "consistency");
}

/**
 * A network that predicts the score ∇log p of x₀ + σε as a Denoiser, by Tweedie's formula: x̂₀ = x + σ²·score.
 * @see Song et al. 2020, arXiv:2011.13456
 */
export function fromScore(predict: Predictor, schedule: TimestepLookup): Denoiser {
  return adapt(predict, schedule, "score");
}

/** The adapter of each prediction type. */
export const denoiserFrom: Readonly<Record<PredictionType, typeof fromEpsilon>> = {
  epsilon: fromEpsilon,
  v_prediction: fromV,
  sample: fromSample,
  flow_prediction: fromFlow,
  reversed_flow_prediction: fromReversedFlow,
  edm: fromEdm,
  edm_v_prediction: fromEdmV,
  consistency: fromConsistency,
  score: fromScore,
};

function adapt(predict: Predictor, schedule: TimestepLookup, type: PredictionType): Denoiser {
  const predicted = async (
    x: Tensor<"float32">,
    sigma: number,
    condition: Condition | undefined,
    wanted: "denoised" | "epsilon",
  ): Promise<Denoised> => {
    const { input, ofState, ofPrediction } = preconditioning(type, schedule, sigma);
    const { data: state, size, shape } = x;
    const scaled = new Float32Array(size);
    for (let i = 0; i < size; i++) scaled[i] = state[i]! * input;
    const prediction = await predict(new Tensor("float32", scaled, shape), schedule.timestepOf(sigma), condition);
    const { mean, variance } = split(prediction, x);
    const out = new Float32Array(size);
    for (let i = 0; i < size; i++) {
      const epsilon = ofState * state[i]! + ofPrediction * mean[i]!;
      out[i] = wanted === "epsilon" ? epsilon : state[i]! - sigma * epsilon;
    }
    return Object.assign(new Tensor("float32", out, shape), variance && { variance });
  };
  return Object.assign(
    (x: Tensor<"float32">, sigma: number, condition?: Condition) => predicted(x, sigma, condition, "denoised"),
    {
      epsilon: (x: Tensor<"float32">, sigma: number, condition?: Condition) => predicted(x, sigma, condition, "epsilon"),
    },
  );
}

/** The prediction, and the second half of the channels of a network that also predicts a variance. */
function split(prediction: Tensor<"float32">, x: Tensor<"float32">): { mean: Float32Array; variance?: Tensor<"float32"> } {
  if (prediction.size === x.size) return { mean: prediction.data };
  const [batch = 1, channels = 0] = x.shape;
  if (prediction.size !== 2 * x.size || prediction.shape[1] !== 2 * channels) {
    throw new RangeError(
      `denoiser: expected a prediction of shape [${x.shape.join(", ")}], or with twice the channels, got ${prediction}`,
    );
  }
  const perItem = x.size / batch;
  const half = (which: 0 | 1): Float32Array => {
    const out = new Float32Array(x.size);
    for (let b = 0; b < batch; b++) {
      out.set(prediction.data.subarray((2 * b + which) * perItem, (2 * b + which + 1) * perItem), b * perItem);
    }
    return out;
  };
  return { mean: half(0), variance: new Tensor("float32", half(1), x.shape) };
}
