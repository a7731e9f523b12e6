import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ContrastiveEncoder } from "../../../lib/predictors/index.js";
import { openClip, retrieve, zeroShot } from "../../../models/shapes/clip.js";
import { exampleAt } from "../../../models/shapes/dataset.js";
import { renderBatch } from "../../../models/shapes/render.js";
import { isTrueOf } from "../../../models/shapes/truth.js";

const examples = Array.from({ length: 120 }, (_, i) => exampleAt(902, i, { split: "test" }));

describe("isTrueOf", () => {
  it("holds for a scene and its own caption", () => {
    for (const { scene, caption } of examples) expect(isTrueOf(caption, scene), caption).toBe(true);
  });

  it("reads a relation from either end", () => {
    const { scene } = exampleAt(3, 0, { scene: { kinds: ["relation"], relations: ["above"] } });
    const [a, b] = scene.objects.map((o) => `a ${o.colour} ${o.shape}`.replace("a orange", "an orange"));
    expect(isTrueOf(`${a} above ${b}`, scene)).toBe(true);
    expect(isTrueOf(`${b} below ${a}`, scene)).toBe(true);
    expect(isTrueOf(`${b} and ${a}`, scene)).toBe(true);
    expect(isTrueOf(`${b} above ${a}`, scene)).toBe(false);
    expect(isTrueOf(a!, scene)).toBe(false);
  });
});

describe("the contrastive encoder", () => {
  let clip: ContrastiveEncoder;
  beforeAll(async () => {
    clip = await openClip();
  });
  afterAll(() => clip?.release());

  it("gives embeddings of length 1, the same whatever the batch", async () => {
    const images = renderBatch(examples.slice(0, 5).map((e) => e.scene));
    const whole = await clip.encodeImages(images);
    const single = await clip.encodeImages(images, { batch: 1 });
    expect(whole.shape).toEqual([5, 64]);
    whole.data.forEach((x, i) => {
      expect(single.data[i]).toBeCloseTo(x, 4);
    });
    for (let i = 0; i < 5; i++) expect(Math.hypot(...whole.row(i).data)).toBeCloseTo(1, 4);
    for (const row of [0, 1])
      expect(Math.hypot(...(await clip.encodeTexts(["a red circle", "a star"])).row(row).data)).toBeCloseTo(1, 4);
  });

  it("tells shapes and colours of single objects without training for it", async () => {
    const scenes = Array.from(
      { length: 200 },
      (_, i) => exampleAt(903, i, { split: "test", scene: { kinds: ["single"] } }).scene,
    );
    const images = renderBatch(scenes);
    for (const factor of ["shape", "colour"] as const) {
      const said = await zeroShot(clip, images, factor);
      const right = scenes.filter((scene, i) => scene.objects[0]![factor] === said[i]).length;
      expect(right / scenes.length, factor).toBeGreaterThan(0.97);
    }
  });

  it("finds a caption that is true of the picture", async () => {
    const distinct = [...new Map(examples.map((e) => [e.caption, e])).values()].slice(0, 100);
    const { textOfImage } = await retrieve(
      clip,
      renderBatch(distinct.map((e) => e.scene)),
      distinct.map((e) => e.caption),
      distinct.map((e) => e.scene),
    );
    expect(textOfImage.fitting.filter(Boolean).length).toBeGreaterThan(90);
  });
});
