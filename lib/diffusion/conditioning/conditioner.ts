import type { Branch } from "../../hooks/index.js";
import type { Condition } from "../contracts.js";

/** What one branch of a run is to be told. */
export interface ConditionRequest {
  /** One per picture; of a class-conditional network, names or numbers of classes. */
  readonly prompts: readonly string[];
  /** Which half of the guidance batch they are for. */
  readonly branch: Branch;
  /** Pixels. */
  readonly size: readonly [height: number, width: number];
  readonly guidanceScale: number;
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
  /** The end of a prompt that a text encoder has no room for. */
  truncated?(prompt: string): string | undefined;
}

/** For networks that take the state and the timestep alone. */
export const unconditioned: Conditioner = { guidance: "none", encode: async () => ({ rows: {} }) };
