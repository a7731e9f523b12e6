import type { Vjp } from "../vjp.js";
import { convolutionRules } from "./convolution.js";
import { elementwiseRules } from "./elementwise.js";
import { indexingRules } from "./indexing.js";
import { linalgRules } from "./linalg.js";
import { movementRules } from "./movement.js";
import { normalizationRules } from "./normalization.js";
import { poolingRules } from "./pooling.js";
import { reductionRules } from "./reduction.js";

const table = {
  ...elementwiseRules,
  ...movementRules,
  ...linalgRules,
  ...convolutionRules,
  ...poolingRules,
  ...reductionRules,
  ...normalizationRules,
  ...indexingRules,
} satisfies Record<string, Vjp>;

/** Every operator with a reverse-mode rule; operators outside the default domain are "domain.Name". */
export type DifferentiableOp = keyof typeof table;

/** The reverse-mode rules, one per operator. */
export const vjpRules: Readonly<Record<string, Vjp>> & Readonly<Record<DifferentiableOp, Vjp>> = table;
