export { type ClassConditionerOptions, classConditioner } from "./class-conditioner.js";
export { type ClipConditionerOptions, clipConditioner } from "./clip-conditioner.js";
export {
  type Conditioner,
  type Conditioning,
  type ConditionOptions,
  type ConditionRequest,
  type GuidanceKind,
  type PixelPair,
  unconditioned,
} from "./conditioner.js";
export { type FluxConditionerOptions, fluxConditioner } from "./flux-conditioner.js";
export { type PixartConditionerOptions, pixartConditioner } from "./pixart-conditioner.js";
export { type Sd3ConditionerOptions, sd3Conditioner } from "./sd3-conditioner.js";
export { type SdxlConditionerOptions, sdxlConditioner } from "./sdxl-conditioner.js";
export type { TextEncoder } from "./text-encoder.js";
