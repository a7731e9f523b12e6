import { float32, type Tensor, zeros } from "../../tensor/index.js";
import { guidanceRows } from "./clip-conditioner.js";
import { type Conditioner, type ConditionOptions, type ConditionRequest, promptsFor } from "./conditioner.js";
import { besideChannels, encodeText, type TextEncoder } from "./text-encoder.js";

export interface SdxlConditionerOptions {
  /** Width of the embedded guidance scale, `time_cond_proj_dim`. */
  readonly guidanceWidth?: number | undefined;
  /** `force_zeros_for_empty_prompt`: without a negative prompt the unconditional branch is told zeros. Default true. */
  readonly zerosForEmptyPrompt?: boolean;
  /** `requires_aesthetics_score`: the refiner is told one instead of a target size. */
  readonly aesthetic?: boolean;
}

/**
 * Stable Diffusion XL: hidden states of two CLIP text encoders before their last layer, side by side
 * (`encoder_hidden_states`); the projected vector of the second (`text_embeds`); sizes and crop (`time_ids`).
 * @param encoders the refiner has the second alone
 * @see Podell et al. 2023, arXiv:2307.01952, §2.2
 */
export function sdxlConditioner(encoders: readonly TextEncoder[], options: SdxlConditionerOptions = {}): Conditioner {
  const { guidanceWidth, zerosForEmptyPrompt = true, aesthetic = false } = options;
  return {
    guidance: guidanceWidth === undefined ? "classifier-free" : "embedded",
    async encode(request) {
      const { prompts, branch, untold = false, guidanceScale, options: { clipSkip = 0, weighted } = {}, signal } = request;
      const skipped = branch === "cond" ? clipSkip : 0;
      const encoded = [];
      for (const encoder of encoders) {
        const isSecond = encoder === encoders.at(-1) && encoders.length > 1;
        const texts = isSecond ? promptsFor(2, request) : prompts;
        encoded.push(await encodeText(encoder, texts, { hiddenStateBefore: skipped + 1, weighted, signal }));
      }
      const pooled = encoded.at(-1)!.pooled;
      if (pooled === undefined)
        throw new TypeError(
          "generate: expected text_embeds of SDXL's last text encoder, got none; export it with its projection",
        );
      const states = besideChannels(encoded.map((e) => e.hiddenState!));
      const isZero = branch === "uncond" && untold && zerosForEmptyPrompt;
      return {
        rows: {
          encoder_hidden_states: isZero ? zeros(states.shape) : states,
          text_embeds: isZero ? zeros(pooled.shape) : pooled,
          time_ids: timeIds(request, aesthetic),
          ...guidanceRows(guidanceWidth, guidanceScale, prompts.length),
        },
      };
    },
    promptTokens: encoders[0]!.tokenizer.maxLength,
    truncated: (prompt) => encoders[0]!.tokenizer.encode(prompt).truncated,
  };
}

/** [row, 6]: original size, crop, target size; or [row, 5] with the score at the end. */
function timeIds({ prompts, branch, size, options = {} }: ConditionRequest, aesthetic: boolean): Tensor<"float32"> {
  const ids = branch === "uncond" ? negativeIds(options, size, aesthetic) : positiveIds(options, size, aesthetic);
  return float32(
    prompts.flatMap(() => ids),
    [prompts.length, ids.length],
  );
}

type Size = ConditionRequest["size"];

function positiveIds(options: ConditionOptions, size: Size, aesthetic: boolean): number[] {
  const { originalSize = size, cropTopLeft = [0, 0], targetSize = size, aestheticScore = 6 } = options;
  return [...originalSize, ...cropTopLeft, ...(aesthetic ? [aestheticScore] : targetSize)];
}

/** Sizes of its own only where both are given; a refiner's score is always its own. */
function negativeIds(options: ConditionOptions, size: Size, aesthetic: boolean): number[] {
  const { negativeOriginalSize, negativeTargetSize, negativeCropTopLeft = [0, 0], negativeAestheticScore = 2.5 } = options;
  const scored = { ...options, aestheticScore: negativeAestheticScore };
  if (aesthetic) {
    const own = { ...(negativeOriginalSize && { originalSize: negativeOriginalSize }), cropTopLeft: negativeCropTopLeft };
    return positiveIds({ ...scored, ...own }, size, aesthetic);
  }
  if (negativeOriginalSize === undefined || negativeTargetSize === undefined) return positiveIds(options, size, aesthetic);
  const own = { originalSize: negativeOriginalSize, targetSize: negativeTargetSize, cropTopLeft: negativeCropTopLeft };
  return positiveIds({ ...options, ...own }, size, aesthetic);
}
