const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Text made safe for HTML content and quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => entities[c]!);
}

/** Text made safe for Plotly labels, which read a few HTML tags and entities; line breaks become `<br>`. */
export function plotText(text: string): string {
  return text.replace(/[&<>]/g, (c) => entities[c]!).replace(/\r?\n/g, "<br>");
}

/**
 * Text for a Plotly hover template: as plotText, and `%{` cannot start a placeholder.
 * A word joiner is put between the two characters, for Plotly has no escape for them.
 */
export function hoverText(text: string): string {
  return plotText(text).replace(/%(?=\{)/g, "%\u2060");
}

/** A value as JSON that may stand inside a script element: nothing in it can end the element or the line. */
export function scriptJson(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
