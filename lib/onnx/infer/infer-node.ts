import type { Node } from "../graph.js";
import { attentionRules } from "./attention.js";
import { Call, type InferBody, type InferContext, type InferRule, type Inferred } from "./context.js";
import { controlRules } from "./control.js";
import { convolutionRules } from "./convolution.js";
import { elementwiseRules } from "./elementwise.js";
import { generationRules } from "./generation.js";
import { indexingRules } from "./indexing.js";
import { linalgRules } from "./linalg.js";
import { normalizationRules } from "./normalization.js";
import { quantizationRules } from "./quantization.js";
import { reductionRules } from "./reduction.js";
import { resamplingRules } from "./resampling.js";
import { reshapingRules } from "./reshaping.js";
import { slicingRules } from "./slicing.js";

/** One rule per operator; those outside the default domain under "domain.Operator". */
export const inferRules: Readonly<Record<string, InferRule>> = {
  ...elementwiseRules,
  ...linalgRules,
  ...convolutionRules,
  ...reshapingRules,
  ...slicingRules,
  ...resamplingRules,
  ...generationRules,
  ...reductionRules,
  ...normalizationRules,
  ...attentionRules,
  ...indexingRules,
  ...controlRules,
  ...quantizationRules,
};

/** Applies a node's rule, with `inferBody` for the graphs it contains. Unknown operators have unknown outputs. */
export function applyRule(
  node: Node,
  inputs: readonly (Inferred | undefined)[],
  context: InferContext,
  inferBody: InferBody,
): Inferred[] {
  const key = node.domain === "" || node.domain === "ai.onnx" ? node.opType : `${node.domain}.${node.opType}`;
  const rule = Object.hasOwn(inferRules, key) ? inferRules[key] : undefined;
  if (rule === undefined) return node.outputs.map(() => ({}));
  const result = rule(new Call(node, inputs, context, inferBody));
  const values = "length" in result ? result : [result];
  return node.outputs.map((_, i) => values[i] ?? {});
}
