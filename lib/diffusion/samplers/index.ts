import type { Sampler } from "../contracts.js";
import { type AnnealedLangevinOptions, annealedLangevin } from "./annealed-langevin.js";
import type { ChurnOptions } from "./churn.js";
import { type ConsistencyOptions, consistency, lcm } from "./consistency.js";
import { type DdimOptions, ddim } from "./ddim.js";
import { type DdimInverseOptions, ddimInverse } from "./ddim-inverse.js";
import { type DdpmOptions, ddpm } from "./ddpm.js";
import { deis } from "./deis.js";
import { type Dpm2AncestralOptions, dpm2, dpm2Ancestral } from "./dpm-2.js";
import { type DpmMultistepOptions, dpmpp2m, dpmpp2mInverse, dpmpp2mSde } from "./dpm-solver-multistep.js";
import { type DpmSinglestepOptions, dpmpp2s } from "./dpm-solver-singlestep.js";
import { type DpmppSdeOptions, dpmppSde } from "./dpmpp-sde.js";
import { euler } from "./euler.js";
import { type EulerAncestralOptions, eulerAncestral } from "./euler-ancestral.js";
import { type FewStepOptions, fewStep } from "./few-step.js";
import { flowHeun } from "./flow-heun.js";
import { heun } from "./heun.js";
import { type IpndmOptions, ipndm } from "./ipndm.js";
import { type LmsOptions, lms } from "./lms.js";
import { type PndmOptions, pndm } from "./pndm.js";
import { type PredictorCorrectorOptions, predictorCorrector } from "./predictor-corrector.js";
import { type SaSolverOptions, saSolver } from "./sa-solver.js";
import { type TcdOptions, tcd } from "./tcd.js";
import { type UniPcOptions, unipc } from "./unipc.js";

export { type AnnealedLangevinOptions, annealedLangevin } from "./annealed-langevin.js";
export type { ChurnOptions } from "./churn.js";
export { type ConsistencyOptions, consistency, lcm } from "./consistency.js";
export { type DdimOptions, ddim } from "./ddim.js";
export { type DdimInverseOptions, ddimInverse } from "./ddim-inverse.js";
export { type DdpmOptions, ddpm } from "./ddpm.js";
export { deis } from "./deis.js";
export { type Dpm2AncestralOptions, dpm2, dpm2Ancestral } from "./dpm-2.js";
export type { DpmAlgorithm, DpmSolverOptions } from "./dpm-solver.js";
export { type DpmMultistepOptions, dpmpp2m, dpmpp2mInverse, dpmpp2mSde } from "./dpm-solver-multistep.js";
export { type DpmSinglestepOptions, dpmpp2s } from "./dpm-solver-singlestep.js";
export { type DpmppSdeOptions, dpmppSde } from "./dpmpp-sde.js";
export { euler } from "./euler.js";
export { type EulerAncestralOptions, eulerAncestral } from "./euler-ancestral.js";
export { type FewStepOptions, fewStep } from "./few-step.js";
export { flowHeun } from "./flow-heun.js";
export { heun } from "./heun.js";
export { type IpndmOptions, ipndm } from "./ipndm.js";
export { type LmsOptions, lms } from "./lms.js";
export type { MultistepOptions } from "./multistep.js";
export { type PndmGrid, type PndmOptions, pndm } from "./pndm.js";
export { type PredictorCorrectorOptions, predictorCorrector } from "./predictor-corrector.js";
export { type SaSolverOptions, saSolver } from "./sa-solver.js";
export { type TcdOptions, tcd } from "./tcd.js";
export { type UniPcOptions, unipc } from "./unipc.js";

/** Every option of every sampler; each takes what concerns it. */
export type SamplerSettings = AnnealedLangevinOptions &
  ChurnOptions &
  ConsistencyOptions &
  DdimInverseOptions &
  DdimOptions &
  DdpmOptions &
  Dpm2AncestralOptions &
  DpmMultistepOptions &
  DpmSinglestepOptions &
  DpmppSdeOptions &
  EulerAncestralOptions &
  FewStepOptions &
  IpndmOptions &
  LmsOptions &
  PndmOptions &
  PredictorCorrectorOptions &
  SaSolverOptions &
  TcdOptions &
  UniPcOptions;

