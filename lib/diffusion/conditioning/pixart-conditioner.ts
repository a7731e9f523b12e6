import { float32 } from "../../tensor/index.js";
import type { Conditioner } from "./conditioner.js";
import { encodeText, type TextEncoder } from "./text-encoder.js";

export interface PixartConditionerOptions {
  /** Tokens per prompt: 120 of PixArt-α, 300 of PixArt-Σ. */
  readonly maxLength: number;
}

/**
 * PixArt: T5's last hidden states (`encoder_hidden_states`) and which of their tokens are padding
 * (`encoder_attention_mask`); the picture's size and shape (`resolution`, `aspect_ratio`) where the network asks for them.
 * Prompts are lower-cased and trimmed, as it was trained.
 * @see Chen et al. 2023, arXiv:2310.00426
 */
export function pixartConditioner(t5: TextEncoder, { maxLength }: PixartConditionerOptions): Conditioner {
  const prepared = (prompt: string): string => prompt.toLowerCase().trim();
  return {
    guidance: "classifier-free",
    async encode({ prompts, size: [height, width], options: { maxSequenceLength = maxLength, weighted } = {}, signal }) {
      const { lastHiddenState, mask } = await encodeText(t5, prompts.map(prepared), {
        maxLength: maxSequenceLength,
        weighted,
        signal,
      });
      const each = (values: readonly number[]): ReturnType<typeof float32> =>
        float32(
          prompts.flatMap(() => values),
          [prompts.length, values.length],
        );
      return {
        rows: {
          encoder_hidden_states: lastHiddenState,
          encoder_attention_mask: mask,
          resolution: each([height, width]),
          aspect_ratio: each([height / width]),
        },
      };
    },
    promptTokens: maxLength,
    truncated: (prompt) => t5.tokenizer.encode(prepared(prompt), { maxLength }).truncated,
  };
}
