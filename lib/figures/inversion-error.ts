import type { Tensor } from "../tensor/tensor.js";
import { type ErrorCurvesOptions, errorCurves } from "./error-curves.js";
import type { Figure } from "./figure.js";
import { numberText } from "./text.js";

/** How well inverted pictures come back. */
export interface InversionErrors {
  /** Inversion steps, one per column. */
  readonly steps: readonly number[];
  /** Guidance scales of the reconstruction, one per row. */
  readonly guidanceScales: readonly number[];
  /** Reconstruction error, [guidance scale, step], float32, at least 0. */
  readonly error: Tensor;
  /** Ends of its confidence intervals, in the same form. */
  readonly low?: Tensor;
  readonly high?: Tensor;
}

/**
 * Reconstruction error after inversion, over the number of steps, one curve per guidance scale, on logarithmic axes.
 * @throws RangeError if a tensor is not float32 [guidance scale, step], or errors are negative
 */
export function inversionError(errors: InversionErrors, options: Omit<ErrorCurvesOptions, "orders" | "xLabel"> = {}): Figure {
  const { steps, guidanceScales } = errors;
  const row = (name: "error" | "low" | "high", r: number): Float32Array | undefined => {
    const tensor = errors[name];
    if (tensor === undefined) return undefined;
    const [rows, columns] = tensor.shape;
    if (tensor.dtype !== "float32" || tensor.shape.length !== 2 || rows !== guidanceScales.length || columns !== steps.length)
      throw new RangeError(
        `inversionError: expected ${name} float32 [${guidanceScales.length} guidance scales, ${steps.length} steps], got ${tensor}`,
      );
    return tensor.row(r).data as Float32Array;
  };
  return errorCurves(
    guidanceScales.map((scale, r) => {
      const [low, high] = [row("low", r), row("high", r)];
      return {
        name: `guidance ${numberText(scale)}`,
        x: steps,
        error: row("error", r)!,
        ...(low && high && { low, high }),
      };
    }),
    { title: "Inversion error", yLabel: "reconstruction error", ...options, xLabel: "inversion steps" },
  );
}
