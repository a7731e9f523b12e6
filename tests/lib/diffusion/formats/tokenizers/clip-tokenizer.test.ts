import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { loadTokenizer } from "../../../../../lib/diffusion/formats/tokenizers/index.js";

const golden = fileURLToPath(new URL("../../../../golden/clip-tokenizer", import.meta.url));
const { cases } = JSON.parse(await readFile(join(golden, "cases.json"), "utf8")) as { cases: { text: string; ids: number[] }[] };
const clip = await loadTokenizer(golden);
const vocab: unknown = JSON.parse(await readFile(join(golden, "vocab.json"), "utf8"));
const lines = (await readFile(join(golden, "merges.txt"), "utf8"))
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#version"));

const folders: string[] = [];
/** A copy of the golden folder with one file rewritten. */
async function folderWith(name: string, content: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tokenizer-"));
  folders.push(folder);
  await cp(golden, folder, { recursive: true });
  await writeFile(join(folder, name), content);
  return folder;
}
afterEach(async () => {
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true })));
});

describe("CLIP's tokenization", () => {
  it.each(cases)("of $text equals the original's", ({ text, ids }) => {
    expect(clip.tokens(text).map((token) => token.id)).toEqual(ids);
  });
});

describe("encode", () => {
  it("adds start and end and pads with the end token", () => {
    const { ids, length, truncated } = clip.encode("a photo of a cat");
    expect(ids.shape).toEqual([1, 77]);
    expect(Array.from(ids.data.slice(0, 8), Number)).toEqual([49406, 320, 1125, 539, 320, 2368, 49407, 49407]);
    expect(length).toBe(7);
    expect(truncated).toBeUndefined();
  });

  it("masks the padding, which has the end token's id, but not the end token", () => {
    const { attentionMask } = clip.encode("a cat", { maxLength: 6 });
    expect(attentionMask.dtype).toBe("int64");
    expect(attentionMask.shape).toEqual([1, 6]);
    expect(Array.from(attentionMask.data, Number)).toEqual([1, 1, 1, 1, 0, 0]);
  });

  it("of an empty text is start and end", () => {
    expect(Array.from(clip.encode("", { maxLength: 4 }).ids.data, Number)).toEqual([49406, 49407, 49407, 49407]);
  });

  it("cuts long text and returns what did not fit", () => {
    const { ids, length, truncated } = clip.encode("word ".repeat(100));
    expect(Array.from(ids.data, Number)).toEqual([49406, ...new Array<number>(75).fill(2653), 49407]);
    expect(length).toBe(77);
    expect(truncated).toBe("word ".repeat(25).trimEnd());
  });

  it("pads with another token where the folder says so", async () => {
    const config = JSON.parse(await readFile(join(golden, "tokenizer_config.json"), "utf8")) as object;
    const folder = await folderWith("tokenizer_config.json", JSON.stringify({ ...config, pad_token: "a</w>" }));
    const tokenizer = await loadTokenizer(folder);
    expect(Array.from(tokenizer.encode("cat", { maxLength: 5 }).ids.data, Number)).toEqual([49406, 2368, 49407, 320, 320]);
  });

  it("refuses a length without room for start and end", () => {
    expect(() => clip.encode("cat", { maxLength: 1 })).toThrow(/whole number ≥ 2/);
  });

  it("refuses a text that no prompt is as long as", () => {
    expect(() => clip.encode("a".repeat(10_001))).toThrow(/at most 10000 characters, got 10001/);
  });

  it("stacks a batch", () => {
    const batch = clip.encodeBatch(["a cat", ""], { maxLength: 4 });
    expect(batch.shape).toEqual([2, 4]);
    expect(Array.from(batch.data, Number)).toEqual([49406, 320, 2368, 49407, 49406, 49407, 49407, 49407]);
  });
});

describe("tokens", () => {
  it("say which characters of which word they stand for", () => {
    const text = "A  photo\tSupercalifragilisticexpialidocious!";
    const tokens = clip.tokens(text.replace("!", ""));
    expect(tokens.slice(0, 2)).toEqual([
      { id: 320, piece: "a</w>", word: 0, start: 0, end: 1 },
      { id: 1125, piece: "photo</w>", word: 1, start: 3, end: 8 },
    ]);
    expect(new Set(tokens.slice(2).map(({ word, start, end }) => `${word} ${start} ${end}`))).toEqual(new Set(["2 9 43"]));
  });

  it("count offsets in the text as written, before normalization", () => {
    const text = "cafe\u0301 of 👨‍👩‍👧 cat";
    const spans = new Set(clip.tokens(text).map(({ start, end }) => text.slice(start, end)));
    expect(spans).toContain("cafe\u0301");
    expect(spans).toContain("of");
    expect(spans).toContain("cat");
  });
});

