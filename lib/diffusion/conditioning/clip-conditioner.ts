import type { Condition } from "../contracts.js";
import type { Conditioner } from "./conditioner.js";
import { guidanceEmbedding } from "./guidance-embedding.js";
import { encodeText, encodeTextSkipping, type TextEncoder } from "./text-encoder.js";

export interface ClipConditionerOptions {
  /** Tokens per prompt; default what the tokenizer says. */
  readonly maxLength?: number;
  /** Width of the embedded guidance scale, `time_cond_proj_dim`; where there is one it replaces the unconditional branch. */
  readonly guidanceWidth?: number | undefined;
}

/**
 * Stable Diffusion 1 and 2, what was distilled from them, and latent diffusion before them: the last hidden states of one text
 * encoder, CLIP's or BERT's, `encoder_hidden_states` [prompt, token, channel].
 */
export function clipConditioner(encoder: TextEncoder, options: ClipConditionerOptions = {}): Conditioner {
  const { guidanceWidth, maxLength = encoder.tokenizer.maxLength } = options;
  return {
    guidance: guidanceWidth === undefined ? "classifier-free" : "embedded",
    async encode({ prompts, branch, guidanceScale, options: { clipSkip = 0, weighted } = {}, signal }) {
      const states =
        clipSkip > 0 && branch === "cond"
          ? await encodeTextSkipping(encoder, prompts, clipSkip, { maxLength, weighted, signal })
          : (await encodeText(encoder, prompts, { maxLength, weighted, signal })).lastHiddenState;
      return { rows: { encoder_hidden_states: states, ...guidanceRows(guidanceWidth, guidanceScale, prompts.length) } };
    },
    promptTokens: maxLength,
    truncated: (prompt) => encoder.tokenizer.encode(prompt, { maxLength }).truncated,
  };
}

/** `timestep_cond`, where a network takes the guidance scale in that form. */
export function guidanceRows(width: number | undefined, scale: number, rows: number): Condition {
  return width === undefined ? {} : { timestep_cond: guidanceEmbedding(scale, width, rows) };
}
