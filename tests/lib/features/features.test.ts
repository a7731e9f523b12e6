import { afterAll, describe, expect, it } from "vitest";
import { type Activations, collect } from "../../../lib/activations/index.js";
import {
  ablateFeatures,
  clampFeatures,
  decileSamples,
  featureExamples,
  imageCodes,
  maxActivating,
  scaleFeatures,
  steer,
  typicalCode,
} from "../../../lib/features/index.js";
import { type Edit, HookedModel, type StepContext, select } from "../../../lib/hooks/index.js";
import { closeRuntime } from "../../../lib/runtime/index.js";
import { Sae } from "../../../lib/sae/index.js";
import { float32, type Tensor } from "../../../lib/tensor/index.js";
import { toyPipeline } from "../activations/toy-pipeline.js";
import { toyUnet } from "../hooks/toy-unet.js";

/** An SAE whose feature f reads and writes along row f. */
function saeOf(width: number, rows: number[][], bias = rows.map(() => 0)): Sae {
  const matrix = float32(rows.flat(), [rows.length, width]);
  return new Sae(
    { variant: "relu", width, features: rows.length, scale: 1 },
    { W_enc: matrix, b_enc: float32(bias), W_dec: matrix, b_dec: float32(new Float32Array(width)) },
  );
}

describe("edits of codes", () => {
  // conv_in holds s = 2x and the output is −20(s + 1); x = −4…11 with a −0 at the end.
  const toy = new HookedModel(toyUnet(), { inputShapes: { sample: ["batch", 2, 2, 2] }, maxSessions: 2 });
  const x = float32([...Array.from({ length: 15 }, (_, i) => i - 4), -0], [2, 2, 2, 2]);
  const sae = saeOf(2, [
    [1, 0],
    [0, 1],
  ]);
  const guided: StepContext = { step: 2, branches: ["uncond", "cond"] };
  const edited = async (...edits: Edit[]): Promise<number[]> => {
    const { outputs, activations } = await toy.run({ sample: x }, { edits, context: guided, capture: ["conv_in"] });
    expect((outputs.out_sample as Tensor<"float32">).size).toBe(16);
    return [...(activations.conv_in!.tensor as Tensor<"float32">).data];
  };
  const expected = (f: (s: number, row: number, channel: number) => number): number[] =>
    [...x.data].map((v, i) => f(2 * v, i >> 3, (i >> 2) & 1));
  const at = "conv_in";
  afterAll(() => toy.release());

  it("at zero strength or factor one leave every bit as it is", async () => {
    const plain = expected((s) => s);
    expect(await edited()).toEqual(plain);
    expect(await edited(steer(sae, 1, 0, { at }))).toEqual(plain);
    expect(await edited(scaleFeatures(sae, [0, 1], 1, { at }))).toEqual(plain);
    expect(Object.is((await edited(scaleFeatures(sae, [0, 1], 1, { at }))).at(-1), -0)).toBe(true);
    expect(await edited(ablateFeatures(sae, [0, 1], { at, when: ({ step }) => step !== 2 }))).toEqual(plain);
  });

  it("steer adds the decoder's direction, to one branch if asked", async () => {
    expect(await edited(steer(sae, 1, -3, { at }))).toEqual(expected((s, _, channel) => (channel === 1 ? s - 3 : s)));
    const half = await edited(steer(sae, 0, 2, { at, branch: "cond" }));
    expect(half).toEqual(expected((s, row, channel) => (row === 1 && channel === 0 ? s + 2 : s)));
  });

  it("steer reaches only the places it is given, as far as they say", async () => {
    const places = float32([0, 1, 0.5, 0], [2, 2]);
    const result = await edited(steer(sae, 1, 4, { at, places }));
    const shift = [-0, 4, 2, -0]; // nothing, the −0 at the end included
    expect(result).toEqual([...x.data].map((v, i) => 2 * v + (((i >> 2) & 1) === 1 ? shift[i & 3]! : -0)));
    await expect(edited(steer(sae, 1, 4, { at, places: float32([1, 1, 1], [1, 3]) }))).rejects.toThrow(/does not broadcast/);
  });

  it("typicalCode is the mean of the strongest tenth, zeros apart", () => {
    expect(typicalCode([...Array.from({ length: 18 }, () => 1), 5, 7, 0, 0, 0, 0])).toBe(6);
    expect(typicalCode([0, 3])).toBe(3);
    expect(typicalCode([0, 0])).toBe(0);
  });

  it("ablateFeatures takes out what the features wrote and keeps the rest, the SAE's error too", async () => {
    // Codes are ReLU(s) per channel: ablating feature 0 leaves the negative part of channel 0, which no feature explains.
    const result = await edited(ablateFeatures(sae, [0], { at }));
    expect(result).toEqual(expected((s, _, channel) => (channel === 0 ? Math.min(s, 0) : s)));
    const cond = await edited(ablateFeatures(sae, [0, 1], { at, branch: "cond" }));
    expect(cond).toEqual(expected((s, row) => (row === 1 ? Math.min(s, 0) : s)));
  });

  it("scaleFeatures follows the trajectory without a new session", async () => {
    const edit = scaleFeatures(sae, [1], ({ step }) => step, { at });
    expect(await edited(edit)).toEqual(expected((s, _, channel) => (channel === 1 && s > 0 ? 2 * s : s)));
  });

  it("clampFeatures holds codes at a value, also where they were zero", async () => {
    const result = await edited(clampFeatures(sae, [1], 5, { at }));
    expect(result).toEqual(expected((s, _, channel) => (channel === 1 ? Math.min(s, 0) + 5 : s)));
  });

  it("refuse strengths that are no numbers", async () => {
    await expect(edited(steer(sae, 1, Number.NaN, { at }))).rejects.toThrow(/finite number, got NaN/);
    await expect(edited(scaleFeatures(sae, [1], () => Number.POSITIVE_INFINITY, { at }))).rejects.toThrow(/finite numbers/);
  });

  it("name the place and the feature when they do not fit", async () => {
    expect(() => steer(sae, 2, 1, { at })).toThrow(/0…1, got 2/);
    await expect(edited(ablateFeatures(saeOf(3, [[1, 0, 0]]), [0], { at }))).rejects.toThrow(/length 3, this activation has 2/);
    await expect(toy.run({ sample: x }, { edits: [ablateFeatures(sae, [0], { at, branch: "cond" })] })).rejects.toThrow(
      /needs a guided run/,
    );
  });
});

