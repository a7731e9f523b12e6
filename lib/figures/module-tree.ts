import { escapeHtml } from "./escape.js";
import { HtmlBlock } from "./html-block.js";
import { countText } from "./text.js";

/** A module of a network as the tree shows it. */
export interface ModuleNode {
  /** The last part of the module's path. */
  readonly name: string;
  /** What it is: "Conv", "ResnetBlock2D", "MatMul". */
  readonly kind?: string;
  /** Output shape; a string is a symbolic dimension. */
  readonly shape?: readonly (number | string)[];
  /** Parameters in it and below. */
  readonly parameters?: number;
  /** The name to give to hooks. */
  readonly hookPoint?: string;
  readonly children?: readonly ModuleNode[];
}

export interface ModuleTreeOptions {
  readonly title?: string;
  /** Levels that are open at first; default 2. */
  readonly open?: number;
}

const style = `<style>.tweedie-tree{font:13px system-ui,-apple-system,sans-serif;color:inherit;line-height:1.7;max-width:100%;overflow-x:auto}
.tweedie-tree summary{cursor:pointer;list-style:none;white-space:nowrap;border-radius:4px;padding:0 4px}
.tweedie-tree summary::-webkit-details-marker{display:none}
.tweedie-tree summary::before{content:"▸";display:inline-block;width:1.1em;opacity:.6}
.tweedie-tree details[open]>summary::before{content:"▾"}
.tweedie-tree summary:hover,.tweedie-tree .leaf:hover{background:rgba(128,128,128,.14)}
.tweedie-tree summary:focus-visible{outline:2px solid #0072B2;outline-offset:-1px}
.tweedie-tree .leaf{padding:0 4px 0 calc(1.1em + 4px);white-space:nowrap;border-radius:4px}
.tweedie-tree .below{margin-left:.75em;padding-left:.6em;border-left:1px solid rgba(128,128,128,.3)}
.tweedie-tree b{font-weight:600}
.tweedie-tree i{font-style:normal;opacity:.72;margin-left:.7em}
.tweedie-tree code{font:12px ui-monospace,SFMono-Regular,Menlo,monospace;background:rgba(128,128,128,.13);color:inherit;border-radius:4px;padding:1px 5px;margin-left:.7em}
.tweedie-tree .count{float:right;opacity:.72;margin-left:2em;font-variant-numeric:tabular-nums}</style>`;

/** The modules of a network as a tree that opens and closes, by mouse and by keyboard, without any script. */
export function moduleTree(root: ModuleNode, options: ModuleTreeOptions = {}): HtmlBlock {
  const { title = root.name, open = 2 } = options;
  const html = `${style}<div class="tweedie-tree" role="group" aria-label="${escapeHtml(title)}">${branch(root, 0, open)}</div>`;
  return new HtmlBlock(html, plain(root, "", "").join("\n"));
}

function branch(node: ModuleNode, depth: number, open: number): string {
  const line = lineHtml(node);
  const children = node.children ?? [];
  if (children.length === 0) return `<div class="leaf">${line}</div>`;
  const below = children.map((child) => branch(child, depth + 1, open)).join("");
  return `<details${depth < open ? " open" : ""}><summary>${line}</summary><div class="below">${below}</div></details>`;
}

function lineHtml({ name, kind, shape, parameters, hookPoint }: ModuleNode): string {
  const path = hookPoint === undefined ? "" : ` title="hook point: ${escapeHtml(hookPoint)}"`;
  return [
    parameters === undefined || parameters === 0 ? "" : `<span class="count">${escapeHtml(countText(parameters))}</span>`,
    `<b${path}>${escapeHtml(name)}</b>`,
    kind === undefined ? "" : `<i>${escapeHtml(kind)}</i>`,
    shape === undefined ? "" : `<code>${escapeHtml(shapeText(shape))}</code>`,
  ]
    .filter(Boolean)
    .join(" ");
}

function shapeText(shape: readonly (number | string)[]): string {
  return shape.length === 0 ? "scalar" : shape.join(" × ");
}

function plain(node: ModuleNode, lead: string, childLead: string): string[] {
  const parts = [node.name, node.kind, node.shape === undefined ? undefined : `[${node.shape.join(", ")}]`];
  if (node.parameters !== undefined && node.parameters > 0) parts.push(`${countText(node.parameters)} parameters`);
  const children = node.children ?? [];
  return [
    `${lead}${parts.filter((p) => p !== undefined).join("  ")}`,
    ...children.flatMap((child, i) => {
      const last = i === children.length - 1;
      return plain(child, `${childLead}${last ? "└─ " : "├─ "}`, `${childLead}${last ? "   " : "│  "}`);
    }),
  ];
}
