import { Tokenizer as BpeTokenizer } from "@huggingface/tokenizers";
import type { Tensor } from "../../../tensor/index.js";
import { addedToken } from "./added-token.js";
import {
  type EncodeOptions,
  type Encoding,
  encodingOf,
  expectPrompt,
  numbersOf,
  type PromptTokenizer,
  stackEncodings,
  type Token,
} from "./prompt-tokenizer.js";

// CLIP splits into contractions, runs of letters, single digits, and runs of anything else that is not space.
const clipPattern = "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";
const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });
const rememberedWords = 20_000;

/**
 * The byte-pair tokenizer of CLIP text encoders: lower-cases, splits into words, and cuts each word into pieces whose
 * last one ends with `</w>`. Safe to share; `loadTokenizer` makes one.
 * @see Radford et al. 2021, arXiv:2103.00020
 */
export class Tokenizer implements PromptTokenizer {
  /** Tokens per prompt, start and end included (`model_max_length`). */
  readonly maxLength: number;
  readonly vocabularySize: number;
  readonly textStart = 1;
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
      const id = Object.hasOwn(vocab, token) ? vocab[token] : undefined;
      if (id === undefined) throw new TypeError(`Tokenizer: the vocabulary lacks "${token}"; vocab.json and the config disagree`);
      return id;
    };
    this.maxLength = maxLength;
    this.vocabularySize = Object.values(vocab).reduce((most, id) => Math.max(most, id), -1) + 1;
    this.startId = idOf(startToken);
    this.endId = idOf(endToken);
    this.padId = idOf(padToken);
    for (const pair of merges) idOf(pair.join(""));

    const specials = [startToken, endToken];
    this.#words = new RegExp(`${specials.map(literal).join("|")}|${clipPattern}`, "gu");
    this.#bpe = new BpeTokenizer(
      {
        added_tokens: specials.map((content) => addedToken(idOf(content), content)),
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
    const tokens = this.tokens(text);
    const around = { before: [this.startId], behind: [this.endId], pad: this.padId };
    const ids = tokens.map((token) => token.id);
    return encodingOf(text, ids, around, options.maxLength ?? this.maxLength, (i) => tokens[i]!.start);
  }

  /** Several prompts under each other: int64 [texts, maxLength]. Text that does not fit is cut off. */
  encodeBatch(texts: readonly string[], options: EncodeOptions = {}): Tensor<"int64"> {
    return stackEncodings(texts.map((text) => this.encode(text, options))).ids;
  }

  /**
   * The tokens of a text, without start, end and padding, each with its word's place in the text.
   * @throws RangeError on a text of more than 10 000 characters
   */
  tokens(text: string): Token[] {
    expectPrompt(text);
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
    const text = numbersOf(ids).filter((id) => id !== this.startId && id !== this.endId && id !== this.padId);
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
