import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { wordAttention } from "../../../lib/attribution/index.js";
import { load, type Pipeline } from "../../../lib/diffusion/index.js";
import { select } from "../../../lib/hooks/index.js";
import { closeRuntime } from "../../../lib/runtime/index.js";
import { colourRgb } from "../../../models/shapes/index.js";
import { toyPipeline } from "../activations/toy-pipeline.js";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let pipe: Pipeline;
beforeAll(async () => {
  pipe = await load("shapes");
});
afterAll(async () => {
  await pipe.release();
  await closeRuntime();
});

/** Keys' cubic kernel with a = −0.75, as torch has it. */
function kernel(x: number): number {
  const [a, t] = [-0.75, Math.abs(x)];
  if (t <= 1) return (a + 2) * t ** 3 - (a + 3) * t ** 2 + 1;
  return t < 2 ? a * t ** 3 - 5 * a * t ** 2 + 8 * a * t - 4 * a : 0;
}

/** A square picture enlarged by a whole factor. */
function bicubic(values: ArrayLike<number>, side: number, factor: number): number[] {
  const clamped = (i: number): number => Math.min(side - 1, Math.max(0, i));
  const taps = (at: number): [index: number, weight: number][] => {
    const centre = (at + 0.5) / factor - 0.5;
    const first = Math.floor(centre) - 1;
    return [0, 1, 2, 3].map((k) => [clamped(first + k), kernel(centre - first - k)]);
  };
  return Array.from({ length: (side * factor) ** 2 }, (_, i) => {
    let sum = 0;
    for (const [y, wy] of taps(Math.floor(i / (side * factor)))) {
      for (const [x, wx] of taps(i % (side * factor))) sum += wy * wx * values[y * side + x]!;
    }
    return sum;
  });
}

it("the test's own bicubic interpolation is torch's", () => {
  // torch.nn.functional.interpolate(x, scale_factor=2, mode="bicubic", align_corners=False), PyTorch 1.13.1
  const firstRows = [
    -0.360901, 0.135273, 0.960995, 1.205803, 0.731453, 0.454166, 0.496933, 0.468082, 0.419994, 0.407997, 0.438866, 0.456989,
  ];
  bicubic([0, 1, 0.5, 2, -1, 0.25, 1, 3, 0], 3, 2)
    .slice(0, 12)
    .forEach((v, i) => void expect(v).toBeCloseTo(firstRows[i]!, 5));
});

describe("wordAttention", () => {
  const prompt = "a red circle left of a blue square";

  it("is the mean over heads, layers and tokens of the enlarged conditional probabilities, summed over steps", async () => {
    const settings = { steps: 2, seed: 3, decode: false };
    const maps = await wordAttention(pipe, prompt, settings);
    const { activations } = await pipe.generate(prompt, { ...settings, capture: ["**.attn2.probs"] });
    expect(maps.layers).toEqual(Object.keys(activations));
    const expected = new Float64Array(256);
    for (const activation of Object.values(activations)) {
      for (const step of [0, 1]) {
        for (const head of [0, 1, 2, 3]) {
          const { tensor } = select(activation, { step, branch: 1, item: 0, head });
          const [queries, keys] = tensor.shape as [number, number];
          for (let query = 0; query < queries; query++) {
            expect(tensor.row(query).data.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
          }
          // "a" is the prompt's first word and its sixth: tokens 1 and 6 behind the start token.
          for (const token of [1, 6]) {
            const low = Array.from({ length: queries }, (_, q) => tensor.data[q * keys + token]!);
            const side = Math.sqrt(queries);
            bicubic(low, side, 16 / side).forEach((v, i) => {
              expected[i]! += Math.max(v, 0) / 4 / maps.layers.length / 2;
            });
          }
        }
      }
    }
    const found = maps.attention("a");
    expect(found.shape).toEqual([16, 16]);
    found.data.forEach((v, i) => void expect(v).toBeCloseTo(expected[i]!, 5));
    const first = maps.attention(0, { calls: [0, 1] }).data;
    const rest = maps.attention(0, { calls: [1, 2] }).data;
    maps.attention(0).data.forEach((v, i) => void expect(v).toBeCloseTo(first[i]! + rest[i]!, 6));
  });

  it("knows words by text, in a row, and by number, for each picture of a batch", async () => {
    const maps = await wordAttention(pipe, ["a red circle", prompt, `red${" blue".repeat(40)}`], { steps: 1, seed: 3 });
    expect(maps.words(1).map((w) => [w.text, ...w.tokens])).toEqual(prompt.split(" ").map((text, i) => [text, i + 1]));
    expect(maps.words(0).length).toBe(3);
    // The text encoder has 24 places, two of them for start and end.
    expect(maps.words(2).length).toBe(22);
    const both = maps.attention("blue square", { item: 1 });
    const [blue, square] = [maps.attention("blue", { item: 1 }), maps.attention(7, { item: 1 })];
    both.data.forEach((v, i) => void expect(v).toBeCloseTo((blue.data[i]! + square.data[i]!) / 2, 6));
    const map = maps.map("square", { item: 1 });
    expect([Math.min(...map.data), Math.max(...map.data)]).toEqual([0, 1]);
    expect([...maps.mask("square", { item: 1 }).data]).toEqual(Array.from(map.data, (v) => Number(v >= 0.4)));
    expect(maps.table(1).numRows()).toBe(8);
    expect(maps.figure(["red", "circle"]).summary).toMatch(/red up to 1, circle up to 1/);
    expect(() => maps.attention("square")).toThrow(/no word "square" in “a red circle”/);
    expect(() => maps.attention("red", { item: 3 })).toThrow(/0…2/);
  });

  it("runs outside a guidance interval and from a picture as it runs elsewhere", async () => {
    const run = await pipe.generate(prompt, { steps: 4, seed: 3 });
    const maps = await wordAttention(pipe, prompt, {
      steps: 4,
      seed: 3,
      image: run.images[0]!,
      strength: 0.5,
      guidanceInterval: [0, 400],
    });
    expect(maps.generation.calls.length).toBe(2);
    expect(maps.attention("circle").data.every((v) => v > 0)).toBe(true);
  });

  it("finds the shapes in the picture", async () => {
    const maps = await wordAttention(pipe, prompt, { steps: 10, seeds: [0, 1, 2, 3, 4, 5, 6, 7] });
    const onShape = (word: string, colour: "red" | "blue"): number =>
      maps.generation.images.filter(({ pixels, width }, item) => {
        const { data } = maps.map(word, { item });
        const most = data.indexOf(1);
        const [x, y] = [4 * (most % 16) + 2, 4 * Math.floor(most / 16) + 2];
        const seen = pixels.subarray(3 * (y * width + x), 3 * (y * width + x) + 3);
        return Math.hypot(...colourRgb[colour].map((v, i) => v - seen[i]!)) < 80;
      }).length;
    expect(onShape("circle", "red")).toBeGreaterThanOrEqual(6);
    expect(onShape("square", "blue")).toBeGreaterThanOrEqual(6);
  });

  it("says what is missing", async () => {
    const toy = toyPipeline();
    await expect(wordAttention(toy, "red")).rejects.toThrow(/no attention probabilities at "\*\*\.attn2\.probs"/);
    await toy.release();
    const wide = wordAttention(pipe, prompt, { height: 72, decode: false });
    await expect(wide).rejects.toThrow(/no grid over latents of 18×16/);
  });
});
