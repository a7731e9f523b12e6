import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { guidanceEmbedding } from "../../../lib/diffusion/conditioning/guidance-embedding.js";
import { classConditioner, clipConditioner, loadTokenizer } from "../../../lib/diffusion/index.js";
import { fromLatents, toLatents } from "../../../lib/diffusion/pipelines/latent-space.js";
import { packTokens, scheduleRun, unpackTokens } from "../../../lib/diffusion/pipelines/state-layout.js";
import { HookedModel } from "../../../lib/hooks/index.js";
import { closeRuntime } from "../../../lib/runtime/index.js";
import { float32 } from "../../../lib/tensor/index.js";
import { clipText } from "./closed-form/text-encoders.js";

afterAll(() => closeRuntime());

const run = { branch: "cond", size: [16, 16], guidanceScale: 1 } as const;

describe("classes", () => {
  const labels = new Map([
    ["tench", 0],
    ["golden retriever", 207],
  ]);
  const conditioner = classConditioner({ classes: 1000, labels, nullClass: 1000 });
  const classes = async (prompts: readonly string[], branch: "cond" | "uncond" = "cond"): Promise<number[]> =>
    Array.from((await conditioner.encode({ ...run, prompts, branch })).rows.class_labels!.data, Number);

  it("are told by name or number; without a negative one the unconditional branch is told none", async () => {
    expect(await classes(["golden retriever", "3", " tench "])).toEqual([207, 3, 0]);
    expect(await classes(["", "tench"], "uncond")).toEqual([1000, 0]);
  });
  it("that there are none of are refused with the nearest", async () => {
    await expect(classes(["goldn retriever"])).rejects.toThrow(
      /a number 0…999 or a class's name; did you mean "golden retriever"/,
    );
    await expect(classes(["1000"])).rejects.toThrow(/0…999/);
    await expect(classes([""])).rejects.toThrow(RangeError);
  });
  it("without one for none leave no guidance", () => {
    expect(classConditioner({ classes: 10 }).guidance).toBe("none");
  });
});

describe("text states", () => {
  it("are weighted word by word where asked for, and brackets are brackets otherwise", async () => {
    await using network = new HookedModel(clipText());
    const tokenizer = await loadTokenizer(fileURLToPath(new URL("../../golden/clip-tokenizer", import.meta.url)));
    const conditioner = clipConditioner({ network, tokenizer });
    const states = async (prompt: string, weighted: boolean): Promise<Float32Array> =>
      (await conditioner.encode({ ...run, prompts: [prompt], options: { weighted } })).rows.encoder_hidden_states!
        .data as Float32Array;
    const plain = await states("a photo of a cat", false);
    expect(await states("a photo of a cat", true)).toEqual(plain);
    const weighed = await states("a photo of a (cat:2)", true);
    // "cat" is token 5; all are scaled alike to keep the mean.
    const ratio = (token: number): number => weighed[token * 8]! / plain[token * 8]!;
    expect(ratio(5) / ratio(4)).toBeCloseTo(2, 4);
    expect(ratio(1)).toBeCloseTo(ratio(70), 5);
    expect(await states("a photo of a (cat:2)", false)).not.toEqual(plain);
  });
  it("of more layers left out than there are is refused", async () => {
    await using network = new HookedModel(clipText());
    const tokenizer = await loadTokenizer(fileURLToPath(new URL("../../golden/clip-tokenizer", import.meta.url)));
    const { encode } = clipConditioner({ network, tokenizer });
    await expect(encode({ ...run, prompts: ["a cat"], options: { clipSkip: 3 } })).rejects.toThrow(/3 of its 3 layers/);
  });
});

describe("the embedded guidance scale", () => {
  it("is sines, then cosines, of 1000·(scale − 1) at falling frequencies", () => {
    const { data, shape } = guidanceEmbedding(1.002, 4, 2);
    expect(shape).toEqual([2, 4]);
    const w = Math.fround(1000 * Math.fround(0.002));
    for (const [i, v] of [Math.sin(w), Math.sin(w / 10_000), Math.cos(w), Math.cos(w / 10_000)].entries()) {
      expect(data[i]).toBeCloseTo(v, 5);
      expect(data[4 + i]).toBe(data[i]);
    }
  });
});

describe("tokens of a state", () => {
  const state = float32(
    Array.from({ length: 2 * 2 * 4 }, (_, i) => i),
    [1, 2, 2, 4],
  );
  it("hold a patch each, channel by channel, row by row", () => {
    const tokens = packTokens(state, 2);
    expect(tokens.shape).toEqual([1, 2, 8]);
    expect([...tokens.data]).toEqual([0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15]);
    expect(unpackTokens(tokens, state.shape, 2)).toEqual(state);
  });
  it("are refused of sides that are no multiples", () => {
    expect(() => packTokens(float32(new Float32Array(6), [1, 1, 2, 3]), 2)).toThrow(/multiples of 2, got 2×3/);
  });
  it("are counted for the schedule, with the levels that the family starts from", () => {
    const layout = {
      patch: 2,
      packed: true,
      timestepScale: 1,
      levels: (n: number) => Array.from({ length: n }, (_, i) => 1 - i / n),
    };
    expect(scheduleRun(layout, 2, [8, 12])).toEqual({ imageSequenceLength: 24, sigmas: [1, 0.5] });
    expect(scheduleRun(undefined, 2, [8, 12])).toEqual({});
  });
});

describe("latents", () => {
  it("may be scaled channel by channel", () => {
    const space = { channels: 2, size: 1, factor: 8, scale: [2, 4], shift: [1, -1] };
    const encoded = float32([3, 3, 5, 5], [1, 2, 1, 2]);
    const latents = toLatents(encoded, space);
    expect([...latents.data]).toEqual([4, 4, 24, 24]);
    expect(fromLatents(latents, space)).toEqual(encoded);
  });
});
