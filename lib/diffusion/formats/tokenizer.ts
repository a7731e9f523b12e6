import { readFile, realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { Tokenizer as BpeTokenizer } from "@huggingface/tokenizers";
import { int64, type Tensor } from "../../tensor/tensor.js";

/** One prompt as a text encoder takes it. */
export interface Encoding {
  /** int64 [1, maxLength]: start token, the text, end token, padding. */
  readonly ids: Tensor<"int64">;
  /** Tokens before the padding, start and end included. */
  readonly length: number;
  /** The end of the text that did not fit, undefined when all of it did. */
  readonly truncated: string | undefined;
}

/** One token of a text with the word that it belongs to. Offsets count UTF-16 units of the text given: `text.slice(start, end)`. */
export interface Token {
  readonly id: number;
  /** The vocabulary's piece, such as "circle</w>". */
  readonly piece: string;
  /** Number of the word in the text, from 0. */
  readonly word: number;
  readonly start: number;
  readonly end: number;
}

export interface EncodeOptions {
  /** Tokens in the result, start and end included; the tokenizer's `maxLength` by default. */
  readonly maxLength?: number;
}

const files = ["vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"] as const;

// CLIP splits into contractions, runs of letters, single digits, and runs of anything else that is not space.
const clipPattern = "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";
const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });
const rememberedWords = 20_000;
// Merging is quadratic in a word's length; no prompt comes near this.
const maxCharacters = 10_000;

/**
 * The byte-pair tokenizer of CLIP text encoders: lower-cases, splits into words, and cuts each word into pieces whose
 * last one ends with `</w>`. Safe to share; `loadTokenizer` makes one.
 * @see Radford et al. 2021, arXiv:2103.00020
 */
export class Tokenizer {
  /** Tokens per prompt, start and end included (`model_max_length`). */
  readonly maxLength: number;
  readonly vocabularySize: number;
  readonly startId: number;
  readonly endId: number;
  readonly padId: number;
  readonly #bpe: BpeTokenizer;
  readonly #words: RegExp;
  readonly #idsOfWord = new Map<string, readonly number[]>();