describe("features of a collection", () => {
  // Channel 2 of the toy's activation is the mean token id: 10/6 for "red", 17/6 for "blue", 22/6 for both words, 29/6 for two blues.
  const pipe = toyPipeline();
  const prompts = ["red", "blue", "red blue", "blue blue"];
  const sae = saeOf(
    3,
    [
      [0, 0, 1],
      [1, 0, 0],
    ],
    [-2, 0],
  );
  const collected: Promise<Activations> = collect(pipe, prompts, {
    at: "down_blocks.0",
    steps: 3,
    guidanceScale: 2,
    branch: "both",
    tokensPerImage: 5,
  });
  afterAll(async () => {
    await sae.close();
    await pipe.release();
    await closeRuntime();
  });

  it("imageCodes takes the largest or the mean code of each picture", async () => {
    const acts = await collected;
    const max = await imageCodes(sae, acts);
    [0, 5 / 6, 10 / 6, 17 / 6].forEach((code, image) => {
      expect(max.data[image * 2]).toBeCloseTo(code, 5);
    });
    const mean = await imageCodes(sae, acts, { by: "mean", steps: [2] });
    const rows = (acts.table().objects() as { image: number; step: number; branch: string }[])
      .map((row, i) => ({ ...row, i }))
      .filter((row) => row.image === 1 && row.step === 2 && row.branch === "cond");
    expect(rows.length).toBe(5);
    const byHand = rows.reduce((sum, { i }) => sum + Math.max(0, acts.vectors.data[i * 3]!), 0) / 5;
    expect(mean.data[3]).toBeCloseTo(byHand, 6);
    await expect(imageCodes(sae, acts, { steps: [7] })).rejects.toThrow(/no vectors/);
  });

  it("maxActivating ranks pictures, and featureExamples shows where the feature is", async () => {
    const acts = await collected;
    const top = maxActivating(await imageCodes(sae, acts), 1, 2);
    expect(top.length).toBe(2);
    const examples = await featureExamples(pipe, sae, acts, 1, top, { batchSize: 1 });
    for (const [i, example] of examples.entries()) {
      expect([example.image, example.caption]).toEqual([top[i]!.image, prompts[top[i]!.image]]);
      expect(example.activation).toBeGreaterThanOrEqual(top[i]!.activation - 1e-5);
      const run = await pipe.generate(example.caption, {
        steps: 3,
        guidanceScale: 2,
        seed: example.seed,
        capture: ["down_blocks.0"],
      });
      example.steps.forEach((step, s) => {
        const { tensor } = select(run.activations["down_blocks.0"]!, { step, branch: 1, item: 0 });
        const codes = [...tensor.data.subarray(0, 16)].map((v) => Math.max(0, v));
        expect([...example.maps.row(s).data].every((v, p) => Math.abs(v - codes[p]!) < 1e-4)).toBe(true);
      });
      expect(example.heat.shape).toEqual([4, 4]);
      expect(Math.max(...example.heat.data)).toBe(example.activation);
      expect(example.picture.width).toBe(4);
    }
  });
});

describe("decileSamples", () => {
  it("draws from each tenth, weakest first, and leaves out pictures without the feature", () => {
    const codes = float32(
      Array.from({ length: 50 }, (_, i) => Math.max(0, i - 9)),
      [50, 1],
    );
    const drawn = decileSamples(codes, 0, { perDecile: 2 });
    expect(drawn.map((d) => d.decile)).toEqual(Array.from({ length: 20 }, (_, i) => i >> 1));
    for (const { activation, decile } of drawn) expect(Math.floor((activation - 1) / 4)).toBe(decile);
    expect(decileSamples(codes, 0, { perDecile: 2 })).toEqual(drawn);
    expect(decileSamples(float32([0, 3, 0], [3, 1]), 0)).toEqual([{ image: 1, activation: 3, decile: 9 }]);
  });
});
