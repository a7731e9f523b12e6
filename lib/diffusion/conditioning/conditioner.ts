import type { Branch } from "../../hooks/index.js";
import type { Condition } from "../contracts.js";

/** Height and width, or top and left, in pixels. */
export type PixelPair = readonly [vertical: number, horizontal: number];

/** What one run may tell a network besides prompts, as far as its family knows it. */
export interface ConditionOptions {
  /** Layers at the end of CLIP text encoders that are left out; default 0. The negative prompt keeps them, as in Diffusers. */
  readonly clipSkip?: number;
  /** SDXL: the size that the picture claims to have had before cropping; default that of the picture. */
  readonly originalSize?: PixelPair;
  /** SDXL: where its crop claims to begin; default [0, 0]. */
  readonly cropTopLeft?: PixelPair;
  /** SDXL: the size that it claims to be meant for; default that of the picture. */
  readonly targetSize?: PixelPair;
  /** The same for the unconditional branch; default those of the conditional one, as long as not both sizes are given. */
  readonly negativeOriginalSize?: PixelPair;
  readonly negativeCropTopLeft?: PixelPair;
  readonly negativeTargetSize?: PixelPair;
  /** SDXL's refiner: how beautiful the picture claims to be, 0…10; default 6, of the unconditional branch 2.5. */
  readonly aestheticScore?: number;
  readonly negativeAestheticScore?: number;
  /** Prompts for the second and third text encoder, where a family has them; where empty, the prompts themselves, as in Diffusers. */
  readonly prompt2?: string | readonly string[];
  readonly prompt3?: string | readonly string[];
  readonly negativePrompt2?: string | readonly string[];
  readonly negativePrompt3?: string | readonly string[];
  /** Whether prompts may weigh words, `(big:1.3)`, as `parseWeightedPrompt` reads them; default false, brackets are brackets. */
  readonly weighted?: boolean;
  /** Tokens of a T5 prompt; default the family's. */
  readonly maxSequenceLength?: number;
}

/** What one branch of a run is to be told. */
export interface ConditionRequest {
  /** One per picture; of a class-conditional network, names or numbers of classes. */
  readonly prompts: readonly string[];
  /** Which half of the guidance batch they are for; a branch that sees a picture alone is told what the unconditional one is. */
  readonly branch: Exclude<Branch, "imageCond">;
  /** That the unconditional branch's prompts are empty because no negative prompt was given. */
  readonly untold?: boolean;
  /** Pixels. */
  readonly size: readonly [height: number, width: number];
  readonly guidanceScale: number;
  readonly options?: ConditionOptions;
  readonly signal?: AbortSignal;
}

/** What a network is fed besides the state and the timestep, under Diffusers' names of its inputs. */
export interface Conditioning {
  /** One row per picture: guidance stacks these for its two branches. */
  readonly rows: Condition;
  /** The same for every row, without a batch axis, such as the positions of tokens. */
  readonly shared?: Condition;
}

/**
 * How a network is guided: by a second, unconditional branch; by a guidance scale that is one of its inputs; or not at all.
 */
export type GuidanceKind = "classifier-free" | "embedded" | "none";

/** Turns prompts, labels and sizes into what a network of one family is conditioned on. */
export interface Conditioner {
  readonly guidance: GuidanceKind;
  encode(request: ConditionRequest): Promise<Conditioning>;
  /** The end of a prompt that the text encoder has no room for. */
  truncated?(prompt: string): string | undefined;
  /** Tokens that it has room for. */
  readonly promptTokens?: number;
}

/**
 * The prompts for another text encoder than the first.
 * @throws RangeError if they are neither one nor one per picture
 */
export function promptsFor(encoder: 2 | 3, { prompts, branch, options = {} }: ConditionRequest): readonly string[] {
  const given = options[branch === "cond" ? (`prompt${encoder}` as const) : (`negativePrompt${encoder}` as const)];
  if (given === undefined) return prompts;
  const list = typeof given === "string" ? [given] : given;
  if (list.length !== 1 && list.length !== prompts.length) {
    throw new RangeError(`generate: expected 1 or ${prompts.length} prompts for text encoder ${encoder}, got ${list.length}`);
  }
  return prompts.map((prompt, i) => list[i % list.length] || prompt);
}

/** For networks that take the state and the timestep alone. */
export const unconditioned: Conditioner = { guidance: "none", encode: async () => ({ rows: {} }) };
