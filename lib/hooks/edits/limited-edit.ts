import type { Dim } from "../../onnx/index.js";
import type { GraphBuilder, Value } from "../../program/index.js";
import type { DType, Tensor } from "../../tensor/index.js";
import type { HookPoint } from "../hook-point.js";
import type { Edit, StepContext } from "./edit.js";
import { type EditOptions, factorFeed, factorsOf, isSoft, limitsText, rowWeights } from "./limits.js";

/** An input of an edit's program; by default float32 of the activation's rank with every axis left open. */
export type Input = (name: string, dtype?: DType, shape?: readonly Dim[]) => Value;

/** What an edit does where nothing limits it. */
export interface UnlimitedEdit {
  /** Edits of one kind at one place share compiled sessions. */
  readonly kind: string;
  readonly label: string;
  /** The edited activation, of x's dtype and shape. */
  readonly edited: (x: Value, g: GraphBuilder, input: Input, point: HookPoint) => Value;
  /**
   * Values of the inputs that `edited` declares.
   * @param rows how far the edit reaches each row, one number for all where they share it: where 0, any value will do
   */
  readonly feeds?: (point: HookPoint, context: StepContext, rows: readonly number[]) => Readonly<Record<string, Tensor>>;
  /** True at calls where the edit changes nothing, if `edited` does not give every bit of x then. */
  readonly isIdle?: (context: StepContext, point: HookPoint) => boolean;
}

/**
 * An edit held to the places its options name: x + w·(edited − x), where w is the product of a weight for each limit. Where w
 * is 0 x passes bit by bit, where it is 1 `edited` does.
 */
export function limitedEdit(pattern: string, edit: UnlimitedEdit, options: EditOptions): Edit {
  const named = factorsOf(options);
  const factors = edit.isIdle === undefined || named.includes("rows") ? named : (["rows", ...named] as const);
  const weightsOf = (point: HookPoint, context: StepContext): number[] =>
    edit.isIdle?.(context, point) ? [0] : rowWeights(point, options, context);
  return {
    pattern,
    structure: `${edit.kind} @ ${pattern} ${factors.join()}${isSoft(options) ? " soft" : ""}`,
    label: edit.label + limitsText(options),
    program: (point, name) => (x, g) => {
      const input: Input = (short, dtype = "float32", shape = x.shape.map(() => undefined)) => g.input(name(short), dtype, shape);
      const edited = edit.edited(x, g, input, point);
      if (factors.length === 0) return edited;
      const weight = factors.map((factor) => input(`limit.${factor}`)).reduce((a, b) => a.mul(b));
      return isSoft(options) ? blended(x, edited, weight, g) : chosen(x, edited, weight, g);
    },
    feeds: (point, context) => {
      const rows = weightsOf(point, context);
      const feeds: Record<string, Tensor> = { ...edit.feeds?.(point, context, rows) };
      for (const factor of factors) feeds[`limit.${factor}`] = factorFeed(factor, point, options, rows);
      return feeds;
    },
  };
}

/**
 * `edited` where the weight is not 0, else x. A product, because the CPU's Where turns a −0 that it takes from its second
 * input into +0; it keeps those of its third, and times 1 every number stays.
 */
function chosen(x: Value, edited: Value, weight: Value, g: GraphBuilder): Value {
  const none = weight.equal(0);
  return g.where(not(none, g), 1, x).mul(g.where(none, 1, edited));
}

function blended(x: Value, edited: Value, weight: Value, g: GraphBuilder): Value {
  const [none, all] = [weight.equal(0), weight.equal(1)];
  // x − w·(x − edited) rather than x + w·(edited − x): it keeps a −0 where the two are equal.
  const mixed = x.sub(x.sub(edited).mul(weight.cast(x.dtype)));
  return g
    .where(not(none, g), 1, x)
    .mul(g.where(not(all, g), 1, edited))
    .mul(g.where(g.op("Or", [none, all]), 1, mixed));
}

function not(condition: Value, g: GraphBuilder): Value {
  return g.op("Not", [condition]);
}
