import type { MimeBundle } from "../figures/document.js";
import { escapeHtml } from "../figures/escape.js";
import { countText } from "../figures/text.js";

const mostShown = 24;

/** Results side by side, each under its name; what is not shown is counted. */
export function resultGrid(names: readonly string[], bundles: readonly MimeBundle[], of: number): MimeBundle {
  const cells = bundles.map(
    (bundle, i) =>
      `<figure style="margin:0;max-width:100%;min-width:0"><figcaption style="font:12px system-ui,sans-serif;opacity:.75;margin-bottom:2px">${escapeHtml(names[i]!)}</figcaption>${htmlOf(bundle)}</figure>`,
  );
  const more = of > bundles.length ? `${countText(bundles.length)} of ${countText(of)}` : "";
  const lines = bundles.map((bundle, i) => `${names[i]}: ${String(bundle["text/plain"] ?? "")}`);
  return {
    "text/html": `<div style="display:flex;flex-wrap:wrap;gap:12px;align-items:flex-start">${cells.join("")}</div>${more && `<div style="font:12px system-ui,sans-serif;opacity:.7">${more}</div>`}`,
    "text/plain": [...lines, ...(more ? [`(${more})`] : [])].join("\n"),
  };
}

/** How many of so many results a grid takes. */
export function gridSize(count: number): number {
  return Math.min(count, mostShown);
}

/** A bundle as HTML that stands inside other HTML. */
export function htmlOf(bundle: MimeBundle): string {
  const text = escapeHtml(String(bundle["text/plain"] ?? ""));
  if (typeof bundle["text/html"] === "string") return bundle["text/html"];
  for (const type of ["image/png", "image/jpeg"]) {
    const image = bundle[type];
    if (image === undefined) continue;
    const base64 = image instanceof Uint8Array ? Buffer.from(image).toString("base64") : String(image);
    return `<img alt="${text}" style="max-width:100%" src="data:${type};base64,${base64}">`;
  }
  if (typeof bundle["image/svg+xml"] === "string")
    return `<img alt="${text}" style="max-width:100%" src="data:image/svg+xml;base64,${Buffer.from(bundle["image/svg+xml"]).toString("base64")}">`;
  return `<pre style="margin:0;white-space:pre-wrap">${text}</pre>`;
}
