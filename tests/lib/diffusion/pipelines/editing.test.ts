import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  between,
  classifierGuidance,
  classifierLogProbability,
  combine,
  euler,
  gaussianDenoiser,
  inversionErrors,
  invert,
  lerp,
  load,
  mixtureDenoiser,
  nullText,
  type Pipeline,
  type PredictionType,
  preconditioning,
  slerp,
} from "../../../../lib/diffusion/index.js";
import { planOf } from "../../../../lib/diffusion/schedules/sampling-plan.js";
import { at } from "../../../../lib/hooks/index.js";
import { GraphBuilder } from "../../../../lib/program/index.js";
import { closeRuntime } from "../../../../lib/runtime/index.js";
import { arrayFromBytes, float32, Rng, type Tensor, torchRandn } from "../../../../lib/tensor/index.js";
import { writeSmallPipeline } from "./small-pipeline.js";

let pipe: Pipeline;
beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), "tweedie-editing-"));
  await writeSmallPipeline(folder);
  pipe = await load(folder);
});
afterAll(async () => {
  await pipe.release();
  await closeRuntime();
});

const quick = { steps: 4, seed: 7, guidanceScale: 3, decode: false } as const;
const picture = { latents: torchRandn(1, [1, 4, 4, 4]) };

function distance(a: Tensor<"float32">, b: Tensor<"float32">): number {
  return Math.sqrt(a.data.reduce((sum, v, i) => sum + (v - b.data[i]!) ** 2, 0) / b.data.reduce((sum, v) => sum + v * v, 0));
}

describe("interpolation", () => {
  it("slerp follows the great circle: halfway between two axes lies (1, 1)/√2", () => {
    const [half] = [slerp(float32([1, 0]), float32([0, 1]), 0.5).data];
    expect([...half!]).toEqual([expect.closeTo(Math.SQRT1_2, 6), expect.closeTo(Math.SQRT1_2, 6)]);
    // A third of a right angle, and norms 2 and 1 in between: sin 60°·2 and sin 30°·1.
    expect([...slerp(float32([2, 0]), float32([0, 1]), 1 / 3).data]).toEqual([
      expect.closeTo(Math.sqrt(3), 5),
      expect.closeTo(0.5, 5),
    ]);
  });
  it("slerp has both ends exactly, and keeps the norm of noise", () => {
    const [a, b] = [torchRandn(1, [1, 4, 16, 16]), torchRandn(2, [1, 4, 16, 16])];
    expect(slerp(a, b, 0).data).toEqual(a.data);
    expect(slerp(a, b, 1).data).toEqual(b.data);
    const norm = (t: Tensor<"float32">): number => Math.sqrt(t.data.reduce((sum, v) => sum + v * v, 0) / t.size);
    expect(norm(slerp(a, b, 0.5))).toBeCloseTo(1, 1);
    expect(norm(lerp(a, b, 0.5))).toBeCloseTo(Math.SQRT1_2, 1);
  });
  it("slerp mixes parallel tensors linearly", () => {
    expect([...slerp(float32([1, 1]), float32([3, 3]), 0.25).data]).toEqual([1.5, 1.5]);
  });
  it("combine does arithmetic, between makes a row of frames", () => {
    expect([...combine([float32([5, 1]), float32([2, 2]), float32([1, 0])], [1, -1, 1]).data]).toEqual([4, -1]);
    const frames = between(float32([0, 1], [1, 2]), float32([4, 3], [1, 2]), 3, lerp);
    expect(frames.shape).toEqual([3, 2]);
    expect([...frames.data]).toEqual([0, 1, 2, 2, 4, 3]);
    expect(() => combine([float32([1]), float32([1, 2])], [1, 1])).toThrow(/one shape/);
    expect(() => slerp(float32([1]), float32([1, 2]), 0)).toThrow(RangeError);
  });
});

