import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { trainBpe } from "../../../models/shapes/bpe.js";
import { maxTokens, tokenizerFiles } from "../../../models/shapes/build-tokenizer.js";
import { grammarWords } from "../../../models/shapes/caption.js";
import { exampleAt, shapesTokenizer } from "../../../models/shapes/dataset.js";

describe("trainBpe", () => {
  it("merges the most frequent pair first, ties in alphabetical order", () => {
    expect(trainBpe(["aab", "ab", "cab"]).merges).toEqual([
      ["a", "b</w>"],
      ["a", "ab</w>"],
      ["c", "ab</w>"],
    ]);
  });

  it("lays ids out as CLIP does: 256 bytes, the same at a word's end, merges, start, end", () => {
    const { vocab } = trainBpe(["ab"]);
    expect([vocab["!"], vocab.ÿ, vocab["!</w>"], vocab["ab</w>"]]).toEqual([0, 187, 256, 512]);
    expect([vocab["<|startoftext|>"], vocab["<|endoftext|>"]]).toEqual([513, 514]);
  });
});

describe("the embedded tokenizer", () => {
  it("is what its script writes", async () => {
    for (const [name, text] of Object.entries(tokenizerFiles())) {
      const path = new URL(`../../../models/shapes/tokenizer/${name}`, import.meta.url);
      expect((await readFile(path, "utf8")).replaceAll("\r\n", "\n"), name).toBe(text);
    }
  });

  it("makes one token of every grammar word", async () => {
    const tokenizer = await shapesTokenizer();
    expect(grammarWords.filter((word) => tokenizer.tokens(word).length !== 1)).toEqual([]);
    expect(tokenizer.tokens("red")[0]!.piece).toBe("red</w>");
  });

  it("holds the longest captions", async () => {
    const tokenizer = await shapesTokenizer();
    expect(tokenizer.maxLength).toBe(maxTokens);
    for (let i = 0; i < 2000; i++) {
      const { caption } = exampleAt(9, i);
      const { length, truncated } = tokenizer.encode(caption);
      expect(length).toBe(caption.split(" ").length + 2);
      expect(truncated).toBeUndefined();
    }
  });

  it("spells words outside the grammar with characters and gives them back", async () => {
    const tokenizer = await shapesTokenizer();
    const text = "a pink zebra 日本";
    expect(tokenizer.tokens(text).length).toBeGreaterThan(9);
    expect(tokenizer.decode(tokenizer.tokens(text).map((token) => token.id))).toBe(text);
  });
});
