import type { Shape } from "../onnx/index.js";
import type { DType } from "../tensor/index.js";

/** What an axis of an activation counts. `batch` holds branch × item when guidance doubles it, `batch*head` heads inside those. */
export type Axis =
  | "step"
  | "branch"
  | "item"
  | "batch"
  | "batch*head"
  | "head"
  | "channel"
  | "feature"
  | "token"
  | "query"
  | "key"
  | "y"
  | "x"
  | `axis${number}`;

/**
 * What a hook point reads:
 * - `module`: a module's output (`mid_block`);
 * - `residual`: a value that leaves a module besides its output (`down_blocks.1:res0`);
 * - `module input`: what a module reads from outside (`mid_block:in`, further ones `mid_block:in1`, … in order of first use);
 * - `update`: what a module adds to its input, output − input, where both have one shape (`….attentions.0:update`);
 * - `attention`: `.q`, `.k`, `.v`, `.scores` (softmax' input), `.probs` and `.z` (each head's output) of an attention;
 * - `input`, `output`: of the whole model;
 * - `value`: any value of the graph, by its own name.
 */
export type HookPointKind = "module" | "residual" | "module input" | "update" | "attention" | "input" | "output" | "value";

/** How an activation is read from a value that holds it in another arrangement. */
export interface Layout {
  /** Shape of the value itself. */
  readonly shape: Shape;
  /** Heads that the value keeps inside its batch axis [batch·head, token, channel], or its channel axis [batch, token, head·channel]. */
  readonly heads?: { readonly count: number; readonly within: "batch" | "channel" };
  /** The value has the last two axes in the other order, as keys often are. */
  readonly swapped?: boolean;
}

/** A place in a model that can be captured and edited. */
export interface HookPoint {
  readonly path: string;
  readonly kind: HookPointKind;
  /** Name of the value in the ONNX graph. */
  readonly value: string;
  readonly axes: readonly Axis[];
  readonly shape?: Shape;
  readonly dtype?: DType;
  /** Where the value holds the activation in another arrangement; programs see the axes above all the same. */
  readonly layout?: Layout;
  /** Of an update, the value it is the change of: the activation is `value` − `minus`. */
  readonly minus?: string;
  /** Output of the fused attention inside which the value is computed: it exists once `unfuseAttention` has taken that apart. */
  readonly unfuse?: string;
}

/** A pattern that names no hook point of the model; `nearest` are names that look like it. */
export class UnknownHookPointError extends RangeError {
  override readonly name = "UnknownHookPointError";
  readonly pattern: string;
  readonly nearest: readonly string[];

  constructor(pattern: string, nearest: readonly string[]) {
    const hint = nearest.length > 0 ? `; did you mean ${nearest.map((n) => `"${n}"`).join(" or ")}?` : ";";
    super(`hook point "${pattern}": the model has no such module or value${hint} tree() lists what can be hooked`);
    this.pattern = pattern;
    this.nearest = nearest;
  }
}
