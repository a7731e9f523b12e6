import { Tokenizer as AnyTokenizer } from "@huggingface/tokenizers";
import type { Tensor } from "../../../tensor/index.js";
import { ModelFolderError } from "../model-folder-error.js";
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

/** What a `JsonTokenizer` is made of. */
export interface JsonTokenizerParts {
  /** The contents of a `tokenizer.json`. */
  readonly tokenizer: Readonly<Record<string, unknown>>;
  readonly padToken: string;
  readonly maxLength: number;
  /** Named in errors. */
  readonly file: string;
}

/**
 * A tokenizer as `tokenizer.json` describes it, such as T5's. Words are what stands between white space. Of a Precompiled normalizer
 * only SentencePiece's usual rule, nmt_nfkc, is done, whatever table the file has.
 */
export class JsonTokenizer implements PromptTokenizer {
  readonly maxLength: number;
  readonly vocabularySize: number;
  readonly padId: number;
  readonly #tokenizer: AnyTokenizer;
  readonly #before: readonly number[];
  readonly #behind: readonly number[];
  readonly #special: ReadonlySet<number>;

  /** @throws ModelFolderError if the description is malformed or has parts that are not known here */
  constructor({ tokenizer, padToken, maxLength, file }: JsonTokenizerParts) {
    const described = checked(tokenizer, file);
    try {
      this.#tokenizer = new AnyTokenizer(described as ConstructorParameters<typeof AnyTokenizer>[0], {
        clean_up_tokenization_spaces: false,
      });
    } catch (error) {
      throw new ModelFolderError(file, "a tokenizer of known parts", (error as Error).message);
    }
    const pad = this.#tokenizer.token_to_id(padToken);
    if (pad === undefined) throw new ModelFolderError(file, `the padding token "${padToken}" in the vocabulary`, "none");
    this.maxLength = maxLength;
    this.padId = pad;
    this.vocabularySize = [...this.#tokenizer.get_vocab(true).values()].reduce((most, id) => Math.max(most, id), 0) + 1;
    [this.#before, this.#behind] = this.#around(file);
    const added = [...this.#tokenizer.get_added_tokens_decoder().values()].filter((token) => token.special);
    this.#special = new Set([...added.map((token) => token.id), ...this.#before, ...this.#behind, pad]);
  }

  get textStart(): number {
    return this.#before.length;
  }

  encode(text: string, options: EncodeOptions = {}): Encoding {
    const around = { before: this.#before, behind: this.#behind, pad: this.padId };
    return encodingOf(text, this.#ids(text), around, options.maxLength ?? this.maxLength, (i) => this.tokens(text)[i]!.start);
  }

  encodeBatch(texts: readonly string[], options: EncodeOptions = {}): Tensor<"int64"> {
    return stackEncodings(texts.map((text) => this.encode(text, options))).ids;
  }

  tokens(text: string): Token[] {
    const ids = this.#ids(text);
    const words = [...text.matchAll(/\S+/g)].map((m) => ({ start: m.index, end: m.index + m[0].length }));
    if (words.length === 0) words.push({ start: 0, end: text.length });
    const wordOf = this.#wordOf(text, words, ids);
    return ids.map((id, i) => ({ id, piece: this.#tokenizer.id_to_token(id) ?? "", word: wordOf[i]!, ...words[wordOf[i]!]! }));
  }

  decode(ids: Tensor<"int64"> | readonly number[]): string {
    const text = numbersOf(ids).filter((id) => !this.#special.has(id));
    return text.length === 0 ? "" : this.#tokenizer.decode(text).trim();
  }

  #ids(text: string, specials = false): number[] {
    expectPrompt(text);
    return this.#tokenizer.encode(text, { add_special_tokens: specials }).ids;
  }

  /** The word of each token: where no token reaches across words, the tokens of the words, each with the space before it. */
  #wordOf(text: string, words: readonly { readonly end: number }[], ids: readonly number[]): number[] {
    const ends = words.map(({ end }, i) => (i === words.length - 1 ? text.length : end));
    const parts = ends.map((end, i) => this.#ids(text.slice(ends[i - 1] ?? 0, end)));
    const flat = parts.flat();
    if (flat.length === ids.length && flat.every((id, i) => id === ids[i])) {
      return parts.flatMap((part, word) => part.map(() => word));
    }
    // Else each belongs to the word with which the text has become long enough to have it.
    const counts = ends.map((end) => this.#ids(text.slice(0, end)).length);
    return ids.map((_, i) => {
      const word = counts.findIndex((count) => count > i);
      return word < 0 ? words.length - 1 : word;
    });
  }

  /** The tokens that are put before and behind every text, seen at one. */
  #around(file: string): [before: number[], behind: number[]] {
    const plain = this.#ids("a");
    const full = this.#ids("a", true);
    for (let at = 0; at + plain.length <= full.length; at++) {
      if (plain.every((id, i) => full[at + i] === id)) return [full.slice(0, at), full.slice(at + plain.length)];
    }
    throw new ModelFolderError(file, "a post-processor that puts tokens before and behind a text", `[${full}] of [${plain}]`);
  }
}

/** The description with what the package would misread refused or written as it understands it. */
function checked(tokenizer: Readonly<Record<string, unknown>>, file: string): Record<string, unknown> {
  const { model, normalizer, pre_tokenizer, added_tokens } = tokenizer as Record<
    string,
    Record<string, unknown> | null | undefined
  >;
  const refuse = (expected: string, found: unknown): never => {
    throw new ModelFolderError(file, expected, JSON.stringify(found) ?? "nothing");
  };
  if (typeof model !== "object" || model === null) return refuse("a model", model);
  if (model.type === "Unigram") {
    const { vocab, unk_id, byte_fallback } = model;
    const pair = (entry: unknown): boolean =>
      Array.isArray(entry) && typeof entry[0] === "string" && typeof entry[1] === "number" && entry.length === 2;
    if (!Array.isArray(vocab) || vocab.length === 0) return refuse("a vocabulary of pieces and scores", typeof vocab);
    if (!vocab.every(pair))
      return refuse(
        "a piece and its score in each entry of the vocabulary",
        vocab.find((e) => !pair(e)),
      );
    if (!Number.isSafeInteger(unk_id) || vocab[unk_id as number] === undefined)
      return refuse("an unknown token's unk_id", unk_id);
    if (byte_fallback === true) return refuse("a Unigram model without byte_fallback", byte_fallback);
  }
  if (added_tokens !== undefined && !Array.isArray(added_tokens)) return refuse("a list of added_tokens", added_tokens);
  return {
    post_processor: null,
    decoder: null,
    ...tokenizer,
    added_tokens: added_tokens ?? [],
    normalizer: corrected(normalizer ?? null),
    pre_tokenizer: modernized(pre_tokenizer ?? null),
  };
}

/** Before `prepend_scheme` there was `add_prefix_space`, which the package does not read. */
function modernized(part: Record<string, unknown> | null): Record<string, unknown> | null {
  if (part?.type === "Sequence" && Array.isArray(part.pretokenizers)) {
    return { ...part, pretokenizers: part.pretokenizers.map(modernized) };
  }
  const old = part?.type === "Metaspace" && part.prepend_scheme === undefined && part.add_prefix_space === false;
  return old ? { ...part, prepend_scheme: "never" } : part;
}

/** The package makes a space of the zero-width joiner in emoji, which SentencePiece keeps; so it is hidden from it. */
function corrected(part: Record<string, unknown> | null): Record<string, unknown> | null {
  if (part?.type === "Sequence" && Array.isArray(part.normalizers))
    return { ...part, normalizers: part.normalizers.map(corrected) };
  if (part?.type !== "Precompiled") return part;
  const [joiner, hidden] = ["\u200d", "\uf8fe"];
  const replace = (from: string, to: string): object => ({ type: "Replace", pattern: { String: from }, content: to });
  return { type: "Sequence", normalizers: [replace(joiner, hidden), part, replace(hidden, joiner)] };
}
