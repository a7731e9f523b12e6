import type { Sampler } from "../contracts.js";
import { type DdimOptions, ddim } from "./ddim.js";
import { type DdpmOptions, ddpm } from "./ddpm.js";
import { type Dpmpp2mOptions, dpmpp2m } from "./dpmpp-2m.js";
import { euler } from "./euler.js";
import { type EulerAncestralOptions, eulerAncestral } from "./euler-ancestral.js";
import { heun } from "./heun.js";

export { type DdimOptions, ddim } from "./ddim.js";
export { type DdpmOptions, ddpm } from "./ddpm.js";
export { type Dpmpp2mOptions, dpmpp2m } from "./dpmpp-2m.js";
export { euler } from "./euler.js";
export { type EulerAncestralOptions, eulerAncestral } from "./euler-ancestral.js";
export { heun } from "./heun.js";

/** Every option of every sampler; each takes what concerns it. */
export type SamplerSettings = DdimOptions & DdpmOptions & Dpmpp2mOptions & EulerAncestralOptions;

export type SamplerName = "ddim" | "ddpm" | "dpmpp-2m" | "euler" | "euler-ancestral" | "heun";

/** Every sampler by name. */
export const samplers: Readonly<Record<SamplerName, Sampler<SamplerSettings>>> = {
  ddim,
  ddpm,
  "dpmpp-2m": dpmpp2m,
  euler,
  "euler-ancestral": eulerAncestral,
  heun,
};

/** How the error of the deterministic samplers falls with the step: as h^order. The stochastic ones have no such order. */
export const samplerOrder: Readonly<Record<SamplerName, number | undefined>> = {
  ddim: 1,
  ddpm: undefined,
  "dpmpp-2m": 2,
  euler: 1,
  "euler-ancestral": undefined,
  heun: 2,
};
