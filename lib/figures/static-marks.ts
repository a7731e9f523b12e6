import { FormatError } from "../tensor/format-error.js";
import { decodePng, encodePng } from "../tensor/png.js";
import type { Tensor } from "../tensor/tensor.js";
import { type ColorScale, colorAt, colorWithOpacityAt, ink } from "./palette.js";
import { pngUri, shrinkPicture } from "./picture.js";
import type { PlotObject, PlotValue, Trace } from "./plot-value.js";
import { numbersOf, type Panel } from "./static-axes.js";
import { px, svgText, xmlText } from "./static-text.js";
import { numberText } from "./text.js";

interface MarkLook {
  readonly color?: PlotValue;
  readonly size?: number;
  readonly opacity?: number;
  readonly colorscale?: ColorScale;
  readonly width?: number;
  readonly dash?: string;
}

const dashes: Readonly<Record<string, string>> = { dash: "8 5", dot: "2 3", dashdot: "8 3 2 3" };

/** One trace as SVG between its axes. */
export function traceSvg(trace: Trace, panel: Panel, data: readonly Trace[], layout: PlotObject): string {
  if (trace.visible === false) return "";
  if (trace.type === "image") return imageSvg(String(trace.source), trace, panel);
  if (trace.type === "heatmap") return heatmapSvg(trace, panel, layout);
  if (trace.type === "bar") return barSvg(trace, panel, data);
  return scatterSvg(trace, panel);
}

/** The colour of every mark: one, or one each, or numbers on a scale. */
function colorsOf(look: MarkLook, count: number): readonly string[] {
  const { color, colorscale } = look;
  if (typeof color === "string") return Array.from({ length: count }, () => color);
  if (Array.isArray(color) && typeof color[0] === "string") return color as unknown as string[];
  const values = numbersOf(color);
  const low = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const high = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  if (colorscale === undefined || values.length === 0) return Array.from({ length: count }, () => ink.main);
  return values.map((v) => `rgb(${colorAt(colorscale, high > low ? (v - low) / (high - low) : 0).join(",")})`);
}

function scatterSvg(trace: Trace, { x, y }: Panel): string {
  const xs = numbersOf(trace.x).map(x.at);
  const ys = numbersOf(trace.y).map(y.at);
  const shown = xs.map((_, i) => i).filter((i) => Number.isFinite(xs[i]) && Number.isFinite(ys[i]));
  const mode = String(trace.mode ?? "lines");
  const look = (trace.marker ?? {}) as unknown as MarkLook;
  const line = (trace.line ?? {}) as unknown as MarkLook;
  const opacity = Number(trace.opacity ?? 1);
  const parts: string[] = [];
  if (mode.includes("lines") && shown.length > 1) {
    // A hole in the numbers is a gap in the line.
    const path = shown.map((i, k) => `${shown[k - 1] === i - 1 ? "L" : "M"}${px(xs[i]!)} ${px(ys[i]!)}`).join("");
    const dash = dashes[String(line.dash)] === undefined ? "" : ` stroke-dasharray="${dashes[String(line.dash)]}"`;
    parts.push(
      `<path d="${path}" fill="none" stroke="${line.color ?? ink.main}" stroke-width="${line.width ?? 2}" opacity="${opacity}"${dash}/>`,
    );
  }
  if (mode.includes("text")) {
    const texts = trace.text as readonly string[];
    const anchor = String(trace.textposition ?? "").endsWith("left") ? "end" : "middle";
    for (const i of shown) parts.push(svgText(texts[i] ?? "", xs[i]!, ys[i]! - 5, `text-anchor="${anchor}" font-size="11"`));
  }
  const error = trace.error_y as PlotObject | undefined;
  if (error !== undefined) {
    const above = numbersOf(error.array);
    const below = numbersOf(error.arrayminus);
    const values = numbersOf(trace.y);
    const path = shown
      .map((i) => `M${px(xs[i]!)} ${px(y.at(values[i]! + above[i]!))}V${px(y.at(values[i]! - below[i]!))}`)
      .join("");
    parts.push(`<path d="${path}" stroke="${line.color ?? ink.text}" fill="none"/>`);
  }
  if (mode.includes("markers")) {
    // One path per colour: a point is a round line of no length, a dozen bytes.
    const colors = colorsOf(look, xs.length);
    const paths = new Map<string, string[]>();
    for (const i of shown) paths.set(colors[i]!, [...(paths.get(colors[i]!) ?? []), `M${px(xs[i]!)} ${px(ys[i]!)}h0`]);
    for (const [color, points] of paths)
      parts.push(
        `<path d="${points.join("")}" stroke="${color}" stroke-width="${look.size ?? 6}" stroke-linecap="round" opacity="${look.opacity ?? 1}"/>`,
      );
  }
  return parts.join("");
}

