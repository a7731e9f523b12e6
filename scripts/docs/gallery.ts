import { cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { highlightTypeScript } from "../../kernel/highlight.js";
import { type Notebook, readNotebook } from "../../kernel/notebook-format.js";
import { escapeHtml } from "../../lib/figures/escape.js";
import { stillOf } from "../../lib/figures/index.js";
import type { Heading } from "./markdown.js";
import type { Runs } from "./runs.js";
import { bundleHtml } from "./stills.js";

/** Parameters with which a notebook takes seconds. */
const small: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "01-look-inside": {
    steps: 8,
    promptedSeeds: 1,
    scenesPerPair: 4,
    vectors: 6000,
    features: 64,
    k: 12,
    saeSteps: 300,
    steeringSteps: 6,
    pilotPictures: 2,
    steeredPictures: 4,
  },
  "02-samplers": {
    prompts: ["a large red circle", "a blue star"],
    solvers: ["ddim", "heun", "dpmpp-2m"],
    noisy: ["ddpm", "euler-ancestral"],
    stepCounts: [2, 5, 10],
    referenceSteps: 40,
    seeds: 2,
    judgedSteps: [3],
    judgedPrompts: 6,
  },
  "03-anatomy": { steps: 5, noiseLevels: [300], judgedPrompts: 2 },
  "04-attention": { steps: 8, scoredScenes: 8, noiseLevels: [300, 700], weights: [0, 1, 4], editSteps: 6, judgedPrompts: 12 },
  "05-editing": {
    pictures: 3,
    inversionSteps: [5, 10],
    scales: [1, 4],
    steps: 8,
    nullTextSteps: 4,
    nullTextIterations: 3,
    strengths: [0.4, 0.7, 1],
    frames: 5,
    hookPoints: ["mid_block"],
    directionDoses: [0, 1, 2],
    guidedPictures: 4,
    classifierScales: [0, 1, 4],
  },
  "06-patching": {
    colourPairs: [["a large red circle", "a large blue circle"]],
    shapePairs: [["a large red circle", "a large red square"]],
    steps: 4,
    hookPoints: ["mid_block", "up_blocks.*", "up_blocks.*.attentions.*:update"],
    call: 2,
    integrationPoints: 8,
  },
};

interface GalleryOptions {
  readonly root: string;
  readonly out: string;
  /** Absent where nothing is to be run. */
  readonly runs: Runs | undefined;
  /** Whether notebooks are run as they are, which takes minutes each. */
  readonly full: boolean;
}

interface Gallery {
  readonly html: string;
  readonly headings: Heading[];
  /** What went wrong. */
  readonly failed: readonly string[];
}

/** Every figure of every notebook, with the code that made it and a link to the whole. */
export async function galleryPage({ root, out, runs, full }: GalleryOptions): Promise<Gallery> {
  const names = readdirSync(path.join(root, "notebooks"))
    .filter((file) => file.endsWith(".ipynb"))
    .map((file) => file.slice(0, -".ipynb".length))
    .sort();
  mkdirSync(path.join(out, "notebooks"), { recursive: true });
  const failed: string[] = [];
  const headings: Heading[] = [{ level: 1, text: "Gallery", id: "gallery" }];
  const parts = [
    '<h1 id="gallery">Gallery</h1>',
    "<p>Pictures that the notebooks draw. Each opens where it was made, with sliders and hover; below it is the code.</p>",
  ];
  for (const name of names) {
    const source = path.join(root, "notebooks", `${name}.ipynb`);
    cpSync(source, path.join(out, "notebooks", `${name}.ipynb`));
    const ran = await runs
      ?.notebook(name, full ? {} : (small[name] ?? {}))
      .catch((error: Error) => void failed.push(error.message));
    const notebook = ran ? ran.notebook : readNotebook(source);
    const title = /^#\s+(.+)$/m.exec(notebook.cells[0]?.source ?? "")?.[1] ?? name;
    headings.push({ level: 2, text: title, id: name });
    if (ran) cpSync(ran.page, path.join(out, "notebooks", `${name}.html`));
    const links = [
      ran && `<a href="notebooks/${name}.html">as a page</a>`,
      `<a href="notebooks/${name}.ipynb" download>notebook</a>`,
    ];
    const note = ran ? (ran.small ? runSmall : "") : notRun;
    parts.push(`<h2 id="${name}">${escapeHtml(title)}</h2><p>${links.filter(Boolean).join(" · ")}.${note}</p>`);
    const figures = ran ? figuresOf(notebook, name, out) : [];
    if (ran && figures.length === 0) failed.push(`notebooks/${name}.ipynb: expected figures for the gallery, got none`);
    parts.push(`<div class="figures">${figures.join("\n")}</div>`);
  }
  return { html: parts.join("\n"), headings, failed };
}

const runSmall = " Run here with small parameters, so numbers and pictures are worse than those of the notebook as it is.";

const notRun = " It was not run for this page.";

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
        const code = highlightTypeScript(cell.source.trimEnd());
        return `<figure><a href="notebooks/${name}.html">${bundleHtml(data, asset)}</a><figcaption>${escapeHtml(caption(textOf(data["text/plain"])))}</figcaption>
<details><summary>Code</summary><pre><code>${code}</code></pre></details></figure>`;
      });
  });
}

/** The summary's beginning, which is whole in the picture's alternative text. */
function caption(summary: string): string {
  return summary.length <= 160 ? summary : `${summary.slice(0, 160).replace(/(;[^;]*|\s\S*)$/, "")} …`;
}

function textOf(text: unknown): string {
  return [text ?? ""].flat().join("");
}
