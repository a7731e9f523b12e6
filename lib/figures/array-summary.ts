import { dtypes, Tensor, type TypedArray, toFloat32 } from "../tensor/tensor.js";
import { escapeHtml } from "./escape.js";
import { HtmlBlock } from "./html-block.js";
import { type ColorScale, colorAt, ink, signed, viridis } from "./palette.js";
import { type Picture, picturesOf, pngUri, shrinkPicture } from "./picture.js";
import { countText, numberText } from "./text.js";

/** What can be said of numbers in a line. */
export interface ArrayFacts {
  /** Over finite values; NaN where there are none. */
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly nan: number;
  readonly infinite: number;
}

/** Numbers shown one by one. */
const fewValues = 8;
const slicesShown = 8;
/** Longest side of a map or picture, in its own pixels. */
const longestSide = 128;

/** Whether a value is a tensor, perhaps one of another copy of this library. */
export function isTensor(value: object): value is Tensor {
  const { dtype, shape, data } = value as Partial<Tensor>;
  return value instanceof Tensor || (dtypes.includes(dtype!) && Array.isArray(shape) && ArrayBuffer.isView(data));
}

export function arrayFacts(values: ArrayLike<number>): ArrayFacts {
  let [min, max, sum, nan, infinite] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0, 0];
  for (let i = 0; i < values.length; i++) {
    const v = values[i]!;
    if (Number.isNaN(v)) nan++;
    else if (!Number.isFinite(v)) infinite++;
    else {
      sum += v;
      if (v < min) min = v;
      if (v > max) max = v;
    }
  }
  const finite = values.length - nan - infinite;
  return finite === 0
    ? { min: Number.NaN, max: Number.NaN, mean: Number.NaN, nan, infinite }
    : { min, max, mean: sum / finite, nan, infinite };
}

/**
 * A tensor in a line: dtype, shape, range, mean, what is not finite; and as a picture what it can be seen as: small ones by
 * their values, one axis as a sparkline, `[1 | 3, h, w]` of colours as pictures, other planes as heat maps.
 */
export function arraySummary(tensor: Tensor, name = "Tensor"): HtmlBlock {
  const { dtype, shape, size } = tensor;
  const values = toFloat32(tensor).data;
  const facts = arrayFacts(values);
  const parts = [`${dtype} [${shape.join(", ")}]`];
  const few = size <= fewValues;
  if (few) parts.push(Array.from(values, (v) => numberText(v, 4)).join(", "));
  else parts.push(`${numberText(facts.min)} … ${numberText(facts.max)}`, `mean ${numberText(facts.mean)}`);
  if (facts.nan > 0) parts.push(`${countText(facts.nan)} NaN`);
  if (facts.infinite > 0) parts.push(`${countText(facts.infinite)} infinite`);
  const text = `${name} ${parts.filter((part) => part !== "").join(" · ")}`;
  const view = few ? "" : shape.length === 1 ? sparkline(values, text) : planes(tensor, values, facts, text);
  return new HtmlBlock(
    `<div style="font:13px system-ui,sans-serif;font-variant-numeric:tabular-nums"><div>${escapeHtml(text)}</div>${view}</div>`,
    text,
  );
}

/** The same for a plain typed array. */
export function typedArraySummary(array: TypedArray | Uint8ClampedArray): HtmlBlock {
  const name = array.constructor.name;
  const dtype = name.replace(/Array$|Clamped/g, "").toLowerCase();
  return arraySummary({ dtype, shape: [array.length], size: array.length, data: array } as unknown as Tensor, name);
}

/** A line of at most 200 columns, each from the least to the greatest of its values. */
export function sparkline(values: ArrayLike<number>, label: string): string {
  const [width, height] = [240, 36];
  const columns = Math.min(values.length, 200);
  const { min, max } = arrayFacts(values);
  const y = (v: number): string => (height - 2 - ((v - min) / (max - min || 1)) * (height - 4)).toFixed(1);
  const points: string[] = [];
  for (let c = 0; c < columns; c++) {
    const [from, to] = [c, c + 1].map((at) => Math.floor((at * values.length) / columns)) as [number, number];
    const part = arrayFacts(Array.prototype.slice.call(values, from, to));
    if (Number.isNaN(part.min)) continue;
    const x = ((c + 0.5) * (width / columns)).toFixed(1);
    points.push(`${x},${y(part.min)}`);
    if (part.max > part.min) points.push(`${x},${y(part.max)}`);
  }
  return `<svg role="img" aria-label="${escapeHtml(label)}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" style="display:block;margin-top:4px"><polyline fill="none" stroke="${ink.main}" stroke-width="1.2" points="${points.join(" ")}"/></svg>`;
}

