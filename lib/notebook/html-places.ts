/** Where in a template of HTML a value stands. */
export interface HtmlPlace {
  readonly kind: "text" | "attribute" | "forbidden";
  /** The attribute, in small letters. */
  readonly attribute?: string;
  /** What comes before the value in the same attribute; `\0` for another value. */
  readonly before?: string;
  /** Why text cannot stand there, and what to write. */
  readonly because?: string;
}

const advice = {
  unquoted: 'put quotes around it: title="…"',
  tag: "write tags and names of attributes out, and put values into text or quoted attributes",
  code: "scripts and style sheets read no text; keep values out of them",
};

/** The place of every value between the parts of a template, read as browsers read HTML. */
export function htmlPlaces(parts: readonly string[]): HtmlPlace[] {
  const scanner = new Scanner();
  return parts.slice(0, -1).map((part) => scanner.after(part));
}

type State = "text" | "comment" | "tag" | "unquoted" | '"' | "'";

class Scanner {
  #in: State = "text";
  #tag = "";
  #attribute = "";
  #before = "";
  /** The element whose content is no markup, such as a script. */
  #raw: string | undefined;

  after(part: string): HtmlPlace {
    let rest = part;
    while (rest !== "") rest = this.#step(rest);
    return this.#place(part);
  }

  /** Reads up to the next change, and returns what is left. */
  #step(rest: string): string {
    const upTo = (pattern: RegExp): RegExpExecArray | null => pattern.exec(rest);
    const to = (state: State, found: RegExpExecArray): string => {
      this.#in = state;
      return rest.slice(found.index + found[0].length);
    };
    switch (this.#in) {
      case "text": {
        const found = upTo(
          this.#raw === undefined ? /<!--|<\/?([a-z][^\s/>]*)/i : new RegExp(`</(${this.#raw})(?=[\\s/>])`, "i"),
        );
        if (found === null) return "";
        if (found[0] === "<!--") return to("comment", found);
        this.#tag = found[0].startsWith("</") ? "" : found[1]!.toLowerCase();
        this.#raw = undefined;
        return to("tag", found);
      }
      case "comment": {
        const found = upTo(/--!?>/);
        return found === null ? "" : to("text", found);
      }
      case "tag": {
        const found = upTo(/>|([^\s/>=]+)\s*=\s*(["']?)/);
        if (found === null) return "";
        if (found[0] === ">") {
          if (/^(script|style|textarea|title)$/.test(this.#tag)) this.#raw = this.#tag;
          return to("text", found);
        }
        this.#attribute = found[1]!.toLowerCase();
        this.#before = "";
        return to((found[2] || "unquoted") as State, found);
      }
      default: {
        const found = upTo(this.#in === "unquoted" ? /\s|(?=>)/ : new RegExp(this.#in));
        if (found !== null) return to("tag", found);
        this.#before += rest;
        return "";
      }
    }
  }

  #place(part: string): HtmlPlace {
    if (this.#in === "text") {
      if (/^(script|style)$/.test(this.#raw ?? "")) return { kind: "forbidden", because: advice.code };
      return /<\/?$/.test(part) ? { kind: "forbidden", because: advice.tag } : { kind: "text" };
    }
    if (this.#in === "comment") return { kind: "text" };
    if (this.#in === "tag") return { kind: "forbidden", because: advice.tag };
    if (this.#in === "unquoted") return { kind: "forbidden", because: advice.unquoted };
    if (/^on|^srcdoc$/.test(this.#attribute)) return { kind: "forbidden", because: advice.code };
    const before = this.#before;
    this.#before += "\0";
    return { kind: "attribute", attribute: this.#attribute, before };
  }
}
