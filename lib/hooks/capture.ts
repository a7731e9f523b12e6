import { freshNames, type Graph } from "../onnx/index.js";
import { int64, type Tensor } from "../tensor/index.js";
import { type Branch, expectBranch, type StepContext } from "./edits/edit.js";
import type { Axis, HookPoint } from "./hook-point.js";
import { withProgramOutput } from "./program-splice.js";
import { type Reduction, reductionKey, reductionProgram } from "./reduction.js";

/** What to capture: a pattern, or one with what is done before anything leaves the runtime. */
export type Capture =
  | string
  | {
      readonly at: string;
      readonly reduce?: Reduction;
      /** Only the rows of one guidance branch leave the graph; default all. */
      readonly branch?: Branch;
      /** float16 halves what is copied, and rounds to 11 significant bits; default float32. */
      readonly dtype?: "float32" | "float16";
      /** Key of the result, when one activation is captured in several ways; default its path. */
      readonly as?: string;
    };

/** One captured value of a rewritten graph. */
export interface Tap {
  readonly key: string;
  readonly output: string;
  readonly hookPoint: HookPoint;
  readonly axes: readonly Axis[];
  /** The one branch it holds. */
  readonly branch?: Branch;
  /** Name of the input that tells which rows those are. */
  readonly rows?: string;
}

export interface TapOptions {
  readonly opset: number;
  readonly find: (pattern: string) => readonly HookPoint[];
  /** A point as captures read it: behind its edits. */
  readonly current?: (point: HookPoint) => HookPoint;
}

/** The graph with what captures ask for as further outputs. @throws RangeError on two captures of one key */
export function tap(
  original: Graph,
  captures: readonly Capture[],
  { opset, find, current = (point) => point }: TapOptions,
): { readonly graph: Graph; readonly taps: readonly Tap[] } {
  let graph = original;
  const taps: Tap[] = [];
  const fresh = freshNames(graph);
  for (const one of captures) {
    const { at, reduce = [], branch, dtype = "float32", as } = typeof one === "string" ? { at: one } : one;
    for (const point of find(at)) {
      const key = as ?? point.path;
      if (taps.some((t) => t.key === key))
        throw new RangeError(`capture ${at}: "${key}" is captured already; drop one of them or name it with \`as\``);
      const { program, axes } = reductionProgram(reduce, point);
      const rows = branch === undefined ? undefined : fresh(`capture/${key}/rows`);
      if (rows !== undefined && point.axes[0] !== "batch")
        throw new RangeError(`capture ${at}: its rows cannot be told apart by branch, its axes are [${point.axes.join(", ")}]`);
      const output = fresh(`capture/${key}`);
      graph = withProgramOutput(
        graph,
        (x, g) => program(rows === undefined ? x : x.gather(g.input(rows, "int64", ["rows"])), g).cast(dtype),
        current(point),
        output,
        { opset, fresh },
      );
      taps.push({ key, output, hookPoint: point, axes, ...(branch !== undefined && rows !== undefined && { branch, rows }) });
    }
  }
  return { graph, taps };
}

/** Which rows of the batch are of the branches that taps hold. @throws RangeError if the run has no branches */
export function tapFeeds(taps: readonly Tap[], { branches }: StepContext): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = {};
  for (const { hookPoint, branch, rows } of taps) {
    if (rows === undefined || branch === undefined) continue;
    expectBranch(branch, branches, `capture ${hookPoint.path}`);
    feeds[rows] = int64((branches ?? []).flatMap((b, row) => (b === branch ? [row] : [])));
  }
  return feeds;
}

/** What tells captures apart, fit for JSON. */
export function captureKey(capture: Capture): unknown {
  if (typeof capture === "string") return capture;
  const { at, reduce, branch, dtype, as } = capture;
  return [at, as, branch, dtype, reduce === undefined ? undefined : reductionKey(reduce)];
}
