import { float32 } from "../../tensor/index.js";
import { mseLoss } from "../../train/index.js";
import { auxK, countSinceFired, deadMask, firingCounter, sinceFired } from "../dead-features.js";
import { checkK, decode, preActivations, type SaeVariant } from "../variant.js";

/** Name of the carried running average of the smallest code kept. */
const smallestKept = "smallestKept";
const averagingRate = 0.01;

/**
 * BatchTopK: the k·batch largest of ReLU(W_enc(x − b_dec) + b_enc) over a whole batch, so that vectors share their
 * budget. One vector at a time, a threshold takes the batch's place: the running average of the smallest code kept.
 * Loss: mean squared error + AuxK.
 * @see Bussmann et al. 2024, arXiv:2412.06410
 */
export const batchTopK: SaeVariant = {
  architecture: "jumprelu",
  decoderNorm: 1,
  fixedNorm: true,

  // one that was loaded needs no k: it has its threshold
  check(config) {
    if (config.k !== undefined) checkK(config, false);
  },

  encode(g, x, weights) {
    const pre = preActivations(g, x, weights);
    return pre.relu().mul(pre.greater(weights.threshold!).cast("float32"));
  },

  carried: (config) => ({ ...firingCounter(config), [smallestKept]: { shape: [], start: -1 } }),

  step(g, x, weights, carried, config) {
    const [batch, width] = x.dims as [number, number];
    const { features, auxCoefficient } = config;
    const kept = Math.round(config.k! * batch);
    const counter = carried[sinceFired]!;
    const dead = deadMask(g, counter, config);

    const pre = preActivations(g, x, weights);
    const positive = pre.relu();
    const [largest] = g.ops("TopK", [positive.reshape([-1]), g.ints([kept])], { axis: 0, largest: 1, sorted: 0 }, 2);
    const infinity = g.full([kept], Number.POSITIVE_INFINITY);
    const smallest = g.op("ReduceMin", [g.where(largest!.greater(0), largest!, infinity), g.ints([0])], { keepdims: 0 });
    const keeps = g.op("GreaterOrEqual", [positive, smallest]).cast("float32");
    const codes = positive.mul(keeps);
    const reconstruction = decode(g, codes, weights);

    const mse = mseLoss(g, reconstruction, x);
    const { W_enc, b_enc, W_dec, b_dec } = weights;
    const [aux] =
      auxCoefficient === 0
        ? []
        : g.composite([W_enc, b_enc, W_dec, b_dec], () => {
            const inputs = { centred: x.sub(b_dec), pre, miss: reconstruction.sub(x), dead, weights };
            const { loss, gradients } = auxK(g, inputs, config);
            return {
              outputs: [loss],
              vjp: ([d]) => {
                const zeros = {
                  W_enc: g.full([features, width], 0),
                  b_enc: g.full([features], 0),
                  W_dec: g.full([features, width], 0),
                  b_dec: g.full([width], 0),
                };
                const part = gradients(d!).addTo(zeros);
                return [part.W_enc, part.b_enc, part.W_dec, part.b_dec];
              },
            };
          });
    const average = carried[smallestKept]!;
    const moved = average.mul(1 - averagingRate).add(smallest.mul(averagingRate));
    return {
      loss: aux === undefined ? mse : mse.add(aux),
      metrics: {
        mse,
        l0: keeps.sum().mul(1 / batch),
        dead: dead.cast("float32").mean(),
        threshold: moved,
      },
      carried: {
        [sinceFired]: countSinceFired(counter, keeps.max([0]), batch),
        [smallestKept]: g.where(average.less(0), smallest, moved),
      },
    };
  },

  finish(carried, { features }) {
    const threshold = Number(carried[smallestKept]!.data[0]);
    return { threshold: float32(new Float32Array(features).fill(threshold)) };
  },
};