describe("a folder with tokenizer.json alone", () => {
  const folderOf = async (model: object): Promise<string> => {
    const folder = await folderWith("tokenizer.json", JSON.stringify({ model }));
    await Promise.all(["vocab.json", "merges.txt"].map((name) => rm(join(folder, name))));
    return folder;
  };
  it.each([
    ["strings", lines],
    ["pairs", lines.map((line) => line.split(" "))],
  ])("and merges as %s tokenizes as CLIP's own files do", async (_, merges) => {
    const tokenizer = await loadTokenizer(await folderOf({ type: "BPE", end_of_word_suffix: "</w>", vocab, merges }));
    for (const { text, ids } of cases) expect(tokenizer.tokens(text).map((token) => token.id)).toEqual(ids);
    expect(tokenizer.maxLength).toBe(77);
  });

  it.each([
    [{ vocab, merges: ["a b c"] }, /tokenizer\.json: expected merges of two pieces, found \["a","b","c"\]/],
    [{ vocab }, /expected merges of two pieces, found nothing/],
    [{ vocab: { a: -1 }, merges: [] }, /tokenizer\.json gives "a" the id -1/],
  ])("is refused if malformed", async (model, message) => {
    await expect(loadTokenizer(await folderOf({ type: "BPE", end_of_word_suffix: "</w>", ...model }))).rejects.toThrow(message);
  });
});

describe("decode", () => {
  it("leaves special tokens out", () => {
    expect(clip.decode(clip.encode("A photo of   a cat").ids)).toBe("a photo of a cat");
    expect(clip.decode([])).toBe("");
  });
});

describe("loadTokenizer", () => {
  it.each([
    ["vocab.json", "[]", /vocab\.json must hold an object/],
    ["vocab.json", "{", /vocab\.json is not JSON/],
    ["vocab.json", '{"a": "1"}', /ids are whole numbers/],
    ["vocab.json", '{"a": 1}', /the vocabulary lacks/],
    ["merges.txt", "#version: 0.2\na b c\n", /line 2 must hold two pieces, got "a b c"/],
    ["merges.txt", "q q\n", /the vocabulary lacks "qq"/],
    ["tokenizer_config.json", '{"tokenizer_class": "T5Tokenizer"}', /expected a CLIPTokenizer, got "T5Tokenizer"/],
    ["tokenizer_config.json", '{"model_max_length": -1}', /model_max_length is a whole number/],
    ["tokenizer_config.json", '{"pad_token": "constructor"}', /the vocabulary lacks "constructor"/],
  ])("explains a broken %s: %s", async (name, content, message) => {
    const folder = await folderWith(name, content);
    await expect(loadTokenizer(folder)).rejects.toThrow(TypeError);
    await expect(loadTokenizer(folder)).rejects.toThrow(message);
  });

  it("takes a folder in the place of a file for none of its files", async () => {
    const folder = await folderWith("merges.txt", "");
    await rm(join(folder, "merges.txt"));
    await mkdir(join(folder, "merges.txt"));
    await expect(loadTokenizer(folder)).rejects.toThrow(/merges\.txt must be a file of at most \d+ bytes, got one that is none/);
  });

  it("reads vocabularies of hundreds of thousands", async () => {
    const vocab = JSON.parse(await readFile(join(golden, "vocab.json"), "utf8")) as Record<string, number>;
    for (let i = 0; i < 300_000; i++) vocab[`piece${i}`] = 50_000 + i;
    const folder = await folderWith("vocab.json", JSON.stringify(vocab));
    expect((await loadTokenizer(folder)).vocabularySize).toBe(350_000);
  });

  it("names a missing file", async () => {
    await expect(loadTokenizer(join(golden, "nowhere"))).rejects.toThrow(/vocab\.json is missing/);
  });

  it("does not follow a link out of the folder", async () => {
    const folder = await folderWith("vocab.json", "{}");
    await rm(join(folder, "vocab.json"));
    await symlink(join(golden, "vocab.json"), join(folder, "vocab.json"));
    await expect(loadTokenizer(folder)).rejects.toThrow(/outside its folder/);
  });
});
