import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type TrainSaeOptions, trainSae } from "../../../lib/sae/index.js";
import { arrayFromBytes, float32, type Tensor } from "../../../lib/tensor/index.js";
import { adamw } from "../../../lib/train/index.js";

type Weights = Record<"W_enc" | "b_enc" | "W_dec" | "b_dec", string>;
interface Golden {
  readonly setup: Record<"n" | "width" | "features" | "k" | "batch" | "steps" | "learningRate" | "deadAfter", number>;
  readonly X: string;
  readonly runs: Record<string, { loss: number[]; l0: number[]; dead: number[]; start: Weights; end: Weights }>;
}

const golden = JSON.parse(readFileSync("tests/golden/sae/training.json", "utf8")) as Golden;
const { n, width, features, k, batch, steps, learningRate, deadAfter } = golden.setup;

function unpack(text: string, shape: readonly number[]): Tensor<"float32"> {
  return float32(arrayFromBytes("float32", Buffer.from(text, "base64")), shape);
}
function unpackWeights(weights: Weights): Record<keyof Weights, Tensor<"float32">> {
  return {
    W_enc: unpack(weights.W_enc, [features, width]),
    b_enc: unpack(weights.b_enc, [features]),
    W_dec: unpack(weights.W_dec, [features, width]),
    b_dec: unpack(weights.b_dec, [width]),
  };
}

const runs: Record<string, Partial<TrainSaeOptions>> = {
  topk: { auxCoefficient: 0 },
  "topk, clipped": { auxCoefficient: 0, clipNorm: 0.01 },
  "topk, AuxK linear": { auxActivation: "linear" },
  "topk, AuxK relu": { auxActivation: "relu" },
  "batch-topk": { variant: "batch-topk", auxActivation: "linear" },
  relu: { variant: "relu", sparsityCoefficient: 0.3 },
};

describe("training goes step by step as in PyTorch", () => {
  const X = unpack(golden.X, [n, width]);
  it.each(Object.keys(runs))("%s", async (name) => {
    const run = golden.runs[name]!;
    await using sae = await trainSae(X, {
      features,
      k,
      steps,
      batchSize: batch,
      learningRate,
      warmup: 0,
      cooldown: 0,
      clipNorm: 0,
      deadAfter,
      scale: 1,
      inOrder: true,
      stepsPerRun: 8,
      optimizer: adamw(),
      start: unpackWeights(run.start),
      session: { threads: 1 },
      ...runs[name],
    });
    const { loss, l0, dead } = sae.history!;
    for (let i = 0; i < steps; i++) {
      expect(loss[i], `loss of step ${i}`).toBeCloseTo(run.loss[i]!, 5);
      expect(l0[i], `L0 of step ${i}`).toBeCloseTo(run.l0[i]!, 1);
      expect(dead[i], `dead at step ${i}`).toBeCloseTo(run.dead[i]!, 6);
    }
    for (const [weight, expected] of Object.entries(unpackWeights(run.end))) {
      const got = sae.weights[weight as keyof Weights].data;
      const worst = expected.data.reduce((max, x, i) => Math.max(max, Math.abs(x - got[i]!)), 0);
      expect(worst, weight).toBeLessThan(5e-4);
    }
  });
});
