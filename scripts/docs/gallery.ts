import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { highlightTypeScript } from "../../kernel/highlight.js";
import type { Notebook } from "../../kernel/notebook-format.js";
import { escapeHtml } from "../../lib/figures/escape.js";
import { stillOf } from "../../lib/figures/index.js";
import type { Heading } from "./markdown.js";
import type { Runs } from "./runs.js";
import { bundleHtml } from "./stills.js";

/** Notebooks that are run for every site, with parameters with which they take seconds. */
const small: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "01-look-inside": {
    steps: 12,
    promptedSeeds: 1,
    scenesPerPair: 4,
    vectors: 6000,
    features: 64,
    k: 12,
    saeSteps: 300,
    steeringSteps: 8,
    pilotPictures: 2,
    steeredPictures: 4,
  },
  "04-attention": { steps: 8, scoredScenes: 8, noiseLevels: [300, 700], weights: [0, 1, 4], editSteps: 6 },
};

interface GalleryOptions {
  readonly root: string;
  readonly out: string;
  /** Absent where nothing is to be run. */
  readonly runs: Runs | undefined;
  /** Whether notebooks that take minutes are run too, where `out/` has not what came of them. */
  readonly all: boolean;
}

/** Every figure of every notebook, with the code that made it and a link to the whole. */
export async function galleryPage({ root, out, runs, all }: GalleryOptions): Promise<{ html: string; headings: Heading[] }> {
  const names = readdirSync(path.join(root, "notebooks"))
    .filter((file) => file.endsWith(".ipynb"))
    .map((file) => file.slice(0, -".ipynb".length))
    .sort();
  mkdirSync(path.join(out, "notebooks"), { recursive: true });
  const headings: Heading[] = [{ level: 1, text: "Gallery", id: "gallery" }];
  const parts = [
    '<h1 id="gallery">Gallery</h1>',
    "<p>Pictures that the notebooks draw. Each opens where it was made, with sliders and hover; below it is the code.</p>",
  ];
  for (const name of names) {
    const source = path.join(root, "notebooks", `${name}.ipynb`);
    cpSync(source, path.join(out, "notebooks", `${name}.ipynb`));
    const ran = await runs?.notebook(name, small[name] ?? (all ? {} : undefined));
    const notebook = ran?.notebook ?? (JSON.parse(readFileSync(source, "utf8")) as Notebook);
    const title = /^#\s+(.+)$/m.exec(textOf(notebook.cells[0]?.source))?.[1] ?? name;
    headings.push({ level: 2, text: title, id: name });
    if (ran && existsSync(ran.page)) cpSync(ran.page, path.join(out, "notebooks", `${name}.html`));
    const links = [
      ran && `<a href="notebooks/${name}.html">as a page</a>`,
      `<a href="notebooks/${name}.ipynb" download>notebook</a>`,
    ];
    const note = ran === undefined ? notRun(name) : ran.small && small[name] ? runSmall : "";
    parts.push(`<h2 id="${name}">${escapeHtml(title)}</h2><p>${links.filter(Boolean).join(" · ")}.${note}</p>`);
    const figures = ran ? figuresOf(notebook, name, out) : [];
    parts.push(`<div class="figures">${figures.join("\n")}</div>`);
  }
  return { html: parts.join("\n"), headings };
}

const runSmall = " Run here with small parameters, so numbers and pictures are worse than those of the notebook as it is.";

function notRun(name: string): string {
  return ` It takes minutes and was not run for this page: after <code>npx tweedie run notebooks/${name}.ipynb --html</code> the next one has its pictures.`;
}

function figuresOf(notebook: Notebook, name: string, out: string): string[] {
  return notebook.cells.flatMap((cell, number) => {
    if (cell.cell_type !== "code") return [];
    const bundles = cell.outputs.flatMap((output) => ("data" in output ? [output.data] : []));
    return bundles
      .filter((data) => stillOf(textOf(data["text/html"])) !== undefined)
      .map((data, i) => {
        const asset = (bytes: Uint8Array | string, extension: string): string => {
          const place = `assets/figures/${name}-${number}-${i}.${extension}`;
          writeFileSync(path.join(out, place), bytes);
          return place;
        };
        const code = highlightTypeScript(textOf(cell.source).trimEnd());
        return `<figure><a href="notebooks/${name}.html">${bundleHtml(data, asset)}</a><figcaption>${escapeHtml(textOf(data["text/plain"]))}</figcaption>
<details><summary>Code</summary><pre><code>${code}</code></pre></details></figure>`;
      });
  });
}

function textOf(text: unknown): string {
  return [text ?? ""].flat().join("");
}
