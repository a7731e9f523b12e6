import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type Command, command, didYouMean, say, UsageError } from "../command-line.js";
import { PACKAGE_ROOT, packageVersion } from "../package-root.js";

const TEMPLATES: readonly string[] = ["research", "teaching", "quick-check"];

export const create: Command = command({
  name: "new",
  summary: "begins a notebook from a template that runs as it is",
  operands: "<research|teaching|quick-check> [folder or .ipynb]",
  most: 2,
  choices: TEMPLATES,
  examples: [
    ["tweedie new research my-study", "my-study/research.ipynb, and a tsconfig.json for editors"],
    ["tweedie new teaching lecture.ipynb", "only the notebook"],
    ["tweedie new quick-check . --package", "in this folder, with a package.json"],
  ],
  about: `research      a question, data in two halves, a baseline, a conclusion
teaching      a lecture with slides and exercises
quick-check   does a model load and draw, does an edit change what it should

Each runs on the embedded model in a minute. Nothing is overwritten.`,
  options: { package: { help: "also a package.json, so that the folder can have packages of its own" } },
  run({ values, positionals: [template = "", target = "."] }) {
    if (!TEMPLATES.includes(template))
      throw new UsageError(
        `new: expected ${TEMPLATES.join(", ")}, got ${template || "nothing"}${didYouMean(template, TEMPLATES)}`,
      );
    if (target === "") throw new UsageError("new: expected a folder or a notebook's name, got an empty one");
    const isFile = target.endsWith(".ipynb");
    const folder = isFile ? path.dirname(target) : target;
    const notebook = isFile ? target : path.join(folder, `${template}.ipynb`);
    if (existsSync(notebook)) throw new UsageError(`new: ${notebook} is there already; give another name`);
    mkdirSync(folder, { recursive: true });
    const files: (readonly [file: string, text: string])[] = [
      [notebook, readFileSync(new URL(`../templates/${template}.ipynb`, import.meta.url), "utf8")],
    ];
    if (!isFile) files.push([path.join(folder, "tsconfig.json"), json(TSCONFIG)]);
    if (values.package) files.push([path.join(folder, "package.json"), json(manifest(path.basename(path.resolve(folder))))]);
    const written = files.filter(([file]) => !existsSync(file));
    for (const [file, text] of written) writeFileSync(file, text, { flag: "wx" });
    return say(`${written.map(([file]) => file).join("\n")}\n\nNow: tweedie run ${notebook} --html, or open it in Jupyter.`);
  },
});

/** What cells are compiled with, for editors and for the files beside the notebook. */
const TSCONFIG = {
  compilerOptions: {
    strict: true,
    target: "es2022",
    module: "preserve",
    moduleResolution: "bundler",
    lib: ["es2023", "esnext.disposable"],
    types: ["node"],
    skipLibCheck: true,
    noEmit: true,
  },
};

function manifest(folder: string): object {
  const version = packageVersion(path.join(PACKAGE_ROOT, "package.json"));
  const name =
    folder
      .toLowerCase()
      .replace(/[^a-z\d._-]+/g, "-")
      .replace(/^[._-]+/, "") || "notebooks";
  return { name, private: true, type: "module", dependencies: { tweedie: `^${version}` } };
}

function json(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
