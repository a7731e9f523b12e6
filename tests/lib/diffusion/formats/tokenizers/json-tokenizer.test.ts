import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { ModelFolderError } from "../../../../../lib/diffusion/formats/model-folder-error.js";
import {
  JsonTokenizer,
  loadTokenizer,
  type PromptTokenizer,
  stackEncodings,
} from "../../../../../lib/diffusion/formats/tokenizers/index.js";

interface Case {
  readonly text: string;
  /** SentencePiece's. */
  readonly ids: number[];
  /** Those of the library that tokenizer.json comes from. */
  readonly tokenizerJson: number[];
  readonly decoded: string;
}

const golden = fileURLToPath(new URL("../../../../golden/t5-tokenizer", import.meta.url));
const { cases } = JSON.parse(await readFile(join(golden, "cases.json"), "utf8")) as { cases: Case[] };

const folders: string[] = [];
/** A copy of the golden folder, changed. */
async function folderWith(change: (folder: string) => Promise<unknown>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tokenizer-"));
  folders.push(folder);
  await cp(golden, folder, { recursive: true });
  await change(folder);
  return folder;
}
afterEach(async () => {
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true })));
});

const withoutJson = (folder: string): Promise<void> => rm(join(folder, "tokenizer.json"));
const idsOf = (tokenizer: PromptTokenizer, text: string): number[] => {
  const { ids, length } = tokenizer.encode(text);
  return Array.from(ids.data.subarray(0, length), Number);
};
const t5 = await loadTokenizer(golden);
const t5Slow = await loadTokenizer(await folderWith(withoutJson));

describe("BERT's tokenization, from vocab.txt", () => {
  const folder = fileURLToPath(new URL("../../../../golden/pipelines/bert-tokenizer", import.meta.url));
  /** As `folderWith`, of BERT's. */
  const bertWith = async (files: Readonly<Record<string, string>>): Promise<string> => {
    const copy = await mkdtemp(join(tmpdir(), "tokenizer-"));
    folders.push(copy);
    await cp(folder, copy, { recursive: true });
    for (const [name, text] of Object.entries(files)) await writeFile(join(copy, name), text);
    return copy;
  };

  // Lines of the file from 0: [CLS] is 2, [SEP] 3, [UNK] 1; "un", "##aff", "##able" are 15, 16, 17, "犬" is 22.
  it.each<[string, number[]]>([
    ["a photo of a cat", [2, 5, 6, 7, 5, 8, 3]],
    ["Unaffable cats!", [2, 15, 16, 17, 8, 18, 23, 3]],
    ["best,quality", [2, 13, 12, 14, 3]],
    ["unaffablex cat", [2, 1, 8, 3]],
    ["CAFÉ", [2, 19, 20, 3]],
    ["a犬cat", [2, 5, 22, 8, 3]],
    ["", [2, 3]],
  ])("splits %j at punctuation and into the longest pieces from the start", async (text, ids) => {
    expect(idsOf(await loadTokenizer(folder), text)).toEqual(ids);
  });

  it("keeps case and accents where it is told to, pads with [PAD] and decodes", async () => {
    const settings = { tokenizer_class: "BertTokenizer", do_lower_case: false, model_max_length: 8 };
    const cased = await loadTokenizer(await bertWith({ "tokenizer_config.json": JSON.stringify(settings) }));
    expect(idsOf(cased, "Cat café")).toEqual([2, 1, 19, 21, 3]);
    const plain = await loadTokenizer(folder);
    expect([...plain.encode("cat", { maxLength: 5 }).ids.data].map(Number)).toEqual([2, 8, 3, 0, 0]);
    expect(plain.decode([2, 15, 16, 17, 8, 18, 3, 0])).toBe("unaffable cats");
    expect(plain.encode("a photo of unaffable cats", { maxLength: 7 }).truncated).toBe("unaffable cats");
    expect(plain.maxLength).toBe(512);
  });

  it("is refused without its special tokens, or with settings that are none", async () => {
    await expect(loadTokenizer(await bertWith({ "vocab.txt": "[PAD]\n[UNK]\n[CLS]\ncat\n" }))).rejects.toThrow(
      /vocab.txt: expected the special token "\[SEP\]" among the pieces/,
    );
    const odd = JSON.stringify({ tokenizer_class: "BertTokenizer", do_lower_case: "yes" });
    await expect(loadTokenizer(await bertWith({ "tokenizer_config.json": odd }))).rejects.toThrow(
      /true or false as "do_lower_case"/,
    );
  });
});

