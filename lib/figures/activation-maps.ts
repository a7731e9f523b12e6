import { Tensor } from "../tensor/tensor.js";
import { Figure } from "./figure.js";
import { cellGrid, gridAxes } from "./image-traces.js";
import { colorBar, frame, label } from "./layout.js";
import { signed as signedScale, viridis } from "./palette.js";
import type { PlotObject, Trace } from "./plot-value.js";
import { numberText } from "./text.js";

export interface ActivationMapsOptions {
  readonly title?: string;
  /** Channels to show, in this order; default the `limit` channels that vary most over the picture. */
  readonly channels?: readonly number[];
  /** How many channels are chosen; default 24. */
  readonly limit?: number;
  /** One text per shown channel; default its number. */
  readonly titles?: readonly string[];
  /** One colour scale for all maps (default), or each map on its own scale. */
  readonly scale?: "shared" | "each";
  /** Colours centred on zero; default when the shown values have both signs. */
  readonly signed?: boolean;
  readonly columns?: number;
  /** What the values are, with unit; default "activation". */
  readonly quantity?: string;
}

/**
 * Channels of an activation as heat maps.
 * @param activation float32 tensor [channels, height, width] (or [1, channels, height, width])
 * @throws RangeError for another shape or an absent channel; TypeError for another dtype
 */
export function activationMaps(activation: Tensor, options: ActivationMapsOptions = {}): Figure {
  const maps =
    activation.shape.length === 4 && activation.shape[0] === 1 ? activation.reshape(activation.shape.slice(1)) : activation;
  const [count, height, width] = maps.shape as [number, number, number];
  if (maps.shape.length !== 3) throw new RangeError(`activationMaps: expected [channels, height, width], got ${activation}`);
  if (maps.dtype !== "float32") throw new TypeError(`activationMaps: expected float32, got ${activation}; convert it first`);
  const { title = "Activation maps", scale = "shared", quantity = "activation", limit = 24 } = options;
  const channels = options.channels ?? mostVarying(maps, limit);
  for (const c of channels) {
    if (!Number.isInteger(c) || c < 0 || c >= count)
      throw new RangeError(`activationMaps: channel ${c} is outside 0…${count - 1}`);
  }
  const values = channels.map((c) => maps.row(c).data as Float32Array);
  const ranges = values.map(rangeOf);
  const overall: Range = [Math.min(...ranges.map((r) => r[0])), Math.max(...ranges.map((r) => r[1]))];
  const signed = options.signed ?? (overall[0] < 0 && overall[1] > 0);
  const limits = (range: Range): Range => {
    const reach = Math.max(Math.abs(range[0]), Math.abs(range[1]));
    return signed ? [-reach, reach] : range;
  };

  const grid = cellGrid({
    count: channels.length,
    cellWidth: width,
    cellHeight: height,
    columns: options.columns,
    titleRoom: 18,
    maxCell: 150,
    width: scale === "shared" ? 690 : 768,
  });
  const data = channels.map((channel, i): Trace => {
    const [zmin, zmax] = limits(ranges[i]!);
    const name = options.titles?.[i] ?? `channel ${channel}`;
    return {
      type: "heatmap",
      z: new Tensor("float32", values[i]!, [height, width]),
      x0: grid.left(i) + 0.5,
      dx: 1,
      y0: grid.top(i) + 0.5,
      dy: 1,
      name,
      hovertemplate: `%{z:.4g}<extra>channel ${channel}</extra>`,
      ...(scale === "shared"
        ? { coloraxis: "coloraxis" }
        : { zmin, zmax, colorscale: signed ? signedScale : viridis, showscale: false }),
    };
  });
  const [cmin, cmax] = limits(overall);
  const colored: PlotObject =
    scale === "shared"
      ? {
          coloraxis: {
            cmin,
            cmax,
            colorscale: signed ? signedScale : viridis,
            colorbar: colorBar(quantity, { len: 1, y: 1, yanchor: "top" }),
          },
        }
      : {};
  const left = count - channels.length;
  return new Figure({
    data,
    layout: {
      ...frame({
        title,
        subtitle: [
          `${channels.length} of ${count} channels${options.channels === undefined && left > 0 ? ", those that vary most" : ""}`,
          `${height}×${width}`,
          scale === "each" ? "each map on its own scale" : "one scale",
        ].join(" · "),
        height: Math.ceil(grid.height * grid.zoom) + 84,
        margin: { l: 12, r: 20, t: 68, b: 12 },
      }),
      ...gridAxes(grid.width, grid.height),
      ...colored,
      annotations: channels.map((channel, i) =>
        label(
          options.titles?.[i] ?? (scale === "each" ? `${channel} · ±${numberText(limits(ranges[i]!)[1], 2)}` : String(channel)),
          grid.left(i) + width / 2,
          grid.top(i),
          { xanchor: "center", yanchor: "bottom" },
        ),
      ),
    },
    summary: `${title}: ${channels.length} of ${count} channels, ${height}×${width}, values ${numberText(overall[0])} to ${numberText(overall[1])}`,
  });
}

type Range = readonly [number, number];

function rangeOf(values: Float32Array): Range {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const v of values) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return [low, high];
}

/** The `limit` channels with the largest variance over positions, in channel order. */
function mostVarying(maps: Tensor, limit: number): readonly number[] {
  const [count, height, width] = maps.shape as [number, number, number];
  const area = height * width;
  const values = maps.data as Float32Array;
  const variance = Float64Array.from({ length: count }, (_, c) => {
    let sum = 0;
    let squares = 0;
    for (let p = c * area; p < (c + 1) * area; p++) {
      sum += values[p]!;
      squares += values[p]! ** 2;
    }
    return squares / area - (sum / area) ** 2;
  });
  return Array.from(variance.keys())
    .sort((a, b) => variance[b]! - variance[a]! || a - b)
    .slice(0, limit)
    .sort((a, b) => a - b);
}
