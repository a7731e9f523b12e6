import path from "node:path";
import { Application, Comment, Converter, type DeclarationReflection, JSX, ReflectionKind, type Router } from "typedoc";

/** Layers in their order, with what each holds: a layer imports only those before it. */
export const layers: Readonly<Record<string, string>> = {
  tensor: "Dense typed arrays with shape and dtype, seeded random numbers, safetensors, npy, PNG.",
  figures: "Pure functions from plain data to figures that show themselves, and stay readable without scripts.",
  onnx: "Graphs as values: decoded and encoded byte for byte, shapes inferred, passes from graph to graph.",
  program: "Tensor programs written in TypeScript that become graphs; layers and nets in the same words.",
  autodiff: "Reverse-mode gradients of built and of loaded graphs, as graphs.",
  runtime: "Devices, sessions and their limits: opened, run without blocking, interrupted, released.",
  train: "Losses, optimizers and training graphs with many steps per run; checkpoints, exact resume.",
  hooks: "The module tree of a loaded model, hook points by pattern, captures reduced in the graph, edits.",
  diffusion: "Schedules, samplers, guidance, inversion and the pipelines of Diffusers folders.",
  activations: "Collecting activation vectors with where each came from, in memory or in shards.",
  attribution: "Gradients, integrated gradients, patching and attention per word: what mattered for what.",
  reduction: "PCA, UMAP, nearest neighbours, and how far to believe them.",
  sae: "Sparse autoencoders: training, metrics, baselines, loss recovered, files.",
  features: "What a feature means and what it does: search, examples, steering, ablation.",
  evaluate: "Shares with their intervals.",
  predictors: "Classifiers and contrastive encoders that judge pictures.",
  notebook: "Showing, progress and interrupts in the current cell.",
};

/** Places of the public API's pages below the site, by name: `collect`, `Pipeline.generate`, `hooks.Region`. */
export type ApiPages = ReadonlyMap<string, string>;

export interface Reference {
  readonly pages: ApiPages;
  /** Papers by name of what cites them, as its comment has them. */
  readonly papers: ReadonlyMap<string, string>;
  /** Exports per layer. */
  readonly exports: ReadonlyMap<string, number>;
}

export interface ReferenceOptions {
  readonly root: string;
  /** Folder below the site's. */
  readonly out: string;
  /** Style in the site's colours, a file. */
  readonly style: string;
  /** Links to the other sections: title and place below the site. */
  readonly links: readonly (readonly [title: string, page: string])[];
}

/** Writes the reference with TypeDoc: every public entry point, by layer. */
export async function writeReference({ root, out, style, links }: ReferenceOptions): Promise<Reference> {
  const entry = (name: string): string => path.join(root, name, "index.ts");
  const app = await Application.bootstrap({
    entryPoints: [...Object.keys(layers).map((layer) => entry(`lib/${layer}`)), entry("models/shapes"), entry("lib")],
    tsconfig: path.join(root, "tsconfig.json"),
    name: "tweedie reference",
    readme: "none",
    sortEntryPoints: false,
    excludePrivate: true,
    excludeInternal: true,
    excludeExternals: true,
    disableSources: true,
    githubPages: false,
    // Types are checked by npm run check.
    skipErrorChecking: true,
    includeHierarchySummary: false,
    includeVersion: true,
    hideGenerator: true,
    navigation: { includeFolders: false },
    customCss: style,
    validation: { notExported: false, invalidLink: true, invalidPath: true, notDocumented: false },
    logLevel: "Error",
    jsDocCompatibility: { exampleTag: true },
  });
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (_context, reflection: DeclarationReflection) => {
    if (reflection.kindOf(ReflectionKind.Module)) nameModule(reflection);
  });
  let router: Router | undefined;
  app.renderer.hooks.on("body.begin", ({ page, router: current }) => {
    router = current;
    const up = "../".repeat(page.url.split("/").length);
    const sections = links.map(([title, place]) => JSX.createElement("a", { href: up + place }, title));
    return JSX.createElement("nav", { class: "site-sections", "aria-label": "Sections" }, ...sections);
  });
  const project = await app.convert();
  if (project === undefined) throw new Error("the reference could not be made; TypeDoc says why above");
  app.validate(project);
  await app.generateDocs(project, out);
  if (app.logger.hasErrors()) throw new Error("the reference has errors; TypeDoc says which above");

  const pages = new Map<string, string>();
  const papers = new Map<string, string>();
  const exports = new Map<string, number>();
  const folder = path.basename(out);
  if (router === undefined) throw new Error("the reference has no page; TypeDoc says why above");
  const note = (name: string, url: string): void => void (pages.has(name) || pages.set(name, url));
  // What the root exports is what a page means by a plain name.
  const modules = [...(project.children ?? [])].reverse();
  for (const module of modules) {
    const layer = module.name.replace(/^tweedie\/?/, "");
    note(module.name, `${folder}/${router.getFullUrl(module)}`);
    exports.set(layer, module.children?.length ?? 0);
    for (const child of module.children ?? []) {
      const target = child.isReference() ? child.getTargetReflectionDeep() : child;
      if (!router.hasUrl(target)) continue;
      const url = `${folder}/${router.getFullUrl(target)}`;
      for (const name of layer === "" ? [child.name] : [child.name, `${layer}.${child.name}`]) note(name, url);
      const see = commentOf(target as DeclarationReflection)?.getTag("@see");
      if (see) papers.set(child.name, Comment.combineDisplayParts(see.content).replace(/\s+/g, " ").trim());
      for (const member of (target as DeclarationReflection).children ?? []) {
        if (router.hasUrl(member)) note(`${child.name}.${member.name}`, `${folder}/${router.getFullUrl(member)}`);
      }
    }
  }
  return { pages, papers, exports };
}

function commentOf(reflection: DeclarationReflection): Comment | undefined {
  return reflection.comment ?? reflection.signatures?.[0]?.comment;
}

function nameModule(module: DeclarationReflection): void {
  const layer = module.name.replace(/^(lib|models)\/?/, "").replace(/\/?index$/, "");
  module.name = layer === "" ? "tweedie" : `tweedie/${layer}`;
  const text =
    layer === "shapes"
      ? "The embedded world: scenes with complete ground truth, their captions, and the classifiers that judge pictures."
      : (layers[layer] ?? "What a notebook needs, from every layer.");
  module.comment = new Comment([{ kind: "text", text }]);
}
