import { float32, type Tensor, zeros } from "../../tensor/index.js";
import { type Conditioner, promptsFor } from "./conditioner.js";
import { besideChannels, encodeText, type TextEncoder } from "./text-encoder.js";

export interface Sd3ConditionerOptions {
  /** Channels of the text states, `joint_attention_dim`. */
  readonly width: number;
  /** The third encoder, T5; where there is none its states are zeros, as many tokens as CLIP has. */
  readonly t5?: TextEncoder | undefined;
}

/**
 * Stable Diffusion 3: hidden states of two CLIP text encoders before their last layer, side by side and filled up with
 * zeros to T5's width, above those of T5 (`encoder_hidden_states`); the projected vectors of both CLIPs (`pooled_projections`).
 * @see Esser et al. 2024, arXiv:2403.03206, fig. 2
 */
export function sd3Conditioner(clips: readonly TextEncoder[], { width, t5 }: Sd3ConditionerOptions): Conditioner {
  return {
    guidance: "classifier-free",
    async encode(request) {
      const { prompts, branch, options: { clipSkip = 0, maxSequenceLength = 256, weighted } = {}, signal } = request;
      const skipped = branch === "cond" ? clipSkip : 0;
      const encoded = [];
      for (const [i, clip] of clips.entries()) {
        const texts = i === 0 ? prompts : promptsFor(2, request);
        encoded.push(await encodeText(clip, texts, { hiddenStateBefore: skipped + 1, weighted, signal }));
      }
      const pooled = encoded.map((e) => e.pooled);
      if (pooled.some((p) => p === undefined))
        throw new TypeError(
          "generate: expected text_embeds of SD3's CLIP text encoders, got none; export them with their projection",
        );
      const long =
        t5 === undefined
          ? zeros([prompts.length, clips[0]!.tokenizer.maxLength, width])
          : (await encodeText(t5, promptsFor(3, request), { maxLength: maxSequenceLength, weighted, signal })).lastHiddenState;
      const short = besideChannels(encoded.map((e) => e.hiddenState!));
      return {
        rows: {
          encoder_hidden_states: tokensBelow(widened(short, long.shape[2]!), long),
          pooled_projections: besideChannels(pooled as Tensor<"float32">[]),
        },
      };
    },
    promptTokens: clips[0]!.tokenizer.maxLength,
    truncated: (prompt) => clips[0]!.tokenizer.encode(prompt).truncated,
  };
}

/** States [row, token, channel] with zeros behind their channels. */
function widened(states: Tensor<"float32">, width: number): Tensor<"float32"> {
  const [rows = 0, tokens = 0, channels = 0] = states.shape;
  if (channels > width)
    throw new RangeError(
      `generate: CLIP states must have at most the ${width} channels of T5's, got ${channels}; one of the text encoders is of another model`,
    );
  return channels === width ? states : besideChannels([states, zeros([rows, tokens, width - channels])]);
}

/** Tokens of two states [row, token, channel] one after the other. */
function tokensBelow(first: Tensor<"float32">, second: Tensor<"float32">): Tensor<"float32"> {
  const [rows = 0, , channels = 0] = first.shape;
  const tokens = first.shape[1]! + second.shape[1]!;
  const data = new Float32Array(rows * tokens * channels);
  for (let row = 0; row < rows; row++) {
    const top = first.row(row).data;
    data.set(top, row * tokens * channels);
    data.set(second.row(row).data, row * tokens * channels + top.length);
  }
  return float32(data, [rows, tokens, channels]);
}
