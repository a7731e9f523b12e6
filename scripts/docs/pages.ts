import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

/** One page of the site, from a file in `docs/`. */
export interface Page {
  /** Place below `docs/`, with slashes, without `.md`. */
  readonly name: string;
  readonly title: string;
  readonly markdown: string;
}

/** A part of the site. */
export interface Section {
  readonly folder: string;
  readonly title: string;
  /** Its pages, in reading order. */
  readonly pages: readonly Page[];
}

/** Sections and the order of their pages; a page that is not listed here, or listed and not there, is an error. */
const order: Readonly<Record<string, { readonly title: string; readonly pages: readonly string[] }>> = {
  tutorial: {
    title: "Tutorial",
    pages: ["install", "first-picture", "hook-and-edit", "collect", "features", "own-model"],
  },
  "how-to": {
    title: "How-to",
    pages: [
      "load-models",
      "choose-a-sampler",
      "image-and-inpaint",
      "invert-and-edit",
      "classifier-guidance",
      "capture-attention",
      "capture-less",
      "patch-activations",
      "attribute",
      "custom-edit",
      "train-an-sae",
      "steer-and-ablate",
      "resume-and-replay",
      "differentiate-and-train",
      "work-in-jupyter",
      "run-notebooks",
      "devices",
      "extend",
    ],
  },
  explanation: {
    title: "Explanation",
    pages: ["idea", "tweedies-formula", "sigma-space", "graphs", "layers", "metrics", "limits"],
  },
  reference: { title: "Reference", pages: ["index", "models", "samplers", "operators", "devices", "command"] },
};

/** The home page and the sections. @throws RangeError if files and order differ */
export function readPages(folder: string): { readonly home: Page; readonly sections: readonly Section[] } {
  const read = (name: string): Page => {
    const markdown = readFileSync(path.join(folder, `${name}.md`), "utf8");
    const title = /^# (.+)$/m.exec(markdown)?.[1];
    if (title === undefined) throw new RangeError(`docs/${name}.md: expected a heading "# …" for a title`);
    return { name, title: title.replaceAll("`", ""), markdown };
  };
  const sections = Object.entries(order).map(([place, { title, pages }]) => {
    const there = readdirSync(path.join(folder, place)).filter((file) => file.endsWith(".md"));
    const differing = [
      ...there.filter((file) => !pages.includes(file.slice(0, -3))),
      ...pages.filter((page) => !there.includes(`${page}.md`)),
    ];
    if (differing.length > 0)
      throw new RangeError(`docs/${place}: expected the pages of scripts/docs/pages.ts, not so: ${differing}`);
    return { folder: place, title, pages: pages.map((page) => read(`${place}/${page}`)) };
  });
  return { home: read("index"), sections };
}
