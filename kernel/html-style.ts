const LIGHT =
  "color-scheme: light; --paper: #fff; --ink: #1f2328; --soft: #59636e; --line: #d8dee4; --code: #f6f8fa; --accent: #0a58ca; --bad: #b42318; --bad-paper: #fef3f2; --warn: #8a4600; --comment: #656d76; --keyword: #a626a4; --string: #1a7f37; --number: #986801; --type: #0550ae; --call: #6639ba;";
const DARK =
  "color-scheme: dark; --paper: #15181d; --ink: #e4e7eb; --soft: #a0a9b4; --line: #353b44; --code: #1e2228; --accent: #7cb2ff; --bad: #ff8f85; --bad-paper: #341a1a; --warn: #f0b072; --comment: #8b949e; --keyword: #e09cf0; --string: #7ee0a0; --number: #e5b567; --type: #85c0ff; --call: #c9a8ff;";

/** Style of exported notebooks: one quiet column, code and figures as wide as the text, light or dark. */
export const HTML_STYLE: string = `
:root { ${LIGHT} }
@media (prefers-color-scheme: dark) { :root:not([data-theme=light]) { ${DARK} } }
:root[data-theme=dark] { ${DARK} }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--paper); font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 880px; margin: 0 auto; padding: 32px 20px 80px; }
h1, h2, h3, h4 { line-height: 1.25; margin: 1.6em 0 0.5em; text-wrap: balance; scroll-margin-top: 16px; }
h1 { font-size: 2rem; margin-top: 0.4em; padding-right: 40px; }
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
.fold summary { color: var(--soft); font-size: 13px; cursor: pointer; }
.fold summary code { color: inherit; }
.fold[open] summary { margin-bottom: 6px; }
.outputs > * { margin: 10px 0 0; }
.outputs > pre { padding: 2px 14px; max-height: 30em; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
.outputs > pre.stdout { color: var(--soft); }
.outputs > pre.stderr { color: var(--warn); }
.outputs > pre.error { padding: 10px 14px; color: var(--bad); background: var(--bad-paper); border-radius: 6px; white-space: pre; overflow-wrap: normal; }
.figure { width: 100%; }
.math { margin: 1em 0; overflow-x: auto; overflow-y: hidden; }
math { font-size: 1.1em; }
.katex-error { color: var(--bad) !important; }
.tok-comment { color: var(--comment); font-style: italic; }
.tok-keyword { color: var(--keyword); }
.tok-string { color: var(--string); }
.tok-number { color: var(--number); }
.tok-type { color: var(--type); }
.tok-call { color: var(--call); }
nav.pages { display: flex; gap: 16px; justify-content: space-between; margin: 8px 44px 24px 0; font-size: 14px; }
footer { margin-top: 48px; color: var(--soft); font-size: 13px; }
#theme { position: fixed; z-index: 10; top: 12px; right: 12px; width: 34px; height: 34px; padding: 0; font-size: 17px; line-height: 1; color: var(--soft); background: var(--paper); border: 1px solid var(--line); border-radius: 17px; cursor: pointer; }
#theme:hover { color: var(--ink); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media print {
  body { font-size: 11pt; }
  main { max-width: none; padding: 0; }
  .outputs > pre { max-height: none; overflow: visible; }
  .source, pre { overflow: visible; white-space: pre-wrap; overflow-wrap: anywhere; }
  .figure, img, svg, table { break-inside: avoid; }
  h1, h2, h3 { break-after: avoid; }
  #theme, nav.pages { display: none; }
}
`;

export const THEME_BUTTON = `<button id="theme" type="button" aria-label="Switch between light and dark" title="Light or dark">◐</button>`;

/** Stands before everything else, so that a page opens in the colours that the reader chose last; paper is always light.
 * Figures listen to \`themechange\`. */
export const THEME_SCRIPT = `{
const root = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)"), key = "tweedie-theme";
const set = (theme) => {
  if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
  window.dispatchEvent(new Event("themechange"));
};
const memory = (act) => { try { return act(localStorage); } catch { return null; } };
document.addEventListener("DOMContentLoaded", () => document.getElementById("theme")?.addEventListener("click", () => {
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
  const next = isDark ? "light" : "dark";
  const chosen = (next === "dark") === system.matches ? undefined : next;
  memory((store) => chosen ? store.setItem(key, chosen) : store.removeItem(key));
  set(chosen);
}));
const chosen = root.dataset.theme ? null : memory((store) => store.getItem(key));
if (chosen === "light" || chosen === "dark") set(chosen);
let before;
addEventListener("beforeprint", () => { before = root.dataset.theme; set("light"); });
addEventListener("afterprint", () => set(before));
}`;
