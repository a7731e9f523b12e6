import type { Tensor } from "../tensor/tensor.js";
import { hoverText } from "./escape.js";
import { Figure } from "./figure.js";
import { cellGrid, gridAxes, imageTrace } from "./image-traces.js";
import { colorBar, frame, label } from "./layout.js";
import { overlay, signed, viridis } from "./palette.js";
import { type Picture, shrinkPicture } from "./picture.js";
import type { PlotObject, Trace } from "./plot-value.js";
import { expectSteps, type StepSeries, stepper, stepperRoom, stepTexts } from "./stepper.js";
import { numberText, shorten } from "./text.js";

/** A map with a name. */
export interface NamedMap {
  readonly name: string;
  /** Float32 [y, x], or [step, y, x]; it covers the whole picture, whatever its resolution. */
  readonly map: Tensor;
}

export interface MapsOverPicture extends StepSeries {
  /** The function that the maps were given to, for its errors. */
  readonly where: string;
  readonly title: string;
  readonly subtitle?: string | undefined;
  readonly picture: Picture;
  readonly maps: readonly NamedMap[];
  /** Whether maps have both signs: blue below zero, red above. */
  readonly signed: boolean;
  /** One colour scale for all maps (default), or each map on its own. */
  readonly scale?: "shared" | "each" | undefined;
  /** On a shared scale, the value (of either sign) drawn strongest; default the largest of all maps. */
  readonly reach?: number | undefined;
  /** Outlines the cells whose size is at least this. */
  readonly threshold?: number | undefined;
  /** What the maps hold, with unit. */
  readonly quantity: string;
  readonly columns?: number | undefined;
  /** Step shown first; default the last. */
  readonly start?: number | undefined;
}

/** The picture, then each map over the picture in gray, on one colour scale; a slider where maps have steps. */
export function mapsOverPicture(parts: MapsOverPicture): Figure {
  const { where, title, picture, maps, threshold, quantity } = parts;
  if (maps.length === 0) throw new RangeError(`${where}: expected at least one map, got none`);
  const series = maps.map(({ name, map }) => stepsOf(where, name, map));
  const steps = series[0]!.shape[0]!;
  series.forEach((s, i) => {
    if (s.shape[0] !== steps)
      throw new RangeError(`${where}: ${maps[i]!.name} has ${s.shape[0]} steps, ${maps[0]!.name} has ${steps}`);
  });
  expectSteps(where, steps, parts);
  const texts = stepTexts(steps, parts);
  const start = Math.min(steps - 1, Math.max(0, parts.start ?? steps - 1));
  const shared = parts.scale !== "each";
  const peaks = series.map(largest);
  const limits = (peak: number): [low: number, high: number] => [parts.signed ? -peak : 0, peak || 1];
  const reach = parts.reach ?? Math.max(...peaks);
  const colorscale = parts.signed ? overlay(signed, 0.5) : overlay(viridis, 0);

  const grid = cellGrid({
    count: maps.length + 1,
    cellWidth: picture.width,
    cellHeight: picture.height,
    columns: parts.columns ?? Math.min(5, maps.length + 1),
    titleRoom: 18,
    maxCell: 200,
    width: shared ? 690 : 768,
  });
  const letters = Math.floor((picture.width * grid.zoom) / 6.5);
  const names = maps.map(({ name }, i) => {
    const peak = shared ? "" : ` · ${parts.signed ? "±" : "max "}${numberText(peaks[i], 2)}`;
    return shorten(name, letters - peak.length) + peak;
  });
  const at = (i: number): Place => ({ left: grid.left(i), top: grid.top(i), width: picture.width, height: picture.height });
  // Twice the pixels shown, for dense screens; every panel holds a picture.
  const shown = shrinkPicture(picture, 2 * Math.max(picture.width, picture.height) * Math.min(1, grid.zoom));
  const gray = grayed(shown);
  const heat = (s: Tensor, step: number): Tensor => s.row(step);
  const outline = (i: number, step: number): PlotObject =>
    threshold === undefined ? {} : outlineOf(series[i]!.row(step), threshold, at(i + 1));
  const outlines = threshold === undefined ? [] : maps;
  const controls = stepper(texts, start);
  const subtitle = [
    parts.subtitle,
    steps === 1 ? undefined : `${steps} steps`,
    shared ? undefined : `${quantity}, each map on its own scale`,
    threshold === undefined ? undefined : `outlined from ${numberText(threshold)}`,
  ]
    .filter((s) => s !== undefined)
    .join(" · ");
  const header = subtitle === "" ? 48 : 70;
  const bottom = steps === 1 ? 12 : stepperRoom;
  return new Figure({
    data: [
      imageTrace(shown, { ...at(0), hover: "picture" }),
      ...maps.map((_, i) => imageTrace(gray, at(i + 1))),
      ...series.map((s, i): Trace => {
        const [, height, width] = s.shape as [number, number, number];
        const [dx, dy] = [picture.width / width, picture.height / height];
        return {
          type: "heatmap",
          z: heat(s, start),
          x0: grid.left(i + 1) + dx / 2,
          dx,
          y0: grid.top(i + 1) + dy / 2,
          dy,
          ...(shared
            ? { coloraxis: "coloraxis" }
            : { zmin: limits(peaks[i]!)[0], zmax: limits(peaks[i]!)[1], colorscale, showscale: false }),
          hovertemplate: `${hoverText(maps[i]!.name)}<br><b>%{z:.3~g}</b><extra></extra>`,
        };
      }),
      ...outlines.map(
        (_, i): Trace => ({
          type: "scatter",
          mode: "lines",
          ...outline(i, start),
          line: { color: "#111111", width: 1.5 },
          showlegend: false,
          hoverinfo: "skip",
        }),
      ),
    ],
    frames:
      steps === 1
        ? undefined
        : texts.map((_, step) => ({
            name: String(step),
            data: [...series.map((s): PlotObject => ({ z: heat(s, step) })), ...outlines.map((_, i) => outline(i, step))],
            traces: [...series, ...outlines].map((_, k) => maps.length + 1 + k),
          })),
    layout: {
      ...frame({
        title,
        subtitle: subtitle === "" ? undefined : subtitle,
        height: Math.ceil(grid.height * grid.zoom) + header + bottom,
        margin: { l: 12, r: 20, t: header, b: bottom },
      }),
      ...gridAxes(grid.width, grid.height),
      ...(shared
        ? {
            coloraxis: {
              cmin: limits(reach)[0],
              cmax: limits(reach)[1],
              colorscale,
              colorbar: colorBar(quantity, { len: 1, y: 1, yanchor: "top" }),
            },
          }
        : {}),
      annotations: ["picture", ...names].map((name, i) =>
        label(name, grid.left(i) + picture.width / 2, grid.top(i), {
          xanchor: "center",
          yanchor: "bottom",
          font: { size: 12 },
        }),
      ),
      ...controls.layout,
    },
    behaviour: controls.behaviour,
    summary: `${title}: ${quantity} ${maps
      .slice(0, 12)
      .map(({ name }, i) => `${name} up to ${numberText(peaks[i])}`)
      .join(
        ", ",
      )}${maps.length > 12 ? " and others" : ""}${steps === 1 ? "" : `; ${steps} steps, ${texts[0]} to ${texts.at(-1)}`}`,
  });
}

