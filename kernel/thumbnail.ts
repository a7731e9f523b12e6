import { stillOf } from "../lib/figures/figure.js";
import { bundlesOf } from "./html-cells.js";
import type { Notebook } from "./notebook-format.js";

/** A picture that stands for a notebook. */
export interface Thumbnail {
  readonly extension: "png" | "jpg" | "gif" | "webp" | "svg";
  readonly bytes: Uint8Array;
}

const EXTENSIONS = { png: "png", jpeg: "jpg", gif: "gif", webp: "webp", "svg+xml": "svg" } as const;

/** The first picture that a notebook shows: an image, a figure's still, or one inside of HTML. */
export function thumbnailOf(notebook: Notebook): Thumbnail | undefined {
  for (const data of bundlesOf(notebook)) {
    for (const [type, extension] of Object.entries(EXTENSIONS)) {
      const image = data[`image/${type}`];
      if (typeof image === "string") return { extension, bytes: Buffer.from(image, extension === "svg" ? "utf8" : "base64") };
    }
    const html = String(data["text/html"] ?? "");
    const still = stillOf(html);
    if (still !== undefined) return { extension: "svg", bytes: Buffer.from(still) };
    const inside = /src="data:image\/(png|jpeg|gif|webp);base64,([A-Za-z\d+/=]+)"/.exec(html);
    if (inside) return { extension: EXTENSIONS[inside[1] as keyof typeof EXTENSIONS], bytes: Buffer.from(inside[2]!, "base64") };
  }
  return undefined;
}
