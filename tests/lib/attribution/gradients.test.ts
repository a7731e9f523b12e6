import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  attributionPatching,
  classifierLogit,
  denoisedOf,
  gradients,
  gradientTimesActivation,
  innerProduct,
  integratedGradients,
  meanOf,
  type NetworkCall,
  networkCall,
  ofPicture,
  type PipelineCall,
  squaredDistance,
  squaredNorm,
} from "../../../lib/attribution/index.js";
import { load, type Pipeline } from "../../../lib/diffusion/index.js";
import { at, type Edit, HookedModel, UnknownHookPointError } from "../../../lib/hooks/index.js";
import { loadModel } from "../../../lib/onnx/index.js";
import { closeRuntime, openSession } from "../../../lib/runtime/index.js";
import { float32, type Tensor } from "../../../lib/tensor/index.js";
import { shapesFolder } from "../../../models/shapes/folder.js";
import { toyUnet } from "../hooks/toy-unet.js";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });
afterAll(() => closeRuntime());

// With x the input: conv_in 2x, down_blocks.0 6x+3 (residual 2x+1), mid_block −6x−3, up_blocks.0 −4x−2, output −40x−20.
describe("on a linear network", () => {
  const toy = new HookedModel(toyUnet(), { inputShapes: { sample: ["batch", 2, 2, 2] } });
  const callOf = (f: (i: number) => number): NetworkCall => ({
    model: toy,
    feeds: {
      sample: float32(
        Float32Array.from({ length: 16 }, (_, i) => f(i)),
        [2, 2, 2, 2],
      ),
    },
  });
  const call = callOf((i) => i);
  const everywhere = ["sample", "conv_in", "down_blocks.0", "down_blocks.0:res0", "mid_block", "up_blocks.0", "out_sample"];
  afterAll(() => toy.release());

  it("the gradient of the mean is each activation's factor to the output, over 16", async () => {
    const result = await gradients(call, { of: meanOf(), at: everywhere });
    const factors = result.points.map((p) => p.gradient.data.map((v) => 16 * v));
    expect(factors).toEqual([-40, -20, -10, -20, 10, 10, 1].map((factor) => new Float32Array(16).fill(factor)));
    expect(result.value).toBe(-40 * 7.5 - 20);
  });

  it("flows through the edits in force, and is taken at the edited activation", async () => {
    const edits = [at("mid_block").scale(0.5, { branch: "cond" })];
    const context = { step: 0, branches: ["uncond", "cond"] as const };
    const result = await gradients({ ...call, edits, context }, { of: meanOf(), at: ["down_blocks.0", "mid_block"] });
    const rows = (path: string) => [0, 8].map((i) => 16 * result.at(path).gradient.data[i]!);
    expect(rows("down_blocks.0")).toEqual([-10, -5]);
    expect(rows("mid_block")).toEqual([10, 10]);
    expect(result.at("mid_block").activation.data[8]).toBe(-3 * 8 - 1.5);
    expect(result.manifest.edits).toEqual(["mid_block × 0.5 (branch cond)"]);
  });

  it("the gradient of a square is taken where the network stands", async () => {
    const result = await gradients(call, { of: squaredNorm({ channels: [1], y: [0, 1], x: [1, 2] }), at: "conv_in" });
    // d/dh (10·(−2h − 2))² at h = 2x, for the places 5 and 13.
    const expected = Float32Array.from({ length: 16 }, (_, i) => (i === 5 || i === 13 ? -40 * (-40 * i - 20) : 0));
    expect(result.at("conv_in").gradient.data).toEqual(expected);
  });

  it("gradient × activation adds up to the scalar's linear part", async () => {
    const result = await gradientTimesActivation(call, { of: meanOf(), at: ["sample", "mid_block"] });
    expect(result.at("sample").total).toBe(-40 * 7.5);
    expect(result.at("mid_block").total).toBe(10 * (-6 * 7.5 - 3));
    expect([...result.places("sample", 1).data]).toEqual([20, 22, 24, 26].map((sum) => (-40 * sum) / 16));
  });

  it.each(["gauss-legendre", "riemann"] as const)("integrated gradients are exact with one point (%s)", async (rule) => {
    const result = await integratedGradients(call, { of: meanOf(), at: everywhere.slice(0, 6), points: 1, rule });
    for (const { completeness } of result.points) expect(completeness!.residual).toBeCloseTo(0, 4);
    expect(result.at("up_blocks.0").completeness!.difference).toBe(10 * (-4 * 7.5 - 2));
    expect(result.at("sample").attribution.data[3]).toBe((-40 * 3) / 16);
  });

  it("start from a mean, another call or given tensors", async () => {
    const options = { of: meanOf(), at: "sample", points: 1 };
    const mean = await integratedGradients(call, { ...options, baseline: "mean" });
    expect([...mean.at("sample").attribution.data.slice(4, 8)]).toEqual([-1.5, -0.5, 0.5, 1.5].map((v) => (-40 * v) / 16));
    const other = await integratedGradients(call, { ...options, baseline: callOf(() => 1) });
    expect(other.at("sample").total).toBe(-40 * 6.5);
    const sample = float32(new Float32Array(16).fill(1), [2, 2, 2, 2]);
    const given = await integratedGradients(call, { ...options, baseline: { sample } });
    expect(given.at("sample").attribution.data).toEqual(other.at("sample").attribution.data);
    await expect(integratedGradients(call, { ...options, baseline: { sample: float32([1]) } })).rejects.toThrow(
      /shape \[2, 2, 2, 2\]/,
    );
  });

  it("attribution patching is what patching does", async () => {
    const source = callOf((i) => (i * 7) % 5);
    const of = meanOf({ channels: [1] });
    const result = await attributionPatching(call, source, { of, at: everywhere });
    const scalar = async (edits: NetworkCall["edits"]) =>
      (await gradients({ ...call, edits: edits! }, { of, at: "out_sample" })).value;
    const { activations } = await toy.run(source.feeds, { capture: everywhere });
    const before = await scalar([]);
    for (const path of everywhere) {
      const patched = await scalar([at(path).replace(activations[path]!.tensor)]);
      expect(result.at(path).total).toBeCloseTo(patched - before, 3);
    }
  });

  it("attributes the difference of two predictions", async () => {
    const other = float32(new Float32Array(16).fill(-20), [2, 2, 2, 2]);
    const distance = await gradients(call, { of: squaredDistance(other), at: "sample" });
    expect(distance.at("sample").gradient.data[2]).toBe(2 * (-40 * 2) * -40);
    const along = await gradients(call, { of: innerProduct(other), at: "sample" });
    expect(along.at("sample").gradient.data[2]).toBe(800);
  });

  it("refuses hook points, rows and outputs that are not there", async () => {
    await expect(gradients(call, { of: meanOf(), at: "mid_blok" })).rejects.toThrow(UnknownHookPointError);
    await expect(gradients(call, { of: meanOf({ branch: "cond" }), at: "mid_block" })).rejects.toThrow(/no "cond" rows/);
    await expect(gradients(call, { of: meanOf({ output: "logits" }), at: "mid_block" })).rejects.toThrow(/out_sample/);
  });
});

