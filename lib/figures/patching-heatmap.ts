import { Tensor } from "../tensor/tensor.js";
import type { Figure } from "./figure.js";
import { heatmap } from "./heatmap.js";
import { numberText } from "./text.js";

/** What patching a hook point at a timestep does. */
export interface PatchingEffects {
  /** One per row. */
  readonly hookPoints: readonly string[];
  /** One per column, in sampling order. */
  readonly timesteps: ArrayLike<number>;
  /** [hook point, timestep], float32: 0 as in the corrupted run, 1 as in the clean one; below 0 it leads away. */
  readonly effect: Tensor;
}

export interface PatchingHeatmapOptions {
  readonly title?: string;
  /** Says what is measured, on how many pairs of runs. */
  readonly subtitle?: string;
  /** What the cells hold; default "share of clean behaviour recovered". */
  readonly quantity?: string;
  /** The size drawn strongest, in either sign; default the largest, at least 1. */
  readonly reach?: number;
}

/**
 * Activation patching, hook point × timestep: how much of the clean run's behaviour comes back, in colours centred on 0.
 * @throws RangeError unless the effects are float32 [hook point, timestep]
 * @see Meng et al. 2022, arXiv:2202.05262 (causal tracing); Zhang and Nanda 2023, arXiv:2309.16042
 */
export function patchingHeatmap(effects: PatchingEffects, options: PatchingHeatmapOptions = {}): Figure {
  const { hookPoints, effect } = effects;
  const timesteps = Array.from(effects.timesteps);
  const [rows, columns] = effect.shape;
  if (
    effect.dtype !== "float32" ||
    effect.shape.length !== 2 ||
    rows !== hookPoints.length ||
    columns !== timesteps.length ||
    effect.size === 0
  )
    throw new RangeError(
      `patchingHeatmap: expected effects float32 [${hookPoints.length} hook points, ${timesteps.length} timesteps], got ${effect}`,
    );
  const { title = "Activation patching", subtitle, quantity = "share of clean behaviour recovered" } = options;
  const values = effect.data as Float32Array;
  const strongest = values.reduce((best, v, i) => (v > values[best]! || !Number.isFinite(values[best]) ? i : best), 0);
  const [row, column] = [Math.floor(strongest / timesteps.length), strongest % timesteps.length];
  const most = `most at ${hookPoints[row]}, t = ${numberText(timesteps[column])}: ${numberText(values[strongest])}`;
  const reach = options.reach ?? values.reduce((a, v) => (Number.isFinite(v) ? Math.max(a, Math.abs(v)) : a), 1);
  return heatmap(new Tensor("float32", values, [hookPoints.length, timesteps.length]), {
    title,
    subtitle: subtitle === undefined ? most : `${subtitle} · ${most}`,
    rows: hookPoints,
    shortRows: shortPaths(hookPoints),
    columns: timesteps.map((t) => numberText(t)),
    xLabel: "timestep, in sampling order",
    yLabel: "hook point",
    quantity,
    range: [-reach, reach],
    signed: true,
  });
}

/** Letters that fit beside the map. */
const longest = 38;

/** Paths that fit: long ones lose segments before the last, unless that makes two of them equal. */
function shortPaths(paths: readonly string[]): readonly string[] {
  const short = paths.map((path) => {
    if (path.length <= longest) return path;
    const segments = path.split(".");
    const without = (kept: number): string => `${segments.slice(0, kept).join(".")} … ${segments.at(-1)}`;
    let kept = segments.length - 2;
    while (kept > 1 && without(kept).length > longest) kept--;
    return kept < 1 ? path : without(kept);
  });
  return new Set(short).size === new Set(paths).size ? short : paths;
}
