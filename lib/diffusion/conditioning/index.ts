export { clipConditioner } from "./clip-conditioner.js";
export { type Conditioner, type Conditioning, type ConditionRequest, type GuidanceKind, unconditioned } from "./conditioner.js";
