import { float32, zeros } from "../../tensor/index.js";
import { type Conditioner, promptsFor } from "./conditioner.js";
import { encodeText, type TextEncoder } from "./text-encoder.js";

export interface FluxConditionerOptions {
  readonly clip: TextEncoder;
  readonly t5: TextEncoder;
  /** `guidance_embeds`: whether the network takes the guidance scale. */
  readonly guided: boolean;
  /** Pixels per side of a token. */
  readonly tokenSize: number;
}

/**
 * Flux: T5's last hidden states (`encoder_hidden_states`), the pooled vector of CLIP (`pooled_projections`), the places of
 * the tokens of text and picture (`txt_ids`, `img_ids`), and the guidance scale as a number (`guidance`).
 * @see https://github.com/black-forest-labs/flux
 */
export function fluxConditioner({ clip, t5, guided, tokenSize }: FluxConditionerOptions): Conditioner {
  return {
    guidance: guided ? "embedded" : "none",
    async encode(request) {
      const { prompts, size, guidanceScale, options: { maxSequenceLength = 512, weighted } = {}, signal } = request;
      const { pooled } = await encodeText(clip, prompts, { weighted, signal });
      if (pooled === undefined)
        throw new TypeError("generate: expected a pooler_output of Flux's CLIP text encoder, got none; export it with that");
      const { lastHiddenState } = await encodeText(t5, promptsFor(2, request), {
        maxLength: maxSequenceLength,
        weighted,
        signal,
      });
      const [rows, columns] = size.map((pixels) => Math.floor(pixels / tokenSize)) as [number, number];
      return {
        rows: {
          encoder_hidden_states: lastHiddenState,
          pooled_projections: pooled,
          ...(guided && { guidance: float32(prompts.map(() => guidanceScale)) }),
        },
        shared: {
          txt_ids: zeros([lastHiddenState.shape[1]!, 3]),
          img_ids: float32(Array.from({ length: rows * columns }, (_, i) => [0, Math.floor(i / columns), i % columns]).flat(), [
            rows * columns,
            3,
          ]),
        },
      };
    },
    promptTokens: 512,
    truncated: (prompt) => t5.tokenizer.encode(prompt, { maxLength: 512 }).truncated,
  };
}