describe("revise", () => {
  it("has the last word on every step's state, and the next step starts from it", async () => {
    const denoiser = gaussianDenoiser([0, 0], [1, 1]);
    const seen: number[] = [];
    const states: number[][] = [];
    const revise = (x: Tensor<"float32">, { sigmaNext }: { sigmaNext: number }): Tensor<"float32"> => {
      seen.push(sigmaNext);
      return float32([x.data[0]!, 10 + sigmaNext], x.shape);
    };
    for await (const step of euler(denoiser, float32([3, 3], [1, 2]), Float64Array.of(2, 1, 0.5), { revise })) {
      states.push([...step.x.data]);
    }
    expect(seen).toEqual([1, 0.5]);
    expect(states.map((s) => s[1])).toEqual([11, 10.5]);
    // The kept coordinate follows the flow x' = x + (σ' − σ)·x·σ/(1 + σ²): 3·(1 − 2/5) = 1.8, 1.8·(1 − 0.5/2) = 1.35.
    expect(states.map((s) => s[0])).toEqual([expect.closeTo(1.8, 5), expect.closeTo(1.35, 5)]);
  });
});

describe("asyrp", () => {
  it("is ddim where the edit changes nothing", async () => {
    const plain = await pipe.generate("a red circle", { ...quick, sampler: "ddim" });
    const same = await pipe.generate("a red circle", {
      ...quick,
      asyrp: { edits: [at("mid_block").add([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])] },
    });
    expect(distance(same.latents, plain.latents)).toBeLessThan(1e-6);
  });
  it("changes x̂₀ and leaves the direction: one step by hand", async () => {
    const edit = at("mid_block").scale(0);
    const [one, changed, asymmetric] = await Promise.all([
      pipe.generate("a red circle", { ...quick, steps: [500] }),
      pipe.generate("a red circle", { ...quick, steps: [500], edits: [edit] }),
      pipe.generate("a red circle", { ...quick, steps: [500], asyrp: { edits: [edit] } }),
    ]);
    expect(distance(changed.denoised, one.denoised)).toBeGreaterThan(1e-4);
    expect(distance(asymmetric.denoised, changed.denoised)).toBeLessThan(1e-6);
    // x' = x̂₀ + σ'·(x − x̂₀ of the unedited)/σ, as a state of the process
    const [sigma, final] = one.sigmas as unknown as [number, number];
    const x = torchRandn(7, [1, 4, 4, 4]).data.map((v) => v * Math.sqrt(1 + sigma ** 2));
    const signal = 1 / Math.sqrt(1 + final ** 2);
    for (const [i, value] of asymmetric.finalLatents.data.entries()) {
      const eps = (x[i]! - one.denoised.data[i]!) / sigma;
      expect(value).toBeCloseTo(signal * (changed.denoised.data[i]! + final * eps), 4);
    }
  });
  it("ends its edits at a timestep and takes no other sampler", async () => {
    const edits = [at("mid_block").scale(0)];
    const plain = await pipe.generate("a red circle", quick);
    const never = await pipe.generate("a red circle", { ...quick, asyrp: { edits, until: 1001 } });
    expect(distance(never.latents, plain.latents)).toBeLessThan(1e-6);
    await expect(pipe.generate("", { ...quick, asyrp: { edits }, sampler: "euler" })).rejects.toThrow(/asyrp is a form of ddim/);
  });
});

