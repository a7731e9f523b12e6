import { escapeHtml } from "../../lib/figures/escape.js";
import { stillOf } from "../../lib/figures/index.js";
import { ink } from "../../lib/figures/palette.js";

/** What a cell displayed as a still or a small piece of HTML, the richest that needs no scripts.
 * @param asset keeps a picture, and tells its place */
export function bundleHtml(
  data: Readonly<Record<string, unknown>>,
  asset: (bytes: Uint8Array | string, extension: string) => string,
): string {
  const text = (type: string): string => [data[type] ?? ""].flat().join("");
  const image = (source: string): string =>
    `<img alt="${escapeHtml(text("text/plain").slice(0, 400))}" loading="lazy" src="${source}">`;
  const html = text("text/html");
  const svg = text("image/svg+xml") || stillOf(html);
  if (svg) return image(asset(withDarkInk(svg), "svg"));
  const png = text("image/png");
  if (png !== "") return image(asset(Buffer.from(png, "base64"), "png"));
  return html !== "" && !/<script/i.test(html) ? html : `<pre>${escapeHtml(text("text/plain"))}</pre>`;
}

/** A still whose texts are lighter on dark ground; pictures follow the colour scheme of the page that shows them. */
function withDarkInk(svg: string): string {
  const texts = [`svg[fill="${ink.text}"]`, `text[fill="${ink.text}"]`].join();
  return svg.replace(">", `><style>@media(prefers-color-scheme:dark){${texts}{fill:#a9b2bd}}</style>`);
}
