import { bundleOf } from "../lib/notebook/display-value.js";
import type { MimeBundle } from "./messages.js";

/** How a cell's value is shown. */
export async function displayValue(value: unknown): Promise<MimeBundle> {
  return encodeBundle(await bundleOf(value));
}

/** Bytes in a bundle become base64 text, which is what Jupyter stores. */
export function encodeBundle(bundle: MimeBundle): MimeBundle {
  return Object.fromEntries(
    Object.entries(bundle)
      .filter(([, value]) => value !== undefined)
      .map(([type, value]) => [type, value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value]),
  );
}

/** Text made safe for HTML content and attribute values. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