function barSvg(trace: Trace, { x, y }: Panel, data: readonly Trace[]): string {
  const horizontal = trace.orientation === "h";
  const [along, across] = horizontal ? [x, y] : [y, x];
  const lengths = numbersOf(horizontal ? trace.x : trace.y);
  const places = numbersOf(horizontal ? trace.y : trace.x);
  const base = Number(trace.base ?? 0);
  const look = (trace.marker ?? {}) as unknown as MarkLook;
  const colors = colorsOf(look, lengths.length);
  const group = data.filter(
    (t) => t.type === "bar" && t.orientation === trace.orientation && t.xaxis === trace.xaxis && t.width === undefined,
  );
  const grouped = trace.width === undefined && group.length > 0;
  const width = grouped ? 0.7 / group.length : Number(trace.width ?? 0.8);
  const shift = grouped ? (group.indexOf(trace) - (group.length - 1) / 2) * width : 0;
  const log = along.spec.type === "log";
  // An axis may begin above the bars' base.
  const [low, high] = [Math.min(along.from, along.to), Math.max(along.from, along.to)];
  const within = (at: number): number => Math.min(high, Math.max(low, at));
  const error = (horizontal ? trace.error_x : trace.error_y) as PlotObject | undefined;
  const texts = Array.isArray(trace.text) ? (trace.text as readonly PlotValue[]) : [];
  return lengths
    .map((length, i) => {
      if (!Number.isFinite(length) || (log && length <= 0)) return "";
      const a = log ? along.from : within(along.at(base));
      const b = within(along.at(base + length));
      const c = across.at(places[i]! + shift - width / 2);
      const d = across.at(places[i]! + shift + width / 2);
      const [left, top, w, h] = horizontal
        ? [Math.min(a, b), Math.min(c, d), Math.abs(a - b), Math.abs(c - d)]
        : [Math.min(c, d), Math.min(a, b), Math.abs(c - d), Math.abs(a - b)];
      const rect = `<rect x="${px(left)}" y="${px(top)}" width="${px(w)}" height="${px(h)}" fill="${colors[i]}" opacity="${look.opacity ?? 1}"/>`;
      const middle = (c + d) / 2;
      const whisker =
        error === undefined || !horizontal
          ? ""
          : `<path d="M${px(along.at(length - numbersOf(error.arrayminus)[i]!))} ${px(middle)}H${px(along.at(length + numbersOf(error.array)[i]!))}" stroke="${ink.text}" stroke-width="2"/>`;
      const number =
        texts[i] === undefined || !horizontal
          ? ""
          : svgText(String(texts[i]), b + (length < 0 ? -4 : 4), middle + 4, `text-anchor="${length < 0 ? "end" : "start"}"`);
      return rect + whisker + number;
    })
    .join("");
}

/** A picture of `columns` × `rows` cells stretched over its place on the axes. */
function imageSvg(href: string, trace: Trace, { x, y }: Panel, cells?: readonly [number, number]): string {
  const dx = Number(trace.dx ?? 1);
  const dy = Number(trace.dy ?? 1);
  const [columns, rows] = cells ?? pngSize(href);
  const left = Number(trace.x0 ?? 0) - dx / 2;
  const top = Number(trace.y0 ?? 0) - dy / 2;
  const [a, b] = [x.at(left), x.at(left + columns * dx)];
  const [c, d] = [y.at(top), y.at(top + rows * dy)];
  const [width, height] = [Math.abs(b - a), Math.abs(d - c)];
  const source = columns > 2 * width && rows > 2 * height ? shrunkPng(href, 2 * Math.max(width, height)) : href;
  return `<image href="${xmlText(source)}" x="${px(Math.min(a, b))}" y="${px(Math.min(c, d))}" width="${px(width)}" height="${px(height)}" preserveAspectRatio="none" style="image-rendering:pixelated"/>`;
}

