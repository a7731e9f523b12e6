/** Style of exported notebooks: one quiet column, code and figures as wide as the text. */
export const HTML_STYLE = `
:root { color-scheme: light; --ink: #1f2328; --soft: #59636e; --line: #d8dee4; --code: #f6f8fa; --accent: #0a58ca; --bad: #b42318; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff; font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 880px; margin: 0 auto; padding: 32px 20px 80px; }
h1, h2, h3, h4 { line-height: 1.25; margin: 1.6em 0 0.5em; text-wrap: balance; }
h1 { font-size: 2rem; margin-top: 0.4em; }
h2 { font-size: 1.45rem; padding-bottom: 0.25em; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.15rem; }
a { color: var(--accent); }
img, svg { max-width: 100%; }
blockquote { margin: 1em 0; padding: 0 1em; color: var(--soft); border-left: 3px solid var(--line); }
pre, code { font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
:not(pre) > code { padding: 0.1em 0.35em; background: var(--code); border-radius: 4px; }
pre { margin: 0; overflow-x: auto; }
.text pre { padding: 12px 14px; background: var(--code); border-radius: 6px; }
table { border-collapse: collapse; margin: 0.6em 0; font-size: 14px; display: block; max-width: 100%; overflow-x: auto; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 12px 4px 0; text-align: left; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
.cell { margin: 18px 0; }
.source { padding: 12px 14px; background: var(--code); border-left: 3px solid var(--line); border-radius: 0 6px 6px 0; }
.cell.failed .source { border-left-color: var(--bad); }
.outputs > * { margin: 10px 0 0; }
.outputs > pre { padding: 2px 14px; max-height: 30em; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
.outputs > pre.stdout { color: var(--soft); }
.outputs > pre.stderr { color: #8a4600; }
.outputs > pre.error { padding: 10px 14px; color: var(--bad); background: #fef3f2; border-radius: 6px; white-space: pre; overflow-wrap: normal; }
.figure { width: 100%; }
.tok-comment { color: #6e7781; font-style: italic; }
.tok-keyword { color: #a626a4; }
.tok-string { color: #1a7f37; }
.tok-number { color: #986801; }
.tok-type { color: #0550ae; }
.tok-call { color: #6639ba; }
footer { margin-top: 48px; color: var(--soft); font-size: 13px; }
@media print {
  body { font-size: 11pt; }
  main { max-width: none; padding: 0; }
  .outputs > pre { max-height: none; overflow: visible; }
  .source, pre { overflow: visible; white-space: pre-wrap; overflow-wrap: anywhere; }
  .figure, img, svg, table { break-inside: avoid; }
  h1, h2, h3 { break-after: avoid; }
}
`;
