/** A number for people: three significant digits, no trailing zeros, thousands apart, "–" for a missing one. */
export function numberText(x: number | null | undefined, digits = 3): string {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  const size = Math.abs(x);
  if (x === 0) return "0";
  if (Number.isInteger(x) && size < 1e9) return integerText(x);
  if (size < 1e-3 || size >= 1e6) {
    return x
      .toExponential(digits - 1)
      .replace(/\.?0+e/, "e")
      .replace("e+", "e")
      .replace(/-/g, "−");
  }
  return String(Number(x.toPrecision(Math.max(digits, Math.ceil(Math.log10(size)))))).replace("-", "−");
}

/** 1234567 → "1 234 567" with thin spaces; four digits stay together. */
function integerText(x: number): string {
  const digits = String(x).replace("-", "−");
  return Math.abs(x) < 10_000 ? digits : digits.replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** A count with few letters: 1234567 → "1.23 M". */
export function countText(n: number): string {
  if (n >= 1e9) return `${numberText(n / 1e9)} G`;
  if (n >= 1e6) return `${numberText(n / 1e6)} M`;
  if (n >= 1e4) return `${numberText(n / 1e3)} k`;
  return numberText(n);
}

/** A share as a percentage: 0.123 → "12.3 %". */
export function percentText(share: number): string {
  return `${numberText(100 * share)} %`;
}

/** The text in at most `lines` lines of about `length` characters, broken between words; the last is cut where more would follow. */
export function wrapped(text: string, length: number, lines: number): string[] {
  const out: string[] = [];
  for (const word of text.split(" ")) {
    const last = out.at(-1);
    if (last !== undefined && (out.length === lines || last.length + word.length < length))
      out[out.length - 1] = `${last} ${word}`;
    else out.push(word);
  }
  return out.map((line) => shorten(line, length));
}

/** The text cut to `length` characters, with an ellipsis where something is missing. */
export function shorten(text: string, length: number): string {
  const characters = [...text];
  return characters.length <= length ? text : `${characters.slice(0, Math.max(1, length - 1)).join("")}…`;
}
