import { stillOf } from "../lib/figures/figure.js";
import { terminalText } from "./html-cells.js";
import { decoded } from "./markdown.js";
import type { MimeBundle } from "./messages.js";
import type { Notebook, NotebookCell, Output } from "./notebook-format.js";
import { hasTag } from "./parameters.js";

/** A notebook as Markdown, and the pictures that it refers to by place beside it. */
export interface MarkdownDocument {
  readonly text: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** @param name of the document: its pictures go into `<name>_files/`
 * @param code whether source is in it */
export function notebookToMarkdown(notebook: Notebook, name: string, code = true): MarkdownDocument {
  const files = new Map<string, Uint8Array>();
  const picture = (extension: string, bytes: Uint8Array): string => {
    const file = `${name}_files/${files.size + 1}.${extension}`;
    files.set(file, bytes);
    return encodeURI(file);
  };
  const blocks = notebook.cells.flatMap((cell) => cellBlocks(cell, code, picture));
  return { text: `${blocks.filter((block) => block.trim() !== "").join("\n\n")}\n`, files };
}

type KeepPicture = (extension: string, bytes: Uint8Array) => string;

function cellBlocks(cell: NotebookCell, code: boolean, picture: KeepPicture): string[] {
  if (hasTag(cell, "remove-cell")) return [];
  if (cell.cell_type !== "code") {
    if (cell.cell_type === "raw") return [];
    // Pictures that were pasted into the cell come out of it.
    const pasted = cell.source.replace(/\(attachment:([^)\s]+)\)/g, (whole, name: string) => {
      const [type = "", data] = Object.entries(cell.attachments?.[decoded(name)] ?? {})[0] ?? [];
      return data === undefined
        ? whole
        : `(${picture(type.replace(/^image\/|\+xml$/g, ""), Buffer.from(String(data), "base64"))})`;
    });
    return [pasted];
  }
  const source = code && cell.source.trim() !== "" && !hasTag(cell, "remove-input") ? [fence(cell.source, "ts")] : [];
  return [...source, ...(hasTag(cell, "remove-output") ? [] : cell.outputs.map((output) => outputBlock(output, picture)))];
}

function outputBlock(output: Output, picture: KeepPicture): string {
  if (output.output_type === "stream") return fence(terminalText(output.text));
  if (output.output_type === "error") return fence(terminalText(output.traceback.join("\n")));
  return bundleBlock(output.data, picture);
}

/** The richest representation that Markdown can show: it runs no scripts. */
function bundleBlock(data: MimeBundle, picture: KeepPicture): string {
  const text = (type: string): string | undefined => (typeof data[type] === "string" ? data[type] : undefined);
  const plain = text("text/plain") ?? "";
  const alt = plain.split("\n", 1)[0]!.replace(/[[\]]/g, "");
  const svg = text("image/svg+xml") ?? stillOf(text("text/html") ?? "");
  if (svg !== undefined) return `![${alt}](${picture("svg", Buffer.from(svg))})`;
  for (const [type, extension] of [
    ["image/png", "png"],
    ["image/jpeg", "jpg"],
    ["image/gif", "gif"],
  ] as const) {
    const image = text(type);
    if (image !== undefined) return `![${alt}](${picture(extension, Buffer.from(image, "base64"))})`;
  }
  const markdown = text("text/markdown");
  if (markdown !== undefined) return markdown;
  const html = text("text/html");
  const images = [...(html ?? "").matchAll(/src="data:image\/(png|jpeg|gif|webp);base64,([A-Za-z\d+/=]+)"/g)];
  const shown = images.map(
    ([, type, data]) => `![${alt}](${picture(type!.replace("jpeg", "jpg"), Buffer.from(data!, "base64"))})`,
  );
  return [...(shown.length > 0 ? [shown.join(" ")] : []), ...(plain === "" ? [] : [fence(terminalText(plain))])].join("\n\n");
}

/** A code block whose fence is longer than any in it. */
function fence(text: string, language = ""): string {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map((ticks) => ticks.length));
  const ticks = "`".repeat(longest + 1);
  return `${ticks}${language}\n${text.replace(/\n$/, "")}\n${ticks}`;
}
