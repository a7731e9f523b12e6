import { type ColumnTable, table } from "arquero";
import { barsWithIntervals, Displayed, type Figure, heatmap, type MimeBundle } from "../figures/index.js";
import { type Axis, type HookPoint, positionAxes } from "../hooks/index.js";
import type { Environment } from "../runtime/index.js";
import { float32, type Tensor } from "../tensor/index.js";
import { sumOnto } from "./sum-onto.js";

export type AttributionMethod = "gradient" | "gradient × activation" | "integrated gradients" | "attribution patching";

/** Whether attributions add up to what they explain: Σ attribution = f(activation) − f(baseline). */
export interface Completeness {
  readonly difference: number;
  /** Σ attribution − difference. */
  readonly residual: number;
}

/** What one hook point contributes to the scalar. */
export interface PointAttribution {
  readonly hookPoint: HookPoint;
  readonly axes: readonly Axis[];
  /** float32, of the activation's shape */
  readonly activation: Tensor<"float32">;
  /** ∂scalar/∂activation at the activation as it was. */
  readonly gradient: Tensor<"float32">;
  /** One number per number of the activation, in units of the scalar; of the method "gradient" the gradient itself. */
  readonly attribution: Tensor<"float32">;
  /** Σ attribution. */
  readonly total: number;
  /** Of integrated gradients. */
  readonly completeness?: Completeness;
}

/** What is needed to make an attribution again. */
export interface AttributionManifest {
  readonly method: AttributionMethod;
  /** Settings of the method, defaults filled in. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The network call, as far as it is known. */
  readonly source?: unknown;
  readonly edits: readonly string[];
  readonly environment: Environment;
}

/** How much each activation of a network call matters for one number computed from its output. */
export class Attribution extends Displayed {
  readonly method: AttributionMethod;
  /** The scalar at this call. */
  readonly value: number;
  /** In the order of the model. */
  readonly points: readonly PointAttribution[];
  readonly manifest: AttributionManifest;

  constructor(parts: { value: number; points: readonly PointAttribution[]; manifest: AttributionManifest }) {
    super();
    this.value = parts.value;
    this.points = parts.points;
    this.manifest = parts.manifest;
    this.method = parts.manifest.method;
  }

  /** @throws RangeError if nothing was attributed to that hook point */
  at(path: string): PointAttribution {
    const found = this.points.find((p) => p.hookPoint.path === path);
    if (found === undefined) {
      throw new RangeError(
        `Attribution: "${path}" was not asked for; there are ${this.points.map((p) => p.hookPoint.path).join(", ")}`,
      );
    }
    return found;
  }

  /** Attribution by place, summed over channels and whatever else is no place: [y, x] or [token], of one row of the batch or summed over all. */
  places(path: string, row?: number): Tensor<"float32"> {
    const { axes, attribution } = this.at(path);
    const places = positionAxes(axes);
    if (places.length === 0) throw new RangeError(`Attribution.places: ${path} has no places, its axes are [${axes.join(", ")}]`);
    const rows = row === undefined ? attribution : attribution.slice(row, row + 1);
    const { sums, shape } = sumOnto(rows, places);
    return float32(Float32Array.from(sums), shape);
  }

  /** One row per hook point: total, Σ|attribution| and, for integrated gradients, the residual. */
  table(): ColumnTable {
    const completeness = this.points.some((p) => p.completeness);
    return table({
      "hook point": this.points.map((p) => p.hookPoint.path),
      total: this.points.map((p) => p.total),
      absolute: this.points.map((p) => p.attribution.data.reduce((sum, v) => sum + Math.abs(v), 0)),
      ...(completeness && { residual: this.points.map((p) => p.completeness?.residual) }),
    });
  }

  /** Totals by hook point, or with a path the places of one hook point. */
  figure(path?: string, row?: number): Figure {
    if (path === undefined) {
      const values = this.points.map(({ total }) => ({ mean: total, low: total, high: total }));
      return barsWithIntervals(
        this.points.map((p) => p.hookPoint.path),
        [{ name: this.method, values }],
        {
          title: `Attribution: ${this.method}`,
          subtitle: `the scalar is ${this.value.toPrecision(4)}; sums over each activation`,
          valueLabel: "attribution",
        },
      );
    }
    const places = this.places(path, row);
    const [x, y] = places.shape.toReversed();
    return heatmap(places.reshape([y ?? 1, x!]), {
      title: `Attribution: ${this.method}`,
      subtitle: path,
      xLabel: y === undefined ? "token" : "x",
      yLabel: y === undefined ? "" : "y",
      quantity: "attribution",
      numbers: false,
    });
  }

  override mimeBundle(): MimeBundle | Promise<MimeBundle> {
    return this.figure().mimeBundle();
  }
}
