/** Longest quotation of what was lost. */
const quotedCharacters = 120;

/**
 * Says in one warning which words text encoders did not read; nothing where they read all.
 * @param items prompts with the end of each that had no room, as `Encoding.truncated` and `GenerationItem.truncated` have it
 * @param maxLength tokens that the text encoder reads
 */
export function warnOfTruncation(items: readonly { readonly truncated?: string | undefined }[], maxLength: number): void {
  const lost = [...new Set(items.flatMap(({ truncated }) => truncated ?? []))];
  if (lost.length === 0) return;
  const quoted = lost.map((text) =>
    JSON.stringify(text.length > quotedCharacters ? `${text.slice(0, quotedCharacters)}…` : text),
  );
  const more = quoted.length > 3 ? ` and ${quoted.length - 3} more` : "";
  console.warn(
    `The text encoder reads ${maxLength} tokens and did not read ${quoted.slice(0, 3).join(", ")}${more}; shorten the prompt`,
  );
}