/** The picture with no more pixels than a still can show; as it is if it is of a kind that only browsers read. */
function shrunkPng(href: string, side: number): string {
  try {
    return pngUri(shrinkPicture(decodePng(Buffer.from(href.slice(href.indexOf(",") + 1), "base64")), side));
  } catch (error) {
    if (error instanceof FormatError) return href;
    throw error;
  }
}

/** Width and height from a PNG's header. */
function pngSize(uri: string): readonly [number, number] {
  const header = Buffer.from(uri.slice(uri.indexOf(",") + 1, uri.indexOf(",") + 41), "base64");
  return [header.readUInt32BE(16), header.readUInt32BE(20)];
}

function heatmapSvg(trace: Trace, panel: Panel, layout: PlotObject): string {
  const z = trace.z as Tensor;
  const [rows, columns] = z.shape as [number, number];
  const values = numbersOf(z);
  const shared = layout.coloraxis as PlotObject | undefined;
  const look = (trace.coloraxis === undefined ? trace : shared)!;
  const scale = look.colorscale as unknown as ColorScale;
  const low = Number(look.zmin ?? look.cmin);
  const high = Number(look.zmax ?? look.cmax);
  const share = (v: number): number => (high > low ? (v - low) / (high - low) : 0);
  const channels = scale.some(([, color]) => color.startsWith("rgba")) ? 4 : 3;
  const pixels = new Uint8Array(rows * columns * channels);
  // An axis that points up draws row 0 at the bottom; a PNG has it at the top.
  const up = panel.y.at(1) < panel.y.at(0);
  values.forEach((v, i) => {
    const row = up ? rows - 1 - Math.floor(i / columns) : Math.floor(i / columns);
    const [r, g, b, opacity] = colorWithOpacityAt(scale, Number.isFinite(v) ? share(v) : 0);
    pixels.set([r, g, b, 255 * opacity].slice(0, channels), channels * (row * columns + (i % columns)));
  });
  const href = `data:image/png;base64,${Buffer.from(encodePng(pixels, columns, rows, channels)).toString("base64")}`;
  const numbers =
    trace.texttemplate === undefined
      ? []
      : values.map((v, i) => {
          const [r, g, b] = colorAt(scale, share(v));
          const ground = 0.299 * r + 0.587 * g + 0.114 * b;
          const at = [panel.x.at(i % columns), panel.y.at(Math.floor(i / columns)) + 4] as const;
          return svgText(
            numberText(Number(v.toFixed(2))),
            ...at,
            `text-anchor="middle" font-size="11" fill="${ground > 140 ? "#222" : "#fff"}"`,
          );
        });
  const bar = look.colorbar as PlotObject | undefined;
  const isFirst = panel.traces.find(({ type }) => type === "heatmap") === trace;
  return (
    imageSvg(href, trace, panel, [columns, rows]) +
    numbers.join("") +
    (bar === undefined || !isFirst ? "" : colorBarSvg(bar, scale, low, high, panel))
  );
}

function colorBarSvg(bar: PlotObject, scale: ColorScale, low: number, high: number, { x, y }: Panel): string {
  const top = Math.min(y.from, y.to);
  const height = Math.abs(y.to - y.from);
  const left = x.to + 14;
  const steps = 32;
  const strips = Array.from({ length: steps }, (_, i) => {
    const fill = `rgba(${colorWithOpacityAt(scale, 1 - i / (steps - 1))
      .map(px)
      .join(",")})`;
    return `<rect x="${px(left)}" y="${px(top + (i * height) / steps)}" width="12" height="${px(height / steps + 0.5)}" fill="${fill}"/>`;
  });
  const middle = top + height / 2;
  const title = String((bar.title as PlotObject | undefined)?.text ?? "");
  return [
    ...strips,
    svgText(numberText(high), left + 16, top + 9, 'font-size="11"'),
    svgText(numberText(low), left + 16, top + height, 'font-size="11"'),
    svgText(title, left + 26, middle, `text-anchor="middle" transform="rotate(-90 ${px(left + 26)} ${px(middle)})"`),
  ].join("");
}