interface Place {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The map as [step, y, x]. */
function stepsOf(where: string, name: string, map: Tensor): Tensor {
  if (map.dtype !== "float32" || (map.shape.length !== 2 && map.shape.length !== 3) || map.size === 0)
    throw new RangeError(`${where}: expected ${name} float32 [y, x] or [step, y, x], got ${map}`);
  const bad = (map.data as Float32Array).findIndex((v) => !Number.isFinite(v));
  if (bad >= 0) throw new RangeError(`${where}: ${name} has ${map.data[bad]} at ${bad}; expected finite values`);
  return map.shape.length === 3 ? map : map.reshape([1, ...map.shape]);
}

function largest(map: Tensor): number {
  return (map.data as Float32Array).reduce((a, b) => Math.max(a, Math.abs(b)), 0);
}

/** The picture without colour and a little paler, so that all colour is the map's. */
function grayed({ pixels, width, height, channels }: Picture): Picture {
  const gray = new Uint8Array(width * height);
  for (let p = 0; p < gray.length; p++) {
    const [r, g, b] = channels === 1 ? [pixels[p]!, pixels[p]!, pixels[p]!] : pixels.subarray(channels * p, channels * p + 3);
    gray[p] = 48 + 0.8 * (0.299 * r! + 0.587 * g! + 0.114 * b!);
  }
  return { pixels: gray, width, height, channels: 1 };
}

/** The border between cells of at least `threshold` and the others, as line pieces with gaps between them. */
function outlineOf(map: Tensor, threshold: number, at: Place): PlotObject {
  const [height, width] = map.shape as [number, number];
  const values = map.data as Float32Array;
  const inside = (y: number, x: number): boolean =>
    x >= 0 && y >= 0 && x < width && y < height && Math.abs(values[y * width + x]!) >= threshold;
  const xs: number[] = [];
  const ys: number[] = [];
  const piece = (x0: number, y0: number, x1: number, y1: number): void => {
    xs.push(at.left + (x0 * at.width) / width, at.left + (x1 * at.width) / width, Number.NaN);
    ys.push(at.top + (y0 * at.height) / height, at.top + (y1 * at.height) / height, Number.NaN);
  };
  for (let y = 0; y <= height; y++)
    for (let x = 0; x <= width; x++) {
      if (inside(y, x) !== inside(y, x - 1)) piece(x, y, x, y + 1);
      if (inside(y, x) !== inside(y - 1, x)) piece(x, y, x + 1, y);
    }
  return { x: Float32Array.from(xs), y: Float32Array.from(ys) };
}
