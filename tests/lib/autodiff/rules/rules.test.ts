import { describe, it } from "vitest";
import type { DifferentiableOp } from "../../../../lib/autodiff/rules/index.js";
import { Rng } from "../../../../lib/tensor/index.js";
import { convolutionCases } from "./cases/convolution.js";
import { elementwiseCases } from "./cases/elementwise.js";
import { indexingCases } from "./cases/indexing.js";
import { linalgCases } from "./cases/linalg.js";
import { movementCases } from "./cases/movement.js";
import { normalizationCases } from "./cases/normalization.js";
import { poolingCases } from "./cases/pooling.js";
import { reductionCases } from "./cases/reduction.js";
import { checkGradient, checkHalfGradient } from "./check-gradient.js";
import type { Cases } from "./draw.js";

/** An operator with a rule but without a case does not compile. */
const cases: Readonly<Record<DifferentiableOp, Cases>> = {
  ...elementwiseCases,
  ...movementCases,
  ...linalgCases,
  ...convolutionCases,
  ...poolingCases,
  ...reductionCases,
  ...normalizationCases,
  ...indexingCases,
};

/** Operators whose forward or reverse needs a kernel that ONNX Runtime's CPU has, or statistics that it keeps, in float32 only. */
const singlePrecision: ReadonlySet<string> = new Set<DifferentiableOp>([
  "Mean",
  "Tan",
  "Asin",
  "Acos",
  "Atan",
  "Sinh",
  "Cosh",
  "Asinh",
  "Acosh",
  "Atanh",
  "Erf",
  "Softplus",
  "Softsign",
  "LeakyRelu",
  "ThresholdedRelu",
  "Elu",
  "Selu",
  "Celu",
  "PRelu",
  "HardSigmoid",
  "HardSwish",
  "Gelu",
  "com.microsoft.Gelu",
  "com.microsoft.QuickGelu",
  "Mish",
  "Cast",
  "CastLike",
  "Conv",
  "ConvTranspose",
  "AveragePool",
  "GlobalAveragePool",
  "GlobalMaxPool",
  "Resize",
  "LayerNormalization",
  "InstanceNormalization",
  "GroupNormalization",
  "MeanVarianceNormalization",
]);

/** Operator sets before which an operator, or a mode that its cases use, does not exist. */
const since: Readonly<Partial<Record<DifferentiableOp, number>>> = { Pad: 19, Gelu: 20, RMSNormalization: 23 };

/** Operators that ONNX Runtime's CPU cannot run in float16, or whose sums it cannot. */
const notInHalf: ReadonlySet<string> = new Set<DifferentiableOp>([
  "Celu",
  "MeanVarianceNormalization",
  "ScatterElements",
  "ScatterND",
]);

const draws = 8;

for (const [op, writes] of Object.entries(cases))
  describe(op, () => {
    // Float64 differences are limited by attributes, which ONNX stores as float32.
    const [dtype, tolerance] = singlePrecision.has(op) ? (["float32", 2e-4] as const) : (["float64", 1e-7] as const);
    const opset = (draw: number): number => Math.max(18 + (draw % 4), since[op as DifferentiableOp] ?? 18);
    for (const [name, write] of Object.entries(writes)) {
      it(`agrees with finite differences, to second order: ${name}`, async () => {
        for (let draw = 0; draw < draws; draw++)
          await checkGradient(op, write, new Rng([2026, draw]), dtype, opset(draw), tolerance);
      });

      it.skipIf(notInHalf.has(op))(`agrees in float16 with itself: ${name}`, async () => {
        await checkHalfGradient(op, write, () => new Rng(2026), opset(0), 1e-2);
      });
    }
  });
