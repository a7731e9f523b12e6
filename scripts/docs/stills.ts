import { escapeHtml } from "../../lib/figures/escape.js";
import type { PlotObject, PlotValue, Trace } from "../../lib/figures/index.js";
import { ink } from "../../lib/figures/palette.js";
import { staticSvg } from "../../lib/figures/static-svg.js";
import { type DType, Tensor } from "../../lib/tensor/index.js";

const arrays = {
  f4: ["float32", Float32Array],
  f8: ["float64", Float64Array],
  i1: ["int8", Int8Array],
  u1: ["uint8", Uint8Array],
  u1c: ["uint8", Uint8ClampedArray],
  i2: ["int16", Int16Array],
  u2: ["uint16", Uint16Array],
  i4: ["int32", Int32Array],
  u4: ["uint32", Uint32Array],
} as const;

/** What a cell displayed as a still or a small piece of HTML, the richest that needs no scripts.
 * @param asset keeps a picture, and tells its place */
export function bundleHtml(
  data: Readonly<Record<string, unknown>>,
  asset: (bytes: Uint8Array | string, extension: string) => string,
): string {
  const text = (type: string): string => [data[type] ?? ""].flat().join("");
  const image = (source: string): string =>
    `<img alt="${escapeHtml(text("text/plain").slice(0, 400))}" loading="lazy" src="${source}">`;
  const json = data["application/vnd.plotly.v1+json"];
  const svg = text("image/svg+xml") || (json === undefined ? "" : stillOf(json, text("text/plain")));
  if (svg !== "") return image(asset(withDarkInk(svg), "svg"));
  const png = text("image/png");
  if (png !== "") return image(asset(Buffer.from(png, "base64"), "png"));
  const html = text("text/html");
  return html !== "" && !/<script/i.test(html) ? html : `<pre>${escapeHtml(text("text/plain"))}</pre>`;
}

/** A still whose texts are lighter on dark ground; pictures follow the colour scheme of the page that shows them. */
function withDarkInk(svg: string): string {
  const texts = [`svg[fill="${ink.text}"]`, `text[fill="${ink.text}"]`].join();
  return svg.replace(">", `><style>@media(prefers-color-scheme:dark){${texts}{fill:#a9b2bd}}</style>`);
}

/** The still of a figure that a notebook holds as Plotly's JSON only: notebooks leave out the long ones. */
function stillOf(json: unknown, summary: string): string {
  const { data, layout } = decoded(json as PlotValue) as { data: readonly Trace[]; layout: PlotObject };
  return staticSvg({ data, layout, summary });
}

/** Arrays that `plotJson` wrote as base64, as typed arrays and tensors again. */
function decoded(value: PlotValue): PlotValue {
  if (Array.isArray(value)) return (value as readonly PlotValue[]).map(decoded);
  if (typeof value !== "object" || value === null) return value;
  const { dtype, bdata, shape } = value as Readonly<Record<string, string | undefined>>;
  if (dtype === undefined || bdata === undefined || !Object.hasOwn(arrays, dtype))
    return Object.fromEntries(Object.entries(value as PlotObject).map(([key, field]) => [key, decoded(field)]));
  const [name, TypedArray] = arrays[dtype as keyof typeof arrays];
  const bytes = Uint8Array.from(Buffer.from(bdata, "base64"));
  const array = new TypedArray(bytes.buffer);
  return shape === undefined ? array : new Tensor(name as DType, array as never, shape.split(", ").map(Number));
}
