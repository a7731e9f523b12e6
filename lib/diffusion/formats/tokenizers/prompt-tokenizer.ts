import { int64, type Tensor } from "../../../tensor/index.js";

/** One prompt as a text encoder takes it. */
export interface Encoding {
  /** int64 [1, maxLength]: what the encoder wants before the text, the text, what it wants behind, padding. */
  readonly ids: Tensor<"int64">;
  /** int64 [1, maxLength]: 1 for every token before the padding, 0 for the padding. */
  readonly attentionMask: Tensor<"int64">;
  /** Tokens before the padding, those around the text included. */
  readonly length: number;
  /** The end of the text that did not fit, undefined when all of it did. */
  readonly truncated: string | undefined;
}

/** One token of a text with the word that it belongs to. Offsets count UTF-16 units of the text given: `text.slice(start, end)`. */
export interface Token {
  readonly id: number;
  /** The vocabulary's piece, such as "circle</w>" or "▁circle". */
  readonly piece: string;
  /** Number of the word in the text, from 0. */
  readonly word: number;
  /** Of the whole word. */
  readonly start: number;
  readonly end: number;
}

export interface EncodeOptions {
  /** Tokens in the result, those around the text included; the tokenizer's `maxLength` by default. */
  readonly maxLength?: number;
}

/** What turns prompts into the tokens of a text encoder; `loadTokenizer` makes one. Safe to share. */
export interface PromptTokenizer {
  /** Tokens per prompt, those around the text included (`model_max_length`). */
  readonly maxLength: number;
  /** Highest token id + 1. */
  readonly vocabularySize: number;
  /** Tokens before the first of the text: 1 for CLIP (start), 0 for T5. */
  readonly textStart: number;
  /** @throws RangeError if `maxLength` has no room for the tokens around the text, or the text exceeds 10 000 characters */
  encode(text: string, options?: EncodeOptions): Encoding;
  /** Several prompts under each other: int64 [texts, maxLength]. Text that does not fit is cut off. */
  encodeBatch(texts: readonly string[], options?: EncodeOptions): Tensor<"int64">;
  /**
   * The tokens of a text, without those around it and padding, each with its word's place in the text.
   * @throws RangeError on a text of more than 10 000 characters
   */
  tokens(text: string): Token[];
  /** The text of token ids; tokens that stand for no text are left out. */
  decode(ids: Tensor<"int64"> | readonly number[]): string;
}

// Merging is quadratic in a word's length; no prompt comes near this.
const maxCharacters = 10_000;

/** @throws RangeError on a text that no prompt is as long as */
export function expectPrompt(text: string): void {
  if (text.length > maxCharacters) {
    throw new RangeError(`Tokenizer: a text has at most ${maxCharacters} characters, got ${text.length}; shorten the prompt`);
  }
}

/**
 * The encoding of `text`, whose tokens are `ids`: cut and padded to the length asked for.
 * @param around the tokens before and behind a text
 * @param startOf where in the text token `i` begins
 */
export function encodingOf(
  text: string,
  ids: readonly number[],
  around: { readonly before: readonly number[]; readonly behind: readonly number[]; readonly pad: number },
  maxLength: number,
  startOf: (i: number) => number,
): Encoding {
  const { before, behind, pad } = around;
  const fixed = before.length + behind.length;
  if (!Number.isSafeInteger(maxLength) || maxLength < Math.max(1, fixed)) {
    throw new RangeError(
      `Tokenizer.encode: maxLength is a whole number ≥ ${Math.max(1, fixed)} (the tokens around a text), got ${maxLength}`,
    );
  }
  const kept = ids.slice(0, maxLength - fixed);
  const all = [...before, ...kept, ...behind];
  const row = new BigInt64Array(maxLength).fill(BigInt(pad));
  all.forEach((id, i) => {
    row[i] = BigInt(id);
  });
  return {
    ids: int64(row, [1, maxLength]),
    attentionMask: int64(new BigInt64Array(maxLength).fill(1n, 0, all.length), [1, maxLength]),
    length: all.length,
    truncated: kept.length < ids.length ? text.slice(startOf(kept.length)).trimEnd() : undefined,
  };
}

/** Encodings of one length under each other: ids and attention masks int64 [encodings, maxLength]. */
export function stackEncodings(encodings: readonly Encoding[]): Pick<Encoding, "ids" | "attentionMask"> {
  const stack = (rows: readonly Tensor<"int64">[]): Tensor<"int64"> => {
    const length = rows[0]?.shape[1] ?? 0;
    const data = new BigInt64Array(rows.length * length);
    rows.forEach((row, i) => {
      data.set(row.data, i * length);
    });
    return int64(data, [rows.length, length]);
  };
  return { ids: stack(encodings.map((e) => e.ids)), attentionMask: stack(encodings.map((e) => e.attentionMask)) };
}

/** Token ids as plain numbers. */
export function numbersOf(ids: Tensor<"int64"> | readonly number[]): readonly number[] {
  return Array.isArray(ids) ? ids : Array.from((ids as Tensor<"int64">).data, Number);
}
