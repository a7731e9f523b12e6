import { float32, type Tensor } from "../../../tensor/index.js";
import type { EncodeOptions, PromptTokenizer } from "./prompt-tokenizer.js";

/** A stretch of a prompt with the weight of its words. */
export interface PromptSegment {
  readonly text: string;
  readonly weight: number;
}

const bracketWeight = 1.1;
// An escaped character, a closing weight, a bracket, or text.
const lexeme = /\\([()[\]\\])|:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)|([()[\]])|[^\\()[\]:]+|[\\:]/g;

/**
 * Reads a prompt in which words are weighted, as AUTOMATIC1111's web UI writes it: `(big)` × 1.1, `(big:1.3)` × 1.3,
 * `[big]` ÷ 1.1, nested ones multiplied; `\(` is a bracket that is meant as one. A bracket left open reaches to the end.
 * @returns segments whose texts together are the prompt without its marks; neighbours differ in weight
 */
export function parseWeightedPrompt(prompt: string): PromptSegment[] {
  const segments: { text: string; weight: number }[] = [];
  const open: Record<"(" | "[", number[]> = { "(": [], "[": [] };
  const weigh = (from: number | undefined, factor: number): void => {
    for (const segment of segments.slice(from)) segment.weight *= factor;
  };
  for (const [text, escaped, weight, bracket] of prompt.matchAll(lexeme)) {
    if (bracket === "(" || bracket === "[") open[bracket].push(segments.length);
    else if (weight !== undefined && open["("].length > 0) weigh(open["("].pop(), Number(weight));
    else if (bracket === ")" && open["("].length > 0) weigh(open["("].pop(), bracketWeight);
    else if (bracket === "]" && open["["].length > 0) weigh(open["["].pop(), 1 / bracketWeight);
    else segments.push({ text: escaped ?? text, weight: 1 });
  }
  for (const from of open["("]) weigh(from, bracketWeight);
  for (const from of open["["]) weigh(from, 1 / bracketWeight);
  const merged: { text: string; weight: number }[] = [];
  for (const segment of segments) {
    const last = merged.at(-1);
    if (last?.weight === segment.weight) last.text += segment.text;
    else merged.push(segment);
  }
  return merged;
}

/** The prompt without marks: what is tokenized. */
export function plainPrompt(segments: readonly PromptSegment[]): string {
  return segments.map(({ text }) => text).join("");
}

/**
 * One weight for each token of `tokenizer.encode(plainPrompt(segments))`: that of the segment its word begins in, 1 for the tokens
 * around the text and padding.
 * @returns Float32Array [maxLength]
 */
export function tokenWeights(
  tokenizer: PromptTokenizer,
  segments: readonly PromptSegment[],
  options: EncodeOptions = {},
): Float32Array {
  const text = plainPrompt(segments);
  const { length, ids } = tokenizer.encode(text, options);
  const weights = new Float32Array(ids.shape[1]!).fill(1);
  const tokens = tokenizer.tokens(text);
  const behind = tokenizer.encode("").length - tokenizer.textStart;
  for (const [i, { start }] of tokens.slice(0, length - tokenizer.textStart - behind).entries()) {
    weights[tokenizer.textStart + i] = weightAt(segments, start);
  }
  return weights;
}

function weightAt(segments: readonly PromptSegment[], offset: number): number {
  let end = 0;
  for (const { text, weight } of segments) {
    end += text.length;
    if (offset < end) return weight;
  }
  return 1;
}

/**
 * Text states with each token's multiplied by its weight. All are then scaled so that their mean is what it was, as AUTOMATIC1111's
 * web UI does by default: weights shift the emphasis between words, not the level of the whole. Where the weighted states' mean is
 * zero they stay as they are.
 * @param states float32 [1, token, channel], as the text encoder gives them
 * @param weights one for each token
 * @throws RangeError if there are not as many weights as tokens
 */
export function applyTokenWeights(states: Tensor<"float32">, weights: ArrayLike<number>): Tensor<"float32"> {
  const [rows, tokens, channels] = states.shape as [number, number, number];
  if (states.shape.length !== 3 || rows !== 1 || weights.length !== tokens) {
    throw new RangeError(
      `applyTokenWeights: expected states [1, ${weights.length}, channel] for ${weights.length} weights, got [${states.shape}]`,
    );
  }
  const weighted = states.data.map((value, i) => value * weights[Math.floor(i / channels)]!);
  const after = sum(weighted);
  const scale = after === 0 ? 1 : sum(states.data) / after;
  return float32(
    weighted.map((value) => value * scale),
    states.shape,
  );
}

function sum(values: Float32Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
