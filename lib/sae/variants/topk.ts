import type { GraphBuilder, Value } from "../../program/index.js";
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
   * Only k of F codes differ from 0, so rows of the decoder are gathered rather than multiplied through, a few vectors
   * at a time: what is gathered is used forward and backward while it is in the cache. Weight gradients are dense
   * products all the same, which beat scattered sums; the codes are laid out with features first for them, so that no
   * operand needs transposing.
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
    const [top, indices] = g.ops("TopK", [pre, g.ints([k])], { axis: 1, largest: 1, sorted: 0 }, 2) as [Value, Value];
    const values = top.relu();
    const firing = values.sign();

    const [mse, aux] = g.composite([W_enc, b_enc, W_dec, b_dec], () => {
      const { miss, along } = sparseDecode(g, { centred, indices, values, W_dec });
      const scale = 1 / (batch * width);
      const squares = g.op("ReduceSumSquare", [miss, g.ints([0, 1])], { keepdims: 0 }).mul(scale);
      const auxiliary = auxCoefficient > 0 ? auxK(g, { centred, pre, miss, dead, weights }, config) : undefined;
      return {
        outputs: auxiliary === undefined ? [squares] : [squares, auxiliary.loss],
        vjp: ([dSquares, dAux]) => {
          const factor = dSquares!.mul(2 * scale);
          const d = miss.mul(factor);
          const dTop = along.mul(firing).mul(factor);
          const position = indices.transpose([1, 0]);
          const idle = idleColumns(batch);
          const byFeature = (v: Value): Value =>
            g.op("ScatterElements", [g.full([features, batch + idle], 0), position, v.transpose([1, 0])], { axis: 0 });
          const padded = (v: Value): Value => (idle === 0 ? v : v.pad([0, 0, idle, 0]));
          const bias = g.op("ScatterElements", [g.full([features], 0), flat(indices), flat(dTop)], { axis: 0, reduction: "add" });
          const whole = {
            W_enc: g.gemm(byFeature(dTop), padded(centred)),
            b_enc: bias,
            W_dec: g.gemm(byFeature(values), padded(d)),
            b_dec: d.sum([0]).sub(bias.reshape([1, features]).matmul(W_enc).reshape([width])),
          };
          const all = auxiliary === undefined ? whole : auxiliary.gradients(dAux!).addTo(whole);
          return [all.W_enc, all.b_enc, all.W_dec, all.b_dec];
        },
      };
    });

    const fired = g.op("ScatterElements", [g.full([features], 0), flat(indices), flat(firing)], { axis: 0, reduction: "max" });
    return {
      loss: aux === undefined ? mse! : mse!.add(aux),
      metrics: { mse: mse!, l0: firing.sum().mul(1 / batch), dead: dead.cast("float32").mean() },
      carried: { [sinceFired]: countSinceFired(counter, fired, batch) },
    };
  },
};

function flat(v: Value): Value {
  return v.reshape([v.size]);
}

/** Bytes of gathered decoder rows at a time: what a core's own cache holds. */
const gatheredBytes = 2 ** 21;

/**
 * x̂ − x, and its product with each decoder row in use.
 * @returns miss [batch, d] and along [batch, k]
 */
function sparseDecode(
  g: GraphBuilder,
  { centred, indices, values, W_dec }: { centred: Value; indices: Value; values: Value; W_dec: Value },
): { miss: Value; along: Value } {
  const [batch, width] = centred.dims as [number, number];
  const k = indices.dim(1);
  const rows = Math.max(1, Math.min(batch, Math.floor(gatheredBytes / (4 * k * width))));
  const lengths = Array.from({ length: Math.ceil(batch / rows) }, (_, i) => Math.min(rows, batch - i * rows));
  const parts = (v: Value): Value[] => (lengths.length === 1 ? [v] : v.split(0, lengths));
  const [x, z] = [parts(centred), parts(values)];
  const decoded = parts(indices).map((index, i) => {
    const atoms = W_dec.gather(index);
    const n = lengths[i]!;
    const miss = z[i]!.reshape([n, 1, k]).matmul(atoms).reshape([n, width]).sub(x[i]!);
    return { miss, along: atoms.matmul(miss.reshape([n, width, 1])).reshape([n, k]) };
  });
  return {
    miss: g.concat(
      decoded.map((part) => part.miss),
      0,
    ),
    along: g.concat(
      decoded.map((part) => part.along),
      0,
    ),
  };
}

/**
 * Empty columns that keep the rows of a [features, batch] matrix from lying a power of two of bytes apart: such rows
 * evict one another from the cache, which slows the matrix product by a third.
 */
function idleColumns(batch: number): number {
  return batch % 128 === 0 ? 16 : 0;
}
