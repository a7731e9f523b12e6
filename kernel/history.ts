/** A cell that was run, as `history_reply` lists it. */
interface Entry {
  readonly line: number;
  readonly input: string;
  /** Plain text of its result. */
  output: string | null;
}

/** There is one session: history lives as long as the kernel. */
const SESSION = 0;

/** What this kernel has run. */
export class History {
  readonly #entries: Entry[] = [];

  /** @returns records the cell's result, once it is there */
  add(line: number, input: string): (output: string) => void {
    const entry: Entry = { line, input, output: null };
    this.#entries.push(entry);
    return (output) => {
      entry.output = output;
    };
  }

  /** Answers a `history_request`.
   * @returns `[session, line, input]`, or with `output` `[session, line, [input, output]]` */
  recall({ hist_access_type, output = false, ...request }: Readonly<Record<string, unknown>>): unknown[] {
    const found = this.#find(hist_access_type, request);
    return found.map(({ line, input, output: result }) => [SESSION, line, output ? [input, result] : input]);
  }

  #find(type: unknown, { session = SESSION, start, stop, n, pattern, unique }: Readonly<Record<string, unknown>>): Entry[] {
    if (type === "range") {
      const from = typeof start === "number" ? start : 0;
      const to = typeof stop === "number" ? stop : Number.POSITIVE_INFINITY;
      return session === SESSION ? this.#entries.filter(({ line }) => line >= from && line < to) : [];
    }
    let entries = this.#entries;
    if (type === "search" && typeof pattern === "string") entries = entries.filter(({ input }) => matchesGlob(input, pattern));
    if (type === "search" && unique === true) entries = [...new Map(entries.map((entry) => [entry.input, entry])).values()];
    return typeof n === "number" ? entries.slice(Math.max(0, entries.length - Math.max(0, n))) : entries;
  }
}

/** Whether all of `text` fits a pattern in which `*` stands for anything, `?` for one character and `[ab]`, `[a-z]`, `[^a]` for
 * one of those (or none of them). At worst in quadratic time, which a regular expression from outside would not promise. */
export function matchesGlob(text: string, pattern: string): boolean {
  const parts = pattern.match(/\[\^?\]?[^\]]*\]|./gsu) ?? [];
  const characters = [...text];
  let [at, next, star, retry] = [0, 0, -1, 0];
  while (at < characters.length) {
    if (parts[next] === "*") {
      star = next++;
      retry = at;
    } else if (next < parts.length && fits(characters[at]!, parts[next]!)) {
      at++;
      next++;
    } else if (star >= 0) {
      next = star + 1;
      at = ++retry;
    } else return false;
  }
  while (parts[next] === "*") next++;
  return next === parts.length;
}

function fits(character: string, part: string): boolean {
  if (part === "?" || part === character) return true;
  if (part.length < 3) return false;
  const negated = part[1] === "^";
  const ranges = part.slice(negated ? 2 : 1, -1).match(/.-.|./gsu) ?? [];
  const isOne = ranges.some((range) => character >= range[0]! && character <= range.at(-1)!);
  return isOne !== negated;
}
