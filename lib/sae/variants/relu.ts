import { countSinceFired, deadMask, firingCounter, sinceFired } from "../dead-features.js";
import { decode, preActivations, type SaeVariant } from "../variant.js";

/** Name of the carried count of steps, from which the penalty's rise is computed. */
const stepsDone = "stepsDone";

/**
 * ReLU with an L1 penalty: z = ReLU(W_enc(x − b_dec) + b_enc). Loss per vector: ‖x − x̂‖² + λ·Σ_f z_f·‖W_dec,f‖, so
 * that shrinking codes while growing the decoder does not pay.
 * @see Templeton et al. 2024, "Scaling Monosemanticity", transformer-circuits.pub
 */
export const relu: SaeVariant = {
  architecture: "standard",
  decoderNorm: 0.1,
  fixedNorm: false,

  check() {},

  encode: (g, x, weights) => preActivations(g, x, weights).relu(),

  carried: (config) => ({ ...firingCounter(config), [stepsDone]: { shape: [], start: 0 } }),

  step(g, x, weights, carried, config) {
    const [batch, width] = x.dims as [number, number];
    const counter = carried[sinceFired]!;
    const codes = preActivations(g, x, weights).relu();
    const miss = decode(g, codes, weights).sub(x);
    const squared = g.op("ReduceSumSquare", [miss, g.ints([0, 1])], { keepdims: 0 }).mul(1 / batch);
    const norms = weights.W_dec.square().sum([1]).add(1e-12).sqrt();
    const rise = carried[stepsDone]!.add(1)
      .mul(1 / Math.max(1, config.sparsityWarmup))
      .minimum(1);
    const penalty = codes
      .mul(norms)
      .sum()
      .mul(rise)
      .mul(config.sparsityCoefficient / batch);
    return {
      loss: squared.add(penalty),
      metrics: {
        mse: squared.mul(1 / width),
        l0: codes
          .sign()
          .sum()
          .mul(1 / batch),
        dead: deadMask(g, counter, config).cast("float32").mean(),
      },
      carried: {
        [sinceFired]: countSinceFired(counter, codes.max([0]).sign(), batch),
        [stepsDone]: carried[stepsDone]!.add(1),
      },
    };
  },
};