  /** @throws TypeError if the vocabulary lacks a special token or a merge's result */
  constructor(parts: TokenizerParts) {
    const { vocab, merges, startToken, endToken, padToken, maxLength } = parts;
    const idOf = (token: string): number => {
      const id = vocab[token];
      if (id === undefined) throw new TypeError(`Tokenizer: the vocabulary lacks "${token}"; vocab.json and the config disagree`);
      return id;
    };
    this.maxLength = maxLength;
    this.vocabularySize = Math.max(...Object.values(vocab)) + 1;
    this.startId = idOf(startToken);
    this.endId = idOf(endToken);
    this.padId = idOf(padToken);
    for (const pair of merges) idOf(pair.join(""));

    const specials = [startToken, endToken];
    this.#words = new RegExp(`${specials.map(literal).join("|")}|${clipPattern}`, "gu");
    this.#bpe = new BpeTokenizer(
      {
        added_tokens: specials.map((content) => ({
          id: idOf(content),
          content,
          single_word: false,
          lstrip: false,
          rstrip: false,
          normalized: false,
          special: true,
        })),
        normalizer: null,
        pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
        post_processor: null,
        decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true },
        model: {
          type: "BPE",
          unk_token: endToken,
          continuing_subword_prefix: "",
          end_of_word_suffix: "</w>",
          fuse_unk: false,
          vocab,
          merges,
        },
      },
      { clean_up_tokenization_spaces: false },
    );
  }

  /** @throws RangeError if `maxLength` leaves no room for the start and end tokens, or the text exceeds 10 000 characters */
  encode(text: string, options: EncodeOptions = {}): Encoding {
    const maxLength = options.maxLength ?? this.maxLength;
    if (!Number.isSafeInteger(maxLength) || maxLength < 2) {
      throw new RangeError(`Tokenizer.encode: maxLength is a whole number ≥ 2 (start and end tokens), got ${maxLength}`);
    }
    const tokens = this.tokens(text);
    const kept = tokens.slice(0, maxLength - 2);
    const ids = new BigInt64Array(maxLength).fill(BigInt(this.padId));
    ids[0] = BigInt(this.startId);
    kept.forEach((token, i) => {
      ids[i + 1] = BigInt(token.id);
    });
    ids[kept.length + 1] = BigInt(this.endId);
    const dropped = tokens[kept.length];
    return {
      ids: int64(ids, [1, maxLength]),
      length: kept.length + 2,
      truncated: dropped && text.slice(dropped.start).trimEnd(),
    };
  }

  /** Several prompts under each other: int64 [texts, maxLength]. Text that does not fit is cut off. */
  encodeBatch(texts: readonly string[], options: EncodeOptions = {}): Tensor<"int64"> {
    const maxLength = options.maxLength ?? this.maxLength;
    const ids = new BigInt64Array(texts.length * maxLength);
    texts.forEach((text, row) => {
      ids.set(this.encode(text, options).ids.data, row * maxLength);
    });
    return int64(ids, [texts.length, maxLength]);
  }

  /**
   * The tokens of a text, without start, end and padding, each with its word's place in the text.
   * @throws RangeError on a text of more than 10 000 characters
   */
  tokens(text: string): Token[] {
    if (text.length > maxCharacters) {
      throw new RangeError(`Tokenizer: a text has at most ${maxCharacters} characters, got ${text.length}; shorten the prompt`);
    }
    const { normalized, startOf, endOf } = normalize(text);
    const tokens: Token[] = [];
    let word = 0;
    for (const match of normalized.matchAll(this.#words)) {
      const start = startOf[match.index]!;
      const end = endOf[match.index + match[0].length - 1]!;
      for (const id of this.#encodeWord(match[0])) tokens.push({ id, piece: this.#bpe.id_to_token(id) ?? "", word, start, end });
      word++;
    }
    return tokens;
  }

  /** The text of token ids; start, end and padding are left out, and words are one space apart. */
  decode(ids: Tensor<"int64"> | readonly number[]): string {
    const numbers = Array.isArray(ids) ? ids : Array.from((ids as Tensor<"int64">).data, Number);
    const text = numbers.filter((id) => id !== this.startId && id !== this.endId && id !== this.padId);
    return text.length === 0 ? "" : this.#bpe.decode(text).replaceAll("</w>", " ").trim();
  }

  #encodeWord(word: string): readonly number[] {
    const known = this.#idsOfWord.get(word);
    if (known) return known;
    const { ids } = this.#bpe.encode(word, { add_special_tokens: false });
    if (this.#idsOfWord.size >= rememberedWords) this.#idsOfWord.clear();
    this.#idsOfWord.set(word, ids);
    return ids;
  }
}

/** What a tokenizer is made of. */
export interface TokenizerParts {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly (readonly [string, string])[];
  readonly startToken: string;
  readonly endToken: string;
  readonly padToken: string;
  readonly maxLength: number;
}

/**
 * Reads a CLIP tokenizer folder as Stable Diffusion exports have it: vocab.json, merges.txt, tokenizer_config.json and,
 * where present, special_tokens_map.json.
 * @throws TypeError if a file is missing, malformed, or a link that leads out of the folder
 */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  const [vocabText, mergesText, configText, specialText] = await Promise.all(files.map((name) => readInside(folder, name)));
  const vocab = parseVocab(required(vocabText, folder, "vocab.json"), folder);
  const merges = parseMerges(required(mergesText, folder, "merges.txt"), folder);
  const config = parseObject(required(configText, folder, "tokenizer_config.json"), `${folder}/tokenizer_config.json`);
  const special = specialText === undefined ? {} : parseObject(specialText, `${folder}/special_tokens_map.json`);

  const kind = config.tokenizer_class;
  if (kind !== undefined && kind !== "CLIPTokenizer" && kind !== "CLIPTokenizerFast") {
    throw new TypeError(
      `loadTokenizer: expected a CLIPTokenizer, got ${JSON.stringify(kind)} (${folder}); only CLIP's is supported`,
    );
  }
  const maxLength = config.model_max_length ?? 77;
  if (typeof maxLength !== "number" || !Number.isSafeInteger(maxLength) || maxLength < 2 || maxLength > 65_536) {
    throw new TypeError(
      `loadTokenizer: model_max_length is a whole number 2…65536, got ${JSON.stringify(maxLength)} (${folder})`,
    );
  }
  const token = (name: string, fallback: string): string => tokenText(special[name] ?? config[name]) ?? fallback;
  const endToken = token("eos_token", "<|endoftext|>");
  return new Tokenizer({
    vocab,
    merges,
    startToken: token("bos_token", "<|startoftext|>"),
    endToken,
    padToken: token("pad_token", endToken),
    maxLength,
  });
}