describe("T5's tokenization", () => {
  it.each(cases)("of $text equals two independent implementations', from tokenizer.json and from spiece.model", (c) => {
    expect(idsOf(t5, c.text)).toEqual(c.tokenizerJson);
    expect(idsOf(t5Slow, c.text)).toEqual(c.ids);
    if (!c.ids.includes(2)) expect(t5Slow.decode(c.ids)).toBe(c.decoded);
  });
});

/** Scores are log probabilities; the best sum wins. An unknown character costs 10 more than the worst piece: 17. */
const vocab = [
  ["<pad>", 0],
  ["</s>", 0],
  ["<unk>", 0],
  ["▁", -3],
  ["▁a", -1],
  ["b", -2],
  ["ab", -1.5],
  ["▁bab", -7],
];
const small = (over: object = {}, model: object = {}): JsonTokenizer =>
  new JsonTokenizer({
    tokenizer: {
      added_tokens: [],
      pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always" },
      post_processor: {
        type: "TemplateProcessing",
        single: [{ Sequence: { id: "A", type_id: 0 } }, { SpecialToken: { id: "</s>", type_id: 0 } }],
      },
      model: { type: "Unigram", vocab, unk_id: 2, ...model },
      ...over,
    },
    padToken: "<pad>",
    maxLength: 6,
    file: "tokenizer.json",
  });

describe("a Unigram model's best segmentation", () => {
  it.each([
    ["ab", ["▁a", "b"], "−1 −2 = −3 beats ▁|ab, −3 −1.5"],
    ["abab", ["▁a", "b", "ab"], "−4.5 beats ▁|ab|ab, −6"],
    ["bab", ["▁", "b", "ab"], "−6.5 beats ▁bab, −7"],
    ["ac", ["▁a", "<unk>"], "−1 −17 = −18 beats ▁|?|?, −37"],
    ["cc b", ["▁", "<unk>", "▁", "b"], "unknown characters beside each other are one token"],
  ])("of %j is %j: %s", (text, pieces) => {
    expect(
      small()
        .tokens(text)
        .map((token) => token.piece),
    ).toEqual(pieces);
  });
});

describe("encode", () => {
  it("ends with the end token, pads and masks", () => {
    const { ids, attentionMask, length, truncated } = small().encode("ab");
    expect(Array.from(ids.data, Number)).toEqual([4, 5, 1, 0, 0, 0]);
    expect(Array.from(attentionMask.data, Number)).toEqual([1, 1, 1, 0, 0, 0]);
    expect([ids.dtype, attentionMask.dtype, length, truncated]).toEqual(["int64", "int64", 3, undefined]);
  });

  it("keeps the end token where it cuts and returns the words that did not fit", () => {
    const { ids, length, truncated } = small().encode("ab ab ab ");
    expect(Array.from(ids.data, Number)).toEqual([4, 5, 4, 5, 4, 1]);
    expect([length, truncated]).toEqual([6, "ab"]);
    expect(small().encode("ab ab", { maxLength: 3 }).truncated).toBe("ab");
  });

  it("of an empty text is the end token; a length without room for it is refused", () => {
    expect(Array.from(small().encode("", { maxLength: 1 }).ids.data, Number)).toEqual([1]);
    expect(() => small().encode("a", { maxLength: 0 })).toThrow(/whole number ≥ 1/);
    expect(() => small().encode("a".repeat(10_001))).toThrow(RangeError);
  });

  it("stacks a batch", () => {
    const tokenizer = small();
    expect(tokenizer.encodeBatch(["ab", ""], { maxLength: 3 }).shape).toEqual([2, 3]);
    const { ids, attentionMask } = stackEncodings(["ab", ""].map((text) => tokenizer.encode(text, { maxLength: 3 })));
    expect(Array.from(ids.data, Number)).toEqual([4, 5, 1, 1, 0, 0]);
    expect(Array.from(attentionMask.data, Number)).toEqual([1, 1, 1, 1, 0, 0]);
  });
});