function planes(tensor: Tensor, values: Float32Array, facts: ArrayFacts, text: string): string {
  const { shape } = tensor;
  const [height, width] = shape.slice(-2) as [number, number];
  if (tensor.size === 0 || Number.isNaN(facts.min)) return "";
  const colours = colourPictures(tensor, facts);
  const count = tensor.size / (height * width);
  const shown =
    colours ?? Array.from({ length: Math.min(count, slicesShown) }, (_, i) => heatPicture(values, i, height, width, facts));
  const all = colours ? tensor.size / (shape.at(-3)! * height * width) : count;
  const images = shown.slice(0, slicesShown).map((picture, i) => {
    const side = Math.max(picture.width, picture.height);
    const zoom = Math.max(1, Math.min(8, Math.floor((all === 1 ? 160 : 96) / side)));
    const label = all === 1 ? text : `plane ${i} of ${text}`;
    return `<img alt="${escapeHtml(label)}" src="${pngUri(picture)}" width="${picture.width * zoom}" height="${picture.height * zoom}" style="image-rendering:pixelated;border-radius:2px">`;
  });
  const more =
    all > images.length
      ? `<span style="opacity:.7">${images.length} of ${countText(all)} ${colours ? "pictures" : "planes"}</span>`
      : "";
  const legend = colours ? "" : colourBar(facts);
  return `<div style="display:flex;flex-wrap:wrap;gap:6px;align-items:end;margin-top:4px">${images.join("")}${more}${legend}</div>`;
}

/** Pixels, if that is what they look like: one or three planes of at least 8 × 8 in 0…1, −1…1 or bytes. */
function colourPictures(tensor: Tensor, { min, max, nan, infinite }: ArrayFacts): readonly Picture[] | undefined {
  const [channels = 0, height, width] = tensor.shape.slice(-3) as [number, number, number];
  const isBytes = tensor.dtype === "uint8";
  const isUnit = tensor.dtype === "float32" && min >= -1.001 && max <= 1.001 && max - min > 0.25;
  if (tensor.shape.length < 3 || tensor.shape.length > 4 || (channels !== 3 && !(channels === 1 && isBytes))) return undefined;
  if (height < 8 || width < 8 || nan + infinite > 0 || !(isBytes || isUnit)) return undefined;
  const first = tensor.shape.length === 4 ? tensor.slice(0, Math.min(tensor.shape[0]!, slicesShown)) : tensor;
  return picturesOf(first, min < 0 ? [-1, 1] : [0, 1]).map((picture) => shrinkPicture(picture, longestSide));
}

/** Blue through white to red around zero where there are both signs, else dark to light. */
function scaleOf({ min, max }: ArrayFacts): { readonly scale: ColorScale; readonly low: number; readonly high: number } {
  const reach = Math.max(-min, max);
  return min < 0 && max > 0 ? { scale: signed, low: -reach, high: reach } : { scale: viridis, low: min, high: max };
}

function heatPicture(values: Float32Array, plane: number, height: number, width: number, facts: ArrayFacts): Picture {
  const { scale, low, high } = scaleOf(facts);
  const pixels = new Uint8Array(height * width * 4);
  for (let p = 0; p < height * width; p++) {
    const v = values[plane * height * width + p]!;
    if (!Number.isFinite(v)) continue;
    pixels.set(colorAt(scale, (v - low) / (high - low || 1)), 4 * p);
    pixels[4 * p + 3] = 255;
  }
  return shrinkPicture({ pixels, width, height, channels: 4 }, longestSide);
}

function colourBar(facts: ArrayFacts): string {
  const { scale, low, high } = scaleOf(facts);
  const stops = scale.map(([at, color]) => `${color} ${Math.round(100 * at)}%`).join(",");
  return `<span aria-hidden="true" style="display:flex;gap:5px;align-items:center;font-size:11px">${numberText(low)}<span style="width:70px;height:9px;background:linear-gradient(90deg,${stops})"></span>${numberText(high)}</span>`;
}
