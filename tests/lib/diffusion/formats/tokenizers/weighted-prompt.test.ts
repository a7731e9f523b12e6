import { fileURLToPath } from "node:url";
import { describe, expect, it, vi } from "vitest";
import {
  applyTokenWeights,
  loadTokenizer,
  parseWeightedPrompt,
  plainPrompt,
  tokenWeights,
  warnOfTruncation,
} from "../../../../../lib/diffusion/formats/tokenizers/index.js";
import { float32 } from "../../../../../lib/tensor/index.js";

const folder = (name: string): string => fileURLToPath(new URL(`../../../../golden/${name}`, import.meta.url));
const clip = await loadTokenizer(folder("clip-tokenizer"));
const t5 = await loadTokenizer(folder("t5-tokenizer"));

describe("parseWeightedPrompt", () => {
  // The first is the example in the documentation of AUTOMATIC1111's parser, with its results.
  it.each([
    [
      "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
      [
        ["a ", 1],
        ["house", 1.573],
        [" ", 1.1],
        ["on", 1],
        [" a ", 1.1],
        ["hill", 0.55],
        [", sun, ", 1.1],
        ["sky", 1.4641],
        [".", 1.1],
      ],
    ],
    [
      "a (red:1.3) circle, [blue], ((big))",
      [
        ["a ", 1],
        ["red", 1.3],
        [" circle, ", 1],
        ["blue", 1 / 1.1],
        [", ", 1],
        ["big", 1.21],
      ],
    ],
    ["normal text", [["normal text", 1]]],
    ["(unbalanced", [["unbalanced", 1.1]]],
    ["(unnecessary)(parens)", [["unnecessaryparens", 1.1]]],
    ["\\(literal\\]", [["(literal]", 1]]],
    ["a \\\\ b \\c", [["a \\ b \\c", 1]]],
    ["(a\\):2)", [["a)", 2]]],
    ["at 5:30) or ] so", [["at 5:30) or ] so", 1]]],
    ["(ratio 4:3 : 1.5 )", [["ratio 4:3 ", 1.5]]],
    [
      "(flipped:-.5)(none:0)",
      [
        ["flipped", -0.5],
        ["none", 0],
      ],
    ],
    ["", []],
  ] as [string, [string, number][]][])("of %j", (prompt, expected) => {
    const segments = parseWeightedPrompt(prompt);
    expect(segments.map(({ text }) => text)).toEqual(expected.map(([text]) => text));
    segments.forEach(({ weight }, i) => {
      expect(weight).toBeCloseTo(expected[i]![1], 12);
    });
  });
});

describe("tokenWeights", () => {
  const rounded = (values: Float32Array): number[] => Array.from(values, (v) => Math.round(v * 1000) / 1000);

  it("gives each token its word's weight, and 1 to start, end and padding", () => {
    const segments = parseWeightedPrompt("a (photo:1.3) of, [cat]");
    expect(plainPrompt(segments)).toBe("a photo of, cat");
    // start, a, photo, of, comma, cat, end, padding
    expect(rounded(tokenWeights(clip, segments, { maxLength: 9 }))).toEqual([1, 1, 1.3, 1, 1, 0.909, 1, 1, 1]);
  });

  it("gives every piece of a word its weight, and T5 has no start", () => {
    const segments = parseWeightedPrompt("red (unphotographable:2) star");
    const pieces = t5.tokens("unphotographable").length;
    expect(pieces).toBeGreaterThan(2);
    expect(rounded(tokenWeights(t5, segments))).toEqual([
      1,
      ...new Array<number>(pieces).fill(2),
      ...new Array<number>(63 - pieces).fill(1),
    ]);
  });

  it("leaves the end token at 1 where the prompt is cut", () => {
    expect(rounded(tokenWeights(clip, parseWeightedPrompt("(cat cat cat cat:2)"), { maxLength: 4 }))).toEqual([1, 2, 2, 1]);
  });
});

describe("applyTokenWeights", () => {
  it("multiplies and restores the mean", () => {
    // [1, 3, 2] weighted by 1, 2, 1: 1 2 6 8 5 6, sum 28 against 21: times 0.75.
    const states = float32([1, 2, 3, 4, 5, 6], [1, 3, 2]);
    const weighted = applyTokenWeights(states, [1, 2, 1]);
    expect(Array.from(weighted.data)).toEqual([0.75, 1.5, 4.5, 6, 3.75, 4.5]);
    expect(weighted.shape).toEqual([1, 3, 2]);
    expect(Array.from(states.data)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it("with weights of 1 changes nothing, and states of mean zero are only multiplied", () => {
    const states = float32([0.1, -0.7, 0.3, 0.9], [1, 2, 2]);
    expect(applyTokenWeights(states, [1, 1]).data).toEqual(states.data);
    expect(Array.from(applyTokenWeights(float32([1, -1, 2, -2], [1, 2, 2]), [1, 3]).data)).toEqual([1, -1, 6, -6]);
  });

  it("needs a weight for each token of one prompt", () => {
    expect(() => applyTokenWeights(float32([1, 2], [1, 2, 1]), [1])).toThrow(
      /expected states \[1, 1, channel\] for 1 weights, got \[1,2,1\]/,
    );
    expect(() => applyTokenWeights(float32([1, 2], [2, 1, 1]), [1])).toThrow(RangeError);
  });
});

describe("warnOfTruncation", () => {
  it("names the lost words once, or says nothing", () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const { truncated } = clip.encode("a photo of a cat", { maxLength: 4 });
    warnOfTruncation([{ truncated }, { truncated }, {}], 4);
    expect(warn.mock.calls).toEqual([['The text encoder reads 4 tokens and did not read "of a cat"; shorten the prompt']]);
    warnOfTruncation([{ truncated: undefined }, {}], 77);
    warnOfTruncation(
      ["a", "b", "c", "d", "x".repeat(200)].map((text) => ({ truncated: text })),
      77,
    );
    expect(warn.mock.calls.slice(1)).toEqual([
      ['The text encoder reads 77 tokens and did not read "a", "b", "c" and 2 more; shorten the prompt'],
    ]);
    warn.mockRestore();
  });
});