describe("tokens", () => {
  it("say which word of the text they belong to", () => {
    const text = "  A red\tcircle, cafe\u0301  unphotographable ";
    const words = new Map(t5.tokens(text).map(({ word, start, end }) => [word, text.slice(start, end)]));
    expect([...words]).toEqual([
      [0, "A"],
      [1, "red"],
      [2, "circle,"],
      [3, "cafe\u0301"],
      [4, "unphotographable"],
    ]);
  });

  it("that reach across words belong to the word with which they appear", () => {
    const across = small({}, { vocab: [...vocab, ["▁a▁b", -0.5]] });
    expect(across.tokens("a b a").map(({ piece, word }) => [piece, word])).toEqual([
      ["▁a▁b", 0],
      ["▁a", 2],
    ]);
  });
});

describe("a description that is not known", () => {
  it.each([
    [{ model: { type: "Gzip", vocab: [] } }, {}, /Unknown TokenizerModel type: Gzip|expected/],
    [{ normalizer: { type: "Nmt" } }, {}, /Unknown Normalizer type: Nmt/],
    [{ model: undefined }, {}, /expected a model, found nothing/],
    [{}, { vocab: [] }, /expected a vocabulary/],
    [{}, { vocab: [["a", "b"]] }, /expected a piece and its score .* found \["a","b"\]/],
    [{}, { unk_id: 99 }, /expected an unknown token's unk_id, found 99/],
    [{}, { byte_fallback: true }, /without byte_fallback/],
    [
      {},
      { vocab: vocab.map(([piece, score]) => [piece === "<pad>" ? "x" : piece, score]) },
      /expected the padding token "<pad>"/,
    ],
    [{ added_tokens: {} }, {}, /expected a list of added_tokens/],
  ])("is refused: %j %j", (over, model, message) => {
    expect(() => small(over, model)).toThrow(ModelFolderError);
    expect(() => small(over, model)).toThrow(message);
  });

  it("of old, with add_prefix_space, is understood", () => {
    const old = { type: "Metaspace", replacement: "▁", add_prefix_space: false };
    expect(
      small({ pre_tokenizer: old })
        .tokens("ab")
        .map((token) => token.piece),
    ).toEqual(["ab"]);
    expect(small({ pre_tokenizer: { type: "Sequence", pretokenizers: [old] } }).tokens("ab")).toHaveLength(1);
  });
});

describe("loadTokenizer", () => {
  const config = (values: object) => (folder: string) => writeFile(join(folder, "tokenizer_config.json"), JSON.stringify(values));

  it("reads lengths and takes 512 for none or no limit", async () => {
    expect([t5.maxLength, t5.vocabularySize, t5.textStart]).toEqual([64, 160, 0]);
    expect((await loadTokenizer(await folderWith(config({})))).maxLength).toBe(512);
    expect((await loadTokenizer(await folderWith(config({ model_max_length: 1e30 })))).maxLength).toBe(512);
  });

  it("refuses padding on the left and strange lengths", async () => {
    await expect(loadTokenizer(await folderWith(config({ padding_side: "left" })))).rejects.toThrow(
      /expected padding on the right/,
    );
    await expect(loadTokenizer(await folderWith(config({ model_max_length: -1 })))).rejects.toThrow(
      /model_max_length is a whole/,
    );
  });

  it("never fails otherwise on a spiece.model that was cut or changed", async () => {
    const bytes = await readFile(join(golden, "spiece.model"));
    let refused = 0;
    for (let i = 0; i < 200; i++) {
      const damaged = i < 100 ? bytes.subarray(0, Math.floor((i * bytes.length) / 100)) : Buffer.from(bytes);
      if (i >= 100) damaged[(i * 7919) % bytes.length]! ^= 1 << (i % 8);
      const folder = await folderWith(async (f) => {
        await withoutJson(f);
        await writeFile(join(f, "spiece.model"), damaged);
      });
      const error = await loadTokenizer(folder).then(
        () => undefined,
        (e: unknown) => e,
      );
      if (error === undefined) continue;
      expect(error).toBeInstanceOf(ModelFolderError);
      refused++;
    }
    expect(refused).toBeGreaterThan(50);
  });
});
