import { describe, expect, it } from "vitest";
import { float32, Rng, type Tensor } from "../../../lib/tensor/index.js";
import { type Asked, parseCaption } from "../../../models/shapes/caption.js";
import { renderCard } from "../../../models/shapes/card.js";
import { openClip } from "../../../models/shapes/clip.js";
import { contactSheet, evaluate, psnrs, type Subject, testPrompts } from "../../../models/shapes/evaluation.js";
import { openJudge } from "../../../models/shapes/judge.js";
import { renderBatch } from "../../../models/shapes/render.js";
import { type Scene, sampleScene } from "../../../models/shapes/scene.js";
import { sharesOf } from "../../../models/shapes/score.js";
import { isTrueOf } from "../../../models/shapes/truth.js";

/** A scene of which the caption is true. */
function sceneFor(asked: Asked, rng: Rng): Scene {
  const only = <T>(values: readonly (T | undefined)[]): T[] | undefined => {
    const named = values.filter((value) => value !== undefined);
    return named.length === asked.objects.length ? named : undefined;
  };
  const [shapes, colours] = [only(asked.objects.map((o) => o.shape)), only(asked.objects.map((o) => o.colour))];
  for (;;) {
    const scene = sampleScene(rng, {
      kinds: [asked.kind],
      combinations: "any",
      ...(shapes ? { shapes } : {}),
      ...(colours ? { colours } : {}),
      ...(asked.background ? { backgrounds: [asked.background] } : {}),
    });
    if (isTrueOf(asked, scene)) return scene;
  }
}

function inUnit(images: Tensor<"float32">): Tensor<"float32"> {
  return float32(
    images.data.map((x) => (x + 1) / 2),
    images.shape,
  );
}

/** Draws what it is asked, and reconstructs with an error of 1/100 everywhere. */
const perfect: Subject = {
  digest: "perfect",
  schedulerConfig: { _class_name: "None" },
  generate: async (prompts) => ({
    pixels: inUnit(renderBatch(prompts.map((prompt, i) => sceneFor(parseCaption(prompt), new Rng([77, i]))))),
  }),
  encodeImage: async (images) => images as Tensor<"float32">,
  decode: async (latents) =>
    float32(
      latents.data.map((x) => x + 0.01),
      latents.shape,
    ),
};

describe("evaluate", () => {
  it("finds almost nothing wrong with a painter that draws what it is asked", async () => {
    await using judge = await openJudge();
    await using clip = await openClip();
    const { metrics, sheet } = await evaluate(perfect, { judge, clip }, 90, { steps: 1, guidanceScale: 1 });
    const { single, count, pairs_seen: seen, pairs_held_out: heldOut } = metrics;
    for (const share of [single.shape, single.colour, single.background, count.count, count.shape, seen.count, heldOut.relation])
      expect(share!.share).toBeGreaterThan(0.94);
    expect(seen.swapped!.share).toBe(0);
    expect(metrics.reconstruction_psnr_db).toMatchObject({ n: 500, min: 40, median: 40 });
    expect(sheet.shape).toEqual([60, 3, 64, 64]);
    const card = renderCard({ evaluation: metrics, judge: undefined, shortcut: undefined, clip: undefined });
    expect(card).toContain("| shape as asked |");
    expect(card).not.toContain("undefined");
  });
});

describe("testPrompts", () => {
  it("lists different prompts of the kind asked for", () => {
    const prompts = testPrompts(50, { kinds: ["count"] });
    expect(new Set(prompts).size).toBe(50);
    expect(prompts.every((prompt) => parseCaption(prompt).kind === "count")).toBe(true);
  });
});

describe("sharesOf", () => {
  it("counts an aspect over the pictures that were asked for it", () => {
    const shares = sharesOf([{ shape: true, colour: true }, { shape: false }, { shape: true }]);
    expect(shares.shape).toMatchObject({ successes: 2, trials: 3 });
    expect(shares.colour).toMatchObject({ successes: 1, trials: 1 });
  });
});

describe("psnrs", () => {
  it("is 20 dB for an error of a tenth", () => {
    const truth = float32(new Float32Array(12).fill(0.5), [1, 3, 2, 2]);
    const pixels = float32(new Float32Array(12).fill(0.6), [1, 3, 2, 2]);
    expect(psnrs(pixels, truth)[0]).toBeCloseTo(20, 4);
  });
});

describe("contactSheet", () => {
  it("is a PNG of all pictures", () => {
    const png = contactSheet(float32(new Float32Array(3 * 3 * 64 * 64), [3, 3, 64, 64]), 2, 1);
    const view = new DataView(png.buffer, png.byteOffset);
    expect([view.getUint32(16), view.getUint32(20)]).toEqual([2 * 66 + 2, 2 * 66 + 2]);
  });
});
