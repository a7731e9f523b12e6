import { describe, expect, it } from "vitest";
import { exampleAt, sceneBatch, shapesTokenizer, splits } from "../../../models/shapes/dataset.js";

describe("sceneBatch", () => {
  it("gives pictures, captions, tokens and scenes that belong together", async () => {
    const batch = await sceneBatch(1, 0, 8);
    const tokenizer = await shapesTokenizer();
    expect(batch.images.shape).toEqual([8, 3, 64, 64]);
    expect(batch.tokens.shape).toEqual([8, 24]);
    expect(batch.scenes).toHaveLength(8);
    batch.captions.forEach((caption, i) => {
      expect(tokenizer.decode(batch.tokens.row(i))).toBe(caption);
    });
  });

  it("makes any step again without the ones before it", async () => {
    await sceneBatch(1, 0, 4);
    expect(await sceneBatch(1, 7, 4)).toEqual(await sceneBatch(1, 7, 4));
    const halves = [await sceneBatch(1, 14, 2), await sceneBatch(1, 15, 2)];
    expect((await sceneBatch(1, 7, 4)).captions).toEqual(halves.flatMap((half) => half.captions));
  });

  it("keeps seeds and splits apart", () => {
    const key = (seed: number, split: (typeof splits)[number]): string => JSON.stringify(exampleAt(seed, 3, { split }).scene);
    const keys = splits.flatMap((split) => [0, 1, 2].map((seed) => key(seed, split)));
    expect(new Set(keys).size).toBe(keys.length);
  });

  it("draws the world that the embedded models were trained on", () => {
    expect([0, 1, 2, 3, 4, 5].map((index) => exampleAt(0, index).caption)).toMatchInlineSnapshot(`
      [
        "a purple cross above a cyan square on a black background",
        "a striped red star",
        "a white square above a green cross",
        "a small yellow square on a navy background",
        "a ring above a triangle on a navy background",
        "a white shape left of a yellow shape on a gray background",
      ]
    `);
  });

  it("draws it pixel by pixel", async () => {
    const { data } = (await sceneBatch(0, 0, 64)).images;
    expect(data.reduce((sum, v) => sum + v, 0) / data.length).toBeCloseTo(-0.0250545, 6);
  });

  it("refuses an empty batch", async () => {
    await expect(sceneBatch(0, 0, 0)).rejects.toThrow(/n is a whole number ≥ 1/);
  });
});
