import type { Vjp } from "../vjp.js";
import { convolutionRules } from "./convolution.js";
import { elementwiseRules } from "./elementwise.js";
import { indexingRules } from "./indexing.js";
import { linalgRules } from "./linalg.js";
import { movementRules } from "./movement.js";
import { normalizationRules } from "./normalization.js";
import type { DifferentiableOp } from "./operators.js";
import { poolingRules } from "./pooling.js";
import { reductionRules } from "./reduction.js";

/** The reverse-mode rules, one per operator. */
export const vjpRules: Readonly<Record<DifferentiableOp, Vjp>> = {
  ...elementwiseRules,
  ...movementRules,
  ...linalgRules,
  ...convolutionRules,
  ...poolingRules,
  ...reductionRules,
  ...normalizationRules,
  ...indexingRules,
};

/** The rule of an operator, if it has one. */
export function vjpRuleOf(opType: string, domain: string): Vjp | undefined {
  const name = domain === "" || domain === "ai.onnx" ? opType : `${domain}.${opType}`;
  return Object.hasOwn(vjpRules, name) ? vjpRules[name as DifferentiableOp] : undefined;
}

export type { DifferentiableOp } from "./operators.js";