describe("inversion", () => {
  it("comes back to the picture, the nearer the more often each step is iterated", async () => {
    const errorAfter = async (fixedPointIterations: number): Promise<number> => {
      const inversion = await invert(pipe, picture, { steps: 5, fixedPointIterations });
      return distance((await inversion.reconstruct(undefined, { decode: false })).finalLatents, picture.latents);
    };
    const errors = [await errorAfter(0), await errorAfter(1), await errorAfter(4), await errorAfter(12)];
    expect(errors[2]).toBeLessThan(errors[0]! / 2);
    expect(errors[3]).toBeLessThan(1e-4);
  });
  it("reports its errors for every number of steps and scale", async () => {
    const errors = await inversionErrors(pipe, picture, {
      prompts: "a red circle",
      steps: [3, 6],
      guidanceScales: [1, 3],
      fixedPointIterations: 12,
    });
    expect(errors.latentError).toHaveLength(4);
    expect(errors.mean("latentError", 1, 0)).toBeLessThan(1e-3);
    expect(errors.mean("latentError", 1, 1)).toBeGreaterThan(errors.mean("latentError", 1, 0));
    expect(errors.mean("psnr", 1, 0)).toBeGreaterThan(errors.mean("psnr", 1, 1));
    expect(String(errors.table().html)).toContain("guidance scale");
  });
  it("with null text comes back under guidance too", async () => {
    const prompts = "a red circle";
    const inversion = await invert(pipe, picture, { prompts, steps: 4, fixedPointIterations: 8 });
    const guided = await inversion.reconstruct(prompts, { guidanceScale: 6, decode: false });
    const { states, losses, unoptimized } = await nullText(pipe, inversion, {
      guidanceScale: 6,
      iterations: 60,
      tolerance: 1e-9,
    });
    const corrected = await inversion.reconstruct(prompts, { guidanceScale: 6, nullText: states, decode: false });
    expect(states.shape).toEqual([4, 1, 77, 8]);
    expect(losses.at(-1)).toBeLessThan(unoptimized.at(-1)!);
    expect(distance(corrected.finalLatents, picture.latents)).toBeLessThan(distance(guided.finalLatents, picture.latents) / 3);
  });
  it("starts in a picture and takes no strength", async () => {
    await expect(pipe.generate("", { ...quick, sampler: "ddim-inverse" })).rejects.toThrow(/starts in a picture/);
    await expect(pipe.generate("", { ...quick, sampler: "ddim-inverse", image: picture, strength: 0.5 })).rejects.toThrow(
      RangeError,
    );
  });
});