describe("on the embedded model", () => {
  let pipe: Pipeline;
  let call: PipelineCall;
  let other: PipelineCall;
  const settings = { steps: 4, seed: 7, call: 1 };
  const points = ["down_blocks.1", "mid_block", "up_blocks.0", "up_blocks.1.attentions.0.transformer_blocks.0.attn2"];
  beforeAll(async () => {
    pipe = await load("shapes");
    call = await networkCall(pipe, "a red circle", settings);
    other = await networkCall(pipe, "a blue square", settings);
  });
  afterAll(() => pipe.release());

  it("a call of a generation gives what the generation saw", async () => {
    const run = await pipe.generate("a red circle", { steps: 4, seed: 7, decode: false, capture: ["out_sample", "mid_block"] });
    const { outputs, activations } = await pipe.network.run(call.feeds, { capture: ["mid_block"] });
    expect((outputs.out_sample as Tensor<"float32">).data).toEqual(run.activations.out_sample!.tensor.row(1).data);
    expect(activations.mid_block!.tensor.data).toEqual(run.activations.mid_block!.tensor.row(1).data);
    expect(call.at).toEqual(run.calls[1]);
    await expect(networkCall(pipe, "a red circle", { ...settings, call: 9 })).rejects.toThrow(/0…3/);
  });

  it("a call outside the guidance interval has conditional rows alone, and its x̂₀ is the generation's", async () => {
    const guidanceInterval = [0, 100] as const;
    const alone = await networkCall(pipe, "a red circle", { ...settings, guidanceInterval });
    expect(alone.branches).toEqual(["cond"]);
    expect(alone.feeds.encoder_hidden_states!.shape).toEqual([1, 24, 64]);
    const run = await pipe.generate("a red circle", { steps: 4, seed: 7, decode: false, guidanceInterval });
    const { value } = await gradients(alone, { of: (network) => denoisedOf(alone, network).square().sum(), at: "mid_block" });
    const expected = run.denoised.row(1).data.reduce((sum, v) => sum + v * v, 0);
    expect(value / expected).toBeCloseTo(1, 5);
  });

  /** The slope along the gradient, by central differences, over the gradient's length: 1 if the gradient is right. */
  async function slopeRatio(
    path: string,
    gradient: Tensor<"float32">,
    value: (edits: Edit[]) => Promise<number>,
  ): Promise<number> {
    const length = Math.hypot(...gradient.data);
    const direction = float32(
      gradient.data.map((v) => v / length),
      gradient.shape,
    );
    const moved = (step: number): Promise<number> => value([at(path).add(direction, step)]);
    return ((await moved(0.3)) - (await moved(-0.3))) / 0.6 / length;
  }

  it("gradients agree with finite differences made by edits", async () => {
    const result = await gradients(call, { of: squaredNorm({ branch: "cond" }), at: points });
    const value = async (edits: Edit[]): Promise<number> => {
      const { outputs } = await pipe.network.run(call.feeds, { edits, context: call.context });
      return (outputs.out_sample as Tensor<"float32">).row(1).data.reduce((sum, v) => sum + v * v, 0);
    };
    expect(result.value).toBeCloseTo(await value([]), 2);
    for (const { hookPoint, gradient } of result.points) {
      const ratio = await slopeRatio(hookPoint.path, gradient, value);
      expect(Math.abs(ratio - 1), hookPoint.path).toBeLessThan(0.01);
    }
  });

  it("integrated gradients add up to what the baseline changes, the more nearly the more points", async () => {
    const residuals = async (count: number): Promise<number[]> => {
      const options = { of: squaredNorm({ branch: "cond" }), at: points.slice(1), baseline: other, points: count };
      const result = await integratedGradients(call, options);
      return result.points.map(({ completeness: c }) => Math.abs(c!.residual / c!.difference));
    };
    const [few, many] = [await residuals(4), await residuals(24)];
    expect(many[0]).toBeLessThan(few[0]! / 4);
    for (const late of many.slice(1)) expect(late).toBeLessThan(1e-3);
  });

  it("a classifier's logit is the one it gives the decoded x̂₀, and has a gradient inside the denoiser", async () => {
    const classifier = await loadModel(join(shapesFolder, "judge", "model.onnx"));
    const run = await pipe.generate("a red circle", { steps: 4, seed: 7, decode: false });
    const of = ofPicture(pipe, call, classifierLogit(classifier, 0, "shape"));
    const result = await gradients(call, { of, at: "mid_block" });
    await using judge = await openSession(classifier);
    const decoder = pipe.vaeDecoder!;
    const latents = float32(
      run.denoised.row(1).data.map((v) => v / Number(pipe.latentSpace.scale) + Number(pipe.latentSpace.shift)),
      run.denoised.row(1).shape,
    );
    const { outputs } = await decoder.run({ [decoder.inputs[0]!.name]: latents });
    const logits = await judge.run({ images: outputs[decoder.outputs[0]!.name]! }, { fetches: ["shape"] });
    expect(result.value).toBeCloseTo((logits.shape as Tensor<"float32">).data[0]!, 3);
    const value = async (edits: Edit[]): Promise<number> => (await gradients({ ...call, edits }, { of, at: "out_sample" })).value;
    expect(Math.abs((await slopeRatio("mid_block", result.at("mid_block").gradient, value)) - 1)).toBeLessThan(0.01);
  });
});
