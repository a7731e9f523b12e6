/** A byte-pair vocabulary in CLIP's format: piece → id, and the merges in order of rank. */
export interface BpeVocabulary {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly (readonly [string, string])[];
}

/**
 * Learns the byte-pair merges that make every given word one token, most frequent pair first (ties in alphabetical
 * order). Ids are laid out as CLIP's: 256 byte symbols, the same with `</w>`, the merges, then the two special tokens.
 * @param words lower-case ASCII words
 * @see Sennrich et al. 2015, arXiv:1508.07909
 */
export function trainBpe(words: readonly string[]): BpeVocabulary {
  const split = words.map((word) => [...word.slice(0, -1), `${word.at(-1)}</w>`]);
  const merges: [string, string][] = [];
  for (;;) {
    const pairCounts = new Map<string, number>();
    for (const pieces of split) {
      for (let i = 1; i < pieces.length; i++) {
        const pair = `${pieces[i - 1]} ${pieces[i]}`;
        pairCounts.set(pair, (pairCounts.get(pair) ?? 0) + 1);
      }
    }
    if (pairCounts.size === 0) break;
    const [best] = [...pairCounts].reduce((a, b) => (b[1] > a[1] || (b[1] === a[1] && b[0] < a[0]) ? b : a));
    const [left, right] = best.split(" ") as [string, string];
    merges.push([left, right]);
    for (const pieces of split) {
      for (let i = 1; i < pieces.length; i++) {
        if (pieces[i - 1] === left && pieces[i] === right) pieces.splice(i - 1, 2, left + right);
      }
    }
  }
  const bytes = byteSymbols();
  const pieces = [...bytes, ...bytes.map((symbol) => `${symbol}</w>`), ...merges.map((pair) => pair.join(""))];
  return {
    vocab: Object.fromEntries([...pieces, "<|startoftext|>", "<|endoftext|>"].map((piece, id) => [piece, id])),
    merges,
  };
}

/** The printable character that stands for each byte, in CLIP's order: printable bytes first, then the others. */
function byteSymbols(): string[] {
  const isPrintable = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  const all = Array.from({ length: 256 }, (_, byte) => byte);
  const printable = all.filter(isPrintable);
  const others = all.filter((byte) => !isPrintable(byte));
  return [...printable.map((byte) => String.fromCharCode(byte)), ...others.map((_, i) => String.fromCharCode(256 + i))];
}
