import { downsample, type Numbers, smooth } from "./downsample.js";
import { plotText } from "./escape.js";
import { Figure } from "./figure.js";
import { axis, frame, legendAbove, logAxis } from "./layout.js";
import { classStyle } from "./palette.js";
import type { Trace } from "./plot-value.js";
import { numberText } from "./text.js";

export interface LossSeries {
  readonly name: string;
  readonly y: Numbers;
  /** Steps; default 0, 1, 2… */
  readonly x?: Numbers;
}

export interface LossCurveOptions {
  readonly title?: string;
  readonly subtitle?: string;
  /** Logarithmic loss axis; default when every value is positive and they span more than a factor of ten. */
  readonly log?: boolean;
  /** By what factor a point counts less per step of distance, 0 (raw only) to below 1; default fits the length. */
  readonly smoothing?: number;
  readonly xLabel?: string;
  readonly yLabel?: string;
}

/**
 * Training curves: the raw values faint, the smoothed ones strong.
 * @throws RangeError if a series has more steps than values, or smoothing is outside 0…1
 */
export function lossCurve(series: readonly LossSeries[], options: LossCurveOptions = {}): Figure {
  const { title = "Loss", subtitle, xLabel = "step", yLabel = "loss" } = options;
  const traces: Trace[] = [];
  const ends: string[] = [];
  let low = Number.POSITIVE_INFINITY;
  let high = 0;
  series.forEach(({ name, y, x = Float64Array.from(y, (_, i) => i) }, k) => {
    const { color } = classStyle(k);
    const smoothing = options.smoothing ?? (y.length < 60 ? 0 : Math.max(0.5, 1 - 120 / y.length));
    if (!(smoothing >= 0 && smoothing < 1))
      throw new RangeError(`lossCurve: smoothing must be at least 0 and below 1, got ${smoothing}`);
    for (const v of y) {
      if (v < low) low = v;
      if (v > high) high = v;
    }
    const curve = smoothing === 0 ? undefined : smooth(smooth(y, smoothing), smoothing);
    const line = (values: Numbers, raw: boolean): Trace => ({
      type: "scatter",
      mode: y.length === 1 ? "markers" : "lines",
      ...downsample(x, values),
      name: plotText(name),
      legendgroup: String(k),
      showlegend: !raw,
      opacity: raw ? 0.28 : 1,
      line: { color, width: raw ? 1 : 2, simplify: raw },
      marker: { color },
      ...(raw ? { hoverinfo: "skip" } : { hovertemplate: "%{y:.4g}" }),
    });
    if (curve !== undefined) traces.push(line(y, true));
    traces.push(line(curve ?? y, false));
    ends.push(`${name} ${numberText((curve ?? y).at(-1))}`);
  });
  const log = options.log ?? (low > 0 && high / low > 10);
  return new Figure({
    data: traces,
    layout: {
      ...frame({ title, subtitle, height: 380, margin: { t: subtitle === undefined ? 72 : 98 } }),
      xaxis: axis(xLabel, { rangemode: "tozero", hoverformat: ",d" }),
      yaxis: log ? logAxis(yLabel, low, high) : axis(yLabel),
      hovermode: "x unified",
      legend: legendAbove,
      showlegend: series.length > 1,
    },
    summary: `${title}: ${series.length === 0 ? "nothing yet" : `last values ${ends.join(", ")}`}`,
  });
}
