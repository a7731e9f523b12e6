import type { GraphBuilder, Value } from "../program/index.js";
import type { SaeTrainingConfig, SaeValues } from "./variant.js";

/** Name of the carried counter: for each feature, vectors since it last fired. */
export const sinceFired = "sinceFired";

/** Carried state of variants that watch for dead features. */
export function firingCounter({ features }: SaeTrainingConfig): { [sinceFired]: { shape: readonly number[]; start: number } } {
  return { [sinceFired]: { shape: [features], start: 0 } };
}

/** Whether each feature is dead: bool [F]. */
export function deadMask(g: GraphBuilder, counter: Value, { deadAfter }: SaeTrainingConfig): Value {
  return g.op("GreaterOrEqual", [counter, g.scalar(deadAfter)]);
}

/** The counter after a batch. @param fired [F], 1 where a feature fired in it */
export function countSinceFired(counter: Value, fired: Value, batch: number): Value {
  return counter.add(batch).mul(fired.neg().add(1));
}

/** What the auxiliary loss looks at. */
export interface AuxKInputs {
  /** x − b_dec [batch, d] */
  readonly centred: Value;
  /** [batch, F] */
  readonly pre: Value;
  /** x̂ − x [batch, d]; taken as a constant */
  readonly miss: Value;
  /** bool [F] */
  readonly dead: Value;
  readonly weights: SaeValues;
}

/** Gradients of the auxiliary loss; those of the matrices and b_enc belong to the dead features' rows only. */
export interface AuxKGradients {
  /** Adds the rows' gradients to a whole weight's gradient. */
  addTo(whole: { readonly W_enc: Value; readonly b_enc: Value; readonly W_dec: Value; readonly b_dec: Value }): {
    readonly W_enc: Value;
    readonly b_enc: Value;
    readonly W_dec: Value;
    readonly b_dec: Value;
  };
}

/**
 * The loss that revives dead features by letting the best of them explain what the others left:
 * α·Σ‖e − W_d z_dead‖² / Σ‖e − ē‖² with e = x − x̂ held constant and z_dead the k_aux = min(d/2, dead) largest codes
 * among dead features; 0 when none is dead. Its cost is proportional to the number of dead features.
 * @see Gao et al. 2024, arXiv:2406.04093, appendix A.2
 */
export function auxK(
  g: GraphBuilder,
  { centred, pre, miss, dead, weights }: AuxKInputs,
  { auxCoefficient, auxActivation, width }: SaeTrainingConfig,
): { loss: Value; gradients(cotangent: Value): AuxKGradients } {
  const rows = g.op("NonZero", [dead.cast("float32")]).reshape([-1]);
  const count = g.op("Shape", [rows]);
  const encoder = weights.W_enc.gather(rows);
  const decoder = weights.W_dec.gather(rows);
  const ofDead = pre.gather(rows, 1);
  const [top, at] = g.ops("TopK", [ofDead, count.minimum(g.ints([width >> 1]))], { axis: 1, largest: 1, sorted: 0 }, 2);
  const scatter = (values: Value): Value => g.op("ScatterElements", [g.fullLike(ofDead, 0), at, values], { axis: 1 });
  const values = auxActivation === "relu" ? top!.relu() : top!;
  const codes = scatter(values);
  // ê − e, where e = −miss
  const left = codes.matmul(decoder).add(miss);
  const square = (v: Value): Value => g.op("ReduceSumSquare", [v, g.ints([0, 1])], { keepdims: 0 });
  const variance = square(miss.sub(miss.mean([0], true))).add(1e-20);
  const weight = count.cast("float32").reshape([]).minimum(1).mul(auxCoefficient).div(variance);
  return {
    loss: square(left).mul(weight),
    gradients: (cotangent) => ({
      addTo(whole) {
        const d = left.mul(cotangent.mul(weight).mul(2));
        const dCodes = d.matmul(decoder.transpose([1, 0]));
        const passes = auxActivation === "relu" ? codes.sign() : scatter(g.fullLike(top!, 1));
        const dPre = dCodes.mul(passes);
        const dPreT = dPre.transpose([1, 0]);
        const bias = dPre.sum([0]);
        const target = rows.reshape([-1, 1]);
        // rows are distinct: ScatterND's unsynchronised add is safe here
        const add = (to: Value, part: Value): Value => g.op("ScatterND", [to, target, part], { reduction: "add" });
        return {
          W_enc: add(whole.W_enc, dPreT.matmul(centred)),
          b_enc: add(whole.b_enc, bias),
          W_dec: add(whole.W_dec, codes.transpose([1, 0]).matmul(d)),
          b_dec: whole.b_dec.sub(bias.reshape([1, -1]).matmul(encoder).reshape([width])),
        };
      },
    }),
  };
}
