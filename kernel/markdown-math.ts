import katex from "katex";
import type { MarkdownIt as Markdown } from "markdown-it";

/** Formulas in Markdown as in Jupyter, $…$, $$…$$ and \begin{…}…\end{…}, as MathML, which browsers typeset with their own fonts. */
export function mathInMarkdown(markdown: Markdown): void {
  markdown.inline.ruler.after("escape", "math_inline", (state, silent) => {
    const found = state.src.charCodeAt(state.pos) === DOLLAR ? formulaAt(state.src, state.pos) : undefined;
    if (found === undefined) return false;
    if (!silent) Object.assign(state.push("math", "math", 0), { content: found.tex, markup: found.mark });
    state.pos += found.length;
    return true;
  });
  markdown.block.ruler.before(
    "fence",
    "math_block",
    (state, line, end, silent) => {
      const start = state.bMarks[line]! + state.tShift[line]!;
      const text = state.src.slice(start, state.eMarks[end - 1]);
      const found = state.sCount[line]! - state.blkIndent >= 4 ? undefined : formulaAt(text, 0);
      // What goes on behind a formula is a paragraph that begins with one.
      if (found === undefined || found.mark === "$" || !/^[^\S\n]*(\n|$)/.test(text.slice(found.length))) return false;
      if (silent) return true;
      const lines = text.slice(0, found.length).split("\n").length;
      Object.assign(state.push("math", "math", 0), {
        block: true,
        content: found.tex,
        markup: found.mark,
        map: [line, line + lines],
      });
      state.line = line + lines;
      return true;
    },
    { alt: ["paragraph", "blockquote", "list"] },
  );
  markdown.renderer.rules.math = (tokens, index) => {
    const { content, markup, block } = tokens[index]!;
    const html = katex.renderToString(content, {
      output: "mathml",
      displayMode: markup !== "$",
      throwOnError: false,
      strict: "ignore",
      maxSize: 20,
    });
    return block ? `<div class="math">${html}</div>\n` : html;
  };
}

const DOLLAR = 0x24;

interface Formula {
  readonly tex: string;
  readonly mark: "$" | "$$" | "\\begin";
  /** Characters of it in the source. */
  readonly length: number;
}

/** The formula that begins at `at`. A dollar sign before a space, or one that only a price follows, is no formula. */
function formulaAt(source: string, at: number): Formula | undefined {
  const rest = source.slice(at);
  const display = /^\$\$((?:\\[\s\S]|[^\\$])+)\$\$/.exec(rest);
  if (display !== null) return { tex: display[1]!, mark: "$$", length: display[0].length };
  const inline = /^\$((?![\s$])(?:\\[\s\S]|(?!\n\s*\n)[^\\$])*?(?:\\[\s\S]|[^\s\\$]))\$(?![\d$])/.exec(rest);
  if (inline !== null) return { tex: inline[1]!, mark: "$", length: inline[0].length };
  const environment = /^\\begin\{(\w+\*?)\}[\s\S]*?\\end\{\1\}/.exec(rest);
  return environment === null ? undefined : { tex: environment[0], mark: "\\begin", length: environment[0].length };
}