/**
 * The samplers. Which to take, by what is at hand:
 *
 * | you want | take | steps |
 * | --- | --- | --- |
 * | a good picture soon | `dpmpp-2m` or `unipc`, Karras levels | 15–25 |
 * | the exact flow, as for inversion or likelihood | `heun`, `dpm-2` | 30+, two calls each |
 * | to edit latents and come back | `ddim-inverse` then `ddim`; `dpmpp-2m-inverse` then `dpmpp-2m` | 50 |
 * | variety, or to forget early errors | `dpmpp-2m-sde`, `sa-solver`, `euler-ancestral` | 25–50 |
 * | the training process itself | `ddpm` | all |
 * | a flow-matching model | `euler`, `flow-heun`, `dpmpp-2m` | 20–30 |
 * | a consistency, latent consistency or trajectory consistency model | `consistency`, `lcm`, `tcd` | 1–8 |
 * | a denoising diffusion GAN | `few-step` | 4 |
 * | a score network (NCSN, score SDE) | `annealed-langevin`, `predictor-corrector` | levels × 2–10 |
 */
export type SamplerName =
  | "annealed-langevin"
  | "consistency"
  | "ddim"
  | "ddim-inverse"
  | "ddpm"
  | "deis"
  | "dpm-2"
  | "dpm-2-ancestral"
  | "dpmpp-2m"
  | "dpmpp-2m-inverse"
  | "dpmpp-2m-sde"
  | "dpmpp-2s"
  | "dpmpp-sde"
  | "euler"
  | "euler-ancestral"
  | "few-step"
  | "flow-heun"
  | "heun"
  | "ipndm"
  | "lcm"
  | "lms"
  | "pndm"
  | "predictor-corrector"
  | "sa-solver"
  | "tcd"
  | "unipc";

/** Every sampler by name. */
export const samplers: Readonly<Record<SamplerName, Sampler<SamplerSettings>>> = {
  "annealed-langevin": annealedLangevin,
  consistency,
  ddim,
  "ddim-inverse": ddimInverse,
  ddpm,
  deis,
  "dpm-2": dpm2,
  "dpm-2-ancestral": dpm2Ancestral,
  "dpmpp-2m": dpmpp2m,
  "dpmpp-2m-inverse": dpmpp2mInverse,
  "dpmpp-2m-sde": dpmpp2mSde,
  "dpmpp-2s": dpmpp2s,
  "dpmpp-sde": dpmppSde,
  euler,
  "euler-ancestral": eulerAncestral,
  "few-step": fewStep,
  "flow-heun": flowHeun,
  heun,
  ipndm,
  lcm,
  lms,
  pndm,
  "predictor-corrector": predictorCorrector,
  "sa-solver": saSolver,
  tcd,
  unipc,
};

/** How the error of the deterministic samplers falls with the step: as h^order. The stochastic ones have no such order. */
export const samplerOrder: Readonly<Record<SamplerName, number | undefined>> = {
  "annealed-langevin": undefined,
  consistency: undefined,
  ddim: 1,
  "ddim-inverse": 1,
  ddpm: undefined,
  deis: 2,
  "dpm-2": 2,
  "dpm-2-ancestral": undefined,
  "dpmpp-2m": 2,
  "dpmpp-2m-inverse": 2,
  "dpmpp-2m-sde": undefined,
  "dpmpp-2s": 2,
  "dpmpp-sde": undefined,
  euler: 1,
  "euler-ancestral": undefined,
  "few-step": undefined,
  "flow-heun": 2,
  heun: 2,
  ipndm: 2,
  lcm: undefined,
  lms: 2,
  pndm: 2,
  "predictor-corrector": undefined,
  "sa-solver": undefined,
  tcd: undefined,
  unipc: 2,
};

/** The samplers that climb from data to noise: they take rising levels. */
export const risingSamplers: ReadonlySet<SamplerName> = new Set<SamplerName>(["ddim-inverse", "dpmpp-2m-inverse"]);