/** NFC, lower case, and for every unit of the result the source range of the grapheme it came from. */
function normalize(text: string): { normalized: string; startOf: number[]; endOf: number[] } {
  const startOf: number[] = [];
  const endOf: number[] = [];
  for (const { segment, index } of graphemes.segment(text)) {
    const length = segment.normalize("NFC").toLowerCase().length;
    for (let i = 0; i < length; i++) {
      startOf.push(index);
      endOf.push(index + segment.length);
    }
  }
  return { normalized: text.normalize("NFC").toLowerCase(), startOf, endOf };
}

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** A file's text, undefined where there is none. */
async function readInside(folder: string, name: string): Promise<string | undefined> {
  const path = join(folder, name);
  let real: string;
  try {
    real = await realpath(path);
  } catch {
    return undefined;
  }
  if (!real.startsWith((await realpath(folder)) + sep)) {
    throw new TypeError(`loadTokenizer: ${path} links to ${real}, outside its folder; copy the file into the folder`);
  }
  return readFile(real, "utf8");
}

function required(text: string | undefined, folder: string, name: string): string {
  if (text === undefined) throw new TypeError(`loadTokenizer: ${name} is missing in ${folder}; point to a CLIP tokenizer folder`);
  return text;
}

function parseObject(text: string, where: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new TypeError(`loadTokenizer: ${where} is not JSON: ${(error as Error).message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(`loadTokenizer: ${where} must hold an object, got ${text.slice(0, 40)}`);
  }
  return value as Record<string, unknown>;
}

function parseVocab(text: string, folder: string): Readonly<Record<string, number>> {
  const vocab = parseObject(text, `${folder}/vocab.json`);
  for (const [piece, id] of Object.entries(vocab)) {
    if (typeof id !== "number" || !Number.isSafeInteger(id) || id < 0) {
      throw new TypeError(
        `loadTokenizer: ${folder}/vocab.json gives "${piece}" the id ${JSON.stringify(id)}; ids are whole numbers`,
      );
    }
  }
  return vocab as Record<string, number>;
}

function parseMerges(text: string, folder: string): [string, string][] {
  const lines = text.split(/\r?\n/).map((line, i) => ({ line, number: i + 1 }));
  return lines
    .filter(({ line, number }) => line !== "" && !(number === 1 && line.startsWith("#version")))
    .map(({ line, number }) => {
      const [left, right, ...rest] = line.split(" ");
      if (!left || !right || rest.length > 0) {
        throw new TypeError(`loadTokenizer: ${folder}/merges.txt line ${number} must hold two pieces, got "${line}"`);
      }
      return [left, right];
    });
}

/** Special tokens are written plainly or as an object with `content`. */
function tokenText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "object" && value !== null && "content" in value && typeof value.content === "string")
    return value.content;
  return undefined;
}
