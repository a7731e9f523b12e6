import { type Displayable, Figure, HtmlBlock } from "../../../lib/figures/index.js";
import { decodePng } from "../../../lib/tensor/png.js";
import { Tensor } from "../../../lib/tensor/tensor.js";

/** A figure as short, stable JSON: numbers to four digits, long arrays by length, ends and mean, pictures by size and mean. */
export function roundFigure(figure: Displayable): unknown {
  if (figure instanceof HtmlBlock) return { html: figure.html, text: figure.text };
  if (!(figure instanceof Figure)) throw new TypeError("roundFigure: expected a Figure or an HtmlBlock");
  const { data, layout, frames, config, behaviour, summary } = figure;
  return round({ summary, data, layout, frames: frames?.length, config, behaviour: behaviour?.data });
}

function round(value: unknown): unknown {
  if (typeof value === "number") return Number(value.toPrecision(4));
  if (typeof value === "string") return value.startsWith("data:image/png;base64,") ? pictureText(value) : value;
  if (value instanceof Tensor) return `${value} ${numbersText(Array.from(value.data as Float32Array))}`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name} ${numbersText(Array.from(value as Float32Array))}`;
  if (Array.isArray(value))
    return value.length > 8
      ? [...value.slice(0, 2).map(round), `… ${value.length} in all`, round(value.at(-1))]
      : value.map(round);
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, v]) => v !== undefined)
        .map(([k, v]) => [k, round(v)]),
    );
  return value;
}

function numbersText(values: readonly number[]): string {
  const finite = values.filter(Number.isFinite);
  const mean = finite.reduce((a, b) => a + b, 0) / finite.length;
  return `n=${values.length} first=${values[0]?.toPrecision(4)} last=${values.at(-1)?.toPrecision(4)} mean=${mean.toPrecision(4)}`;
}

function pictureText(uri: string): string {
  const { pixels, width, height, channels } = decodePng(Buffer.from(uri.slice(uri.indexOf(",") + 1), "base64"));
  return `png ${width}×${height}×${channels} mean=${(pixels.reduce((a, b) => a + b, 0) / pixels.length).toFixed(2)}`;
}
