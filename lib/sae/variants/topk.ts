import { mseLoss } from "../../train/index.js";
import { auxK, countSinceFired, deadMask, firingCounter, sinceFired } from "../dead-features.js";
import { checkK, preActivations, type SaeVariant } from "../variant.js";

/**
 * TopK: z = the k largest of ReLU(W_enc(x − b_dec) + b_enc), zero elsewhere. Loss: mean squared error + AuxK.
 * @see Gao et al. 2024, arXiv:2406.04093
 */
export const topk: SaeVariant = {
  architecture: "topk",
  decoderNorm: 1,
  fixedNorm: true,

  check: (config) => checkK(config),

  encode(g, x, weights, { k }) {
    const pre = preActivations(g, x, weights);
    const [top, indices] = g.ops("TopK", [pre, g.ints([k!])], { axis: 1, largest: 1, sorted: 0 }, 2);
    return g.op("ScatterElements", [g.fullLike(pre, 0), indices, top!.relu()], { axis: 1 });
  },

  carried: firingCounter,

  /**
   * Only k of F codes differ from 0, so the decoder's rows are gathered rather than multiplied through. Weight
   * gradients are dense products all the same, which beat scattered sums; the codes are laid out with features first
   * for them, so that no operand needs transposing.
   */
  step(g, x, weights, carried, config) {
    const { W_enc, b_enc, W_dec, b_dec } = weights;
    const [batch, width] = x.dims as [number, number];
    const { features, auxCoefficient } = config;
    const k = config.k!;
    const counter = carried[sinceFired]!;
    const dead = deadMask(g, counter, config);

    const centred = x.sub(b_dec);
    const pre = g.gemm(centred, W_enc, { transB: true, c: b_enc });
    const [top, indices] = g.ops("TopK", [pre, g.ints([k])], { axis: 1, largest: 1, sorted: 0 }, 2) as [typeof x, typeof x];
    const values = top.relu();
    const firing = values.sign();

    const [reconstruction, aux] = g.composite([W_enc, b_enc, W_dec, b_dec], () => {
      const rows = W_dec.gather(indices);
      const decoded = values.reshape([batch, 1, k]).matmul(rows).reshape([batch, width]).add(b_dec);
      const auxiliary =
        auxCoefficient > 0 ? auxK(g, { centred, pre, residual: x.sub(decoded), dead, weights }, config) : undefined;
      return {
        outputs: auxiliary === undefined ? [decoded] : [decoded, auxiliary.loss],
        vjp: ([d, dAux]) => {
          const dTop = rows
            .matmul(d!.reshape([batch, width, 1]))
            .reshape([batch, k])
            .mul(firing);
          const position = indices.transpose([1, 0]);
          const byFeature = (v: typeof x): typeof x =>
            g.op("ScatterElements", [g.full([features, batch], 0), position, v.transpose([1, 0])], { axis: 0 });
          const bias = g.op("ScatterElements", [g.full([features], 0), indices.reshape([batch * k]), dTop.reshape([batch * k])], {
            axis: 0,
            reduction: "add",
          });
          const whole = {
            W_enc: g.gemm(byFeature(dTop), centred),
            b_enc: bias,
            W_dec: g.gemm(byFeature(values), d!),
            b_dec: d!.sum([0]).sub(bias.reshape([1, features]).matmul(W_enc).reshape([width])),
          };
          const all = auxiliary === undefined ? whole : auxiliary.gradients(dAux!).addTo(whole);
          return [all.W_enc, all.b_enc, all.W_dec, all.b_dec];
        },
      };
    });

    const mse = mseLoss(g, reconstruction!, x);
    const flat = [batch * k];
    const fired = g.op("ScatterElements", [g.full([features], 0), indices.reshape(flat), firing.reshape(flat)], {
      axis: 0,
      reduction: "max",
    });
    return {
      loss: aux === undefined ? mse : mse.add(aux),
      metrics: { mse, l0: firing.sum().mul(1 / batch), dead: dead.cast("float32").mean() },
      carried: { [sinceFired]: countSinceFired(counter, fired, batch) },
    };
  },
};
