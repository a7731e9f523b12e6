import type { Shape } from "../onnx/index.js";
import { nearestNames } from "../runtime/feeds.js";
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
  | "token"
  | "query"
  | "key"
  | "y"
  | "x"
  | `axis${number}`;

/**
 * What a hook point reads: a module's output, a value that leaves a module besides its output
 * (`down_blocks.1:res0`), attention probabilities (`….attn2.probs`), an input or output of the whole model, or any
 * value of the graph by its own name.
 */
export type HookPointKind = "module" | "residual" | "attention" | "input" | "output" | "value";

/** A place in a model that can be captured and edited. */
export interface HookPoint {
  readonly path: string;
  readonly kind: HookPointKind;
  /** Name of the value in the ONNX graph. */
  readonly value: string;
  readonly axes: readonly Axis[];
  readonly shape?: Shape;
  readonly dtype?: DType;
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

/**
 * Hook points named by a pattern: an exact path, or a glob over dotted paths in which `*` stands for anything
 * within one segment (`down_blocks.*`) and `**` for any number of segments (`**.attn2`).
 * @throws UnknownHookPointError if nothing matches
 */
export function matchHookPoints(points: ReadonlyMap<string, HookPoint>, pattern: string): readonly HookPoint[] {
  const exact = points.get(pattern);
  if (exact !== undefined) return [exact];
  const glob = pattern.includes("*") ? globExpression(pattern) : undefined;
  const matches = glob === undefined ? [] : [...points.values()].filter((p) => glob.test(p.path));
  if (matches.length === 0) throw new UnknownHookPointError(pattern, nearest(pattern, [...points.keys()]));
  return matches;
}

function globExpression(pattern: string): RegExp {
  const source = pattern
    .split(/(\*\*\.|\.\*\*|\*\*|\*)/)
    .map((part) => {
      if (part === "**.") return "(?:[^:]+\\.)?";
      if (part === ".**") return "(?:\\.[^:]+)?";
      if (part === "**") return "[^:]*";
      if (part === "*") return "[^.:]+";
      return part.replace(/[\\^$.|?+()[\]{}]/g, "\\$&");
    })
    .join("");
  return new RegExp(`^${source}$`);
}

/** Up to three names that look like the pattern; for `**.attn3` the endings that do, as patterns again. */
function nearest(pattern: string, names: readonly string[]): string[] {
  const tail = pattern.startsWith("**.") ? pattern.slice(3) : undefined;
  if (tail === undefined) return nearestNames(pattern, names);
  const length = tail.split(".").length;
  const tails = new Set(names.map((name) => name.split(".").slice(-length).join(".")));
  return nearestNames(tail, [...tails]).map((name) => `**.${name}`);
}
