/** A token that a `tokenizer.json` finds whole in any text, as it is written; a `special` one stands for no text. */
export function addedToken(id: number | undefined, content: string, special = true): Record<string, unknown> {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special };
}