describe("classifier guidance", () => {
  /** log of the share of each of two Gaussians N(±2, 1) in a state x₀ + σε; the "timestep" is σ. */
  const logShare =
    (component: 0 | 1) =>
    (x: ReturnType<GraphBuilder["input"]>, g: GraphBuilder, sigma: ReturnType<GraphBuilder["input"]>): typeof x => {
      const variance = sigma.square().add(1).reshape([-1, 1]);
      const logits = g.concat([x.sub(2).square().div(variance).mul(-0.5), x.add(2).square().div(variance).mul(-0.5)], 1);
      return logits.logSoftmax(1).slice(1, component, component + 1);
    };
  const lookup = { timestepOf: (sigma: number) => sigma, signal: () => 1 };
  const context = {
    plan: planOf({ sigmas: Float64Array.of(3, 1, 0), timesteps: Float64Array.of(3, 1) }, lookup),
    predictionType: "epsilon" as PredictionType,
  };

  it("with the right classifier of noisy states samples the class: Bayes' rule, exactly", async () => {
    const mixture = mixtureDenoiser([
      { weight: 0.5, mean: [2], deviation: 1 },
      { weight: 0.5, mean: [-2], deviation: 1 },
    ]);
    const guided = classifierGuidance(pipe, logShare(0), { scale: 1, sees: "state" })(mixture, context);
    const one = gaussianDenoiser([2], [1]);
    for (const sigma of [0.5, 1, 3]) {
      const x = float32([-3, -0.5, 0, 1, 4], [5, 1]);
      const [found, exact] = [await guided(x, sigma), await one(x, sigma)];
      for (const [i, v] of exact.data.entries()) expect(found.data[i]).toBeCloseTo(v, 4);
    }
  });
  it("moves nothing at scale 0 and outside its timesteps", async () => {
    const one = gaussianDenoiser([2], [1]);
    const x = float32([0.5, -1], [2, 1]);
    const plain = [...(await one(x, 1)).data];
    for (const options of [{ scale: 0 }, { scale: 5, timesteps: [2, 3] as const }]) {
      expect([...(await classifierGuidance(pipe, logShare(0), { ...options, sees: "state" })(one, context)(x, 1)).data]).toEqual(
        plain,
      );
    }
  });
  it("through the network is the derivative of log p(y | decoded x̂₀) by finite differences", async () => {
    const rng = new Rng(3);
    const g = new GraphBuilder();
    const images = g.input("images", "float32", ["batch", 3, 8, 8]);
    g.output(
      images.reshape([0, -1]).matmul(
        g.constant(
          float32(
            rng.normals(192 * 3).map((v) => v / 8),
            [192, 3],
          ),
        ),
      ),
      "logits",
    );
    const classifier = g.model();
    const x = torchRandn(5, [1, 4, 4, 4]);
    const { rows } = await pipe.conditioner.encode({ prompts: ["a red circle"], branch: "cond", size: [8, 8], guidanceScale: 1 });
    const one = await pipe.generate("a red circle", { steps: [400], guidanceScale: 1, noise: x, decode: false });
    const [sigma] = one.sigmas as unknown as [number];
    const signal = 1 / Math.sqrt(1 + sigma ** 2);
    const changed = await pipe.generate("a red circle", {
      steps: [400],
      guidanceScale: 1,
      noise: x,
      decode: false,
      changes: [classifierGuidance(pipe, classifierLogProbability(classifier, 1), { scale: 1 })],
    });
    const logp = async (noise: Tensor<"float32">): Promise<number> => {
      const { denoised } = await pipe.generate("a red circle", { steps: [400], guidanceScale: 1, noise, decode: false });
      const pixels = await decodedSigned(denoised.row(0));
      const logits = [0, 1, 2].map((c) => pixels.reduce((sum, v, i) => sum + v * weightsOf(classifier)[i * 3 + c]!, 0));
      const max = Math.max(...logits);
      return logits[1]! - max - Math.log(logits.reduce((sum, l) => sum + Math.exp(l - max), 0));
    };
    // The push is σ²·∂log p/∂(x₀ + σε), and the state is noise / signal.
    const push = changed.denoised.data.map((v, i) => v - one.denoised.data[i]!);
    const direction = new Rng(4).normals(64);
    const h = 1e-2;
    const moved = (sign: number): Tensor<"float32"> =>
      float32(
        x.data.map((v, i) => v + sign * h * direction[i]! * signal),
        x.shape,
      );
    const numeric = ((await logp(moved(1))) - (await logp(moved(-1)))) / (2 * h);
    const analytic = push.reduce((sum, v, i) => sum + v * direction[i]!, 0) / sigma ** 2;
    expect(analytic).toBeCloseTo(numeric, 3);
    expect(Math.abs(numeric)).toBeGreaterThan(1e-3);
    expect(rows.encoder_hidden_states).toBeDefined();
  });
  it("refuses labels that the classifier has not", () => {
    const g = new GraphBuilder();
    g.output(g.input("images", "float32", [1, 2]).mul(1), "logits");
    const program = classifierLogProbability(g.model(), 5);
    const other = new GraphBuilder();
    expect(() => program(other.input("x", "float32", [1, 2]), other, other.input("t", "float32", [1]))).toThrow(/0…1, got 5/);
  });

  const decodedSigned = async (latents: Tensor<"float32">): Promise<Float32Array> => {
    const { outputs } = await pipe.vaeDecoder!.run({
      latent_sample: float32(
        latents.data.map((v) => v / Number(pipe.latentSpace.scale)),
        [1, 4, 4, 4],
      ),
    });
    return (outputs.sample as Tensor<"float32">).data;
  };
  const weightsOf = (model: ReturnType<GraphBuilder["model"]>): Float32Array => {
    const weight = model.graph.initializers.find((w) => w.shape.join() === "192,3")!;
    const { bytes } = weight.data as { bytes: Uint8Array };
    return arrayFromBytes("float32", bytes);
  };
});

describe("preconditioning", () => {
  it("of v at σ = 1 is ε̂ = x/2 + v/√2, seen at 1/√2", () => {
    const { input, ofState, ofPrediction } = preconditioning("v_prediction", { timestepOf: () => 0 }, 1);
    expect([input, ofState, ofPrediction]).toEqual([Math.SQRT1_2, 0.5, Math.SQRT1_2].map((v) => expect.closeTo(v, 12)));
  });
});
