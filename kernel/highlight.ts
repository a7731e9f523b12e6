import { escapeHtml } from "./value-display.js";

const KEYWORDS =
  "async await break case catch class const continue debugger default delete do else enum export extends false finally for function if import in instanceof interface let new null private protected public return static super switch this throw true try typeof undefined var void while yield";
/** Words that are also common property names, as in `{ type: "scatter" }`. */
const CONTEXTUAL_KEYWORDS = "abstract as declare from get implements infer is keyof of readonly satisfies set type using";

/** Alternatives in order of precedence; the name of the group that matched is the CSS class of the token. */
const TOKEN = new RegExp(
  [
    /(?<comment>\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$))/,
    /(?<string>"(?:\\[\s\S]|[^"\\\n])*"?|'(?:\\[\s\S]|[^'\\\n])*'?|`(?:\\[\s\S]|[^`\\])*`?)/,
    /(?<number>\b(?:0[xXob][\da-fA-F_]+|\d[\d_]*(?:\.[\d_]*)?(?:[eE][+-]?\d+)?)n?\b)/,
    new RegExp(`(?<keyword>(?<![.\\w$])(?:(?:${either(KEYWORDS)})|(?:${either(CONTEXTUAL_KEYWORDS)})(?!\\s*:))(?![\\w$]))`),
    /(?<type>(?<![.\w$])[A-Z][\w$]*)/,
    /(?<call>[A-Za-z_$][\w$]*(?=\())/,
    /[A-Za-z_$][\w$]*/,
  ]
    .map((part) => part.source)
    .join("|"),
  "g",
);

function either(words: string): string {
  return words.replaceAll(" ", "|");
}

/** TypeScript as HTML with its tokens in `<span class="tok-…">`; colours, not grammar: unfinished code is fine. */
export function highlightTypeScript(code: string): string {
  let html = "";
  let end = 0;
  for (const match of code.matchAll(TOKEN)) {
    html += escapeHtml(code.slice(end, match.index));
    const kind = Object.entries(match.groups ?? {}).find(([, text]) => text !== undefined)?.[0];
    const text = escapeHtml(match[0]);
    html += kind ? `<span class="tok-${kind}">${text}</span>` : text;
    end = match.index + match[0].length;
  }
  return html + escapeHtml(code.slice(end));
}
