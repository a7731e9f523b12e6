import { describe, expect, it } from "vitest";
import { matchDictionaries, saeBaselines, type TrainSaeOptions, trainSae } from "../../../lib/sae/index.js";
import { planted } from "./planted.js";

/** PROTOCOL: d = 64, 256 planted features of which 5 are active, k = 8. */
describe("a TopK SAE on planted features", () => {
  const { vectors, dictionary } = planted({ count: 8192, width: 64, atoms: 256, active: 5, seed: 1 });
  const training: TrainSaeOptions = {
    features: 256,
    k: 8,
    steps: 4000,
    batchSize: 256,
    learningRate: 1e-3,
    warmup: 0,
    cooldown: 0,
    stepsPerRun: 50,
    session: { threads: 1 },
  };

  it("finds them: FVU below 0.13, L0 8, none dead, MMCS above 0.93, beside its baselines", async () => {
    await using sae = await trainSae(vectors, training);
    const metrics = await sae.metrics(vectors);
    const { mmcs, recovered } = matchDictionaries(dictionary, sae.weights.W_dec);
    const baselines = await saeBaselines(vectors, vectors, { training: { ...training, steps: 400 }, seeds: [0] });
    console.log({ fvu: metrics.fvu, l0: metrics.l0, dead: metrics.deadFraction, mmcs, recovered }, baselines);
    expect(metrics.fvu).toBeLessThan(0.13);
    expect(metrics.l0).toBeCloseTo(8, 1);
    expect(metrics.deadFraction).toBe(0);
    expect(mmcs).toBeGreaterThan(0.93);
    expect(recovered).toBeGreaterThan(0.9);
    const fvu = (name: string): number => baselines.find((b) => b.name === name)!.fvu;
    expect(fvu("mean predictor")).toBe(1);
    expect(fvu("PCA, 8 components")).toBeGreaterThan(0.6);
    expect(fvu("PCA, 8 components")).toBeLessThan(0.85);
    expect(fvu("random weights")).toBeGreaterThan(0.5);
    expect(fvu("shuffled data")).toBeGreaterThan(3 * metrics.fvu);
  }, 900_000);
});
