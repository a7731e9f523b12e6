import type { Activation, CustomReduction } from "../hooks/index.js";
import { Tensor, toFloat32 } from "../tensor/index.js";
import { activationVectors } from "./activation-vectors.js";
import type { Sae } from "./sae.js";

/** One object per SAE and number of codes, so that captures share their compiled session. */
const reductions = new WeakMap<Sae, Map<number, CustomReduction>>();

/**
 * A capture's reduction that encodes in the model's graph: codes [batch, token, feature] of the vectors at every place, or
 * with `top` the largest ones only, [batch, token, 2·top], which `topCodes` takes apart.
 * @throws RangeError if `top` is outside 1…features; when it runs, if the activation has other channels than the SAE
 */
export function encodeWith(sae: Sae, { top }: { readonly top?: number } = {}): CustomReduction {
  const { features, width } = sae.config;
  if (top !== undefined && !(Number.isInteger(top) && top >= 1 && top <= features))
    throw new RangeError(`encodeWith: top must be a whole number in 1…${features}, got ${top}`);
  const known = reductions.get(sae) ?? new Map<number, CustomReduction>();
  reductions.set(sae, known);
  const reduction = known.get(top ?? 0) ?? {
    name: `codes by SAE ${sae.digest.slice(0, 12)}`,
    axes: ["batch", "token", "feature"] as const,
    program: (x, g, point) => {
      const { vectors } = activationVectors(x.cast("float32"), point, width);
      const rows = sae.encoder(g, vectors.reshape([-1, width]));
      const places = g.op("Shape", [vectors]).slice(0, 0, 2);
      const codes = g.op("Reshape", [rows, g.concat([places, g.ints([features])], 0)]);
      if (top === undefined) return codes;
      const [values, indices] = g.ops("TopK", [codes, g.ints([top])], { axis: 2 }, 2);
      return g.concat([values!, indices!.cast("float32")], 2);
    },
  };
  known.set(top ?? 0, reduction);
  return reduction;
}

/**
 * Codes captured with `encodeWith(sae, { top })`, strongest first: their values and the features they are of, both
 * [..., token, top].
 * @throws TypeError for codes that left the runtime in float16, which does not hold the numbers of features
 */
export function topCodes({ hookPoint, tensor }: Activation): {
  readonly values: Tensor<"float32">;
  readonly features: Tensor<"int32">;
} {
  if (tensor.dtype !== "float32")
    throw new TypeError(`topCodes ${hookPoint.path}: expected float32, got ${tensor}; capture without dtype`);
  const { data, shape } = toFloat32(tensor);
  const top = shape.at(-1)! / 2;
  const rows = data.length / (2 * top);
  const values = new Float32Array(rows * top);
  const features = new Int32Array(rows * top);
  for (let row = 0; row < rows; row++) {
    values.set(data.subarray(2 * row * top, (2 * row + 1) * top), row * top);
    features.set(data.subarray((2 * row + 1) * top, (2 * row + 2) * top), row * top);
  }
  const kept = [...shape.slice(0, -1), top];
  return { values: new Tensor("float32", values, kept), features: new Tensor("int32", features, kept) };
}
