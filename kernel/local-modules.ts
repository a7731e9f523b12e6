import { existsSync, readFileSync } from "node:fs";
import { createRequire, Module } from "node:module";
import path from "node:path";
import type { SourceRegistry } from "./cell-errors.js";
import { PACKAGE_ROOT } from "./package-root.js";
import { type Conversion, splitSourceMaps } from "./typescript-shim.js";

/** Compiled local `.ts` files that cells import, loaded again after they change. */
export class LocalModules {
  readonly #outputs = new Map<string, string>();
  readonly #loaded = new Map<string, Module>();
  readonly #sources: SourceRegistry;

  constructor(sources: SourceRegistry) {
    this.#sources = sources;
  }

  update(outputs: NonNullable<Conversion["sideOutputs"]>): void {
    for (const { path: file, data } of outputs) this.#outputs.set(file, data);
    // A changed file may be imported by any other one.
    if (outputs.length > 0) this.#loaded.clear();
  }

  /** `require` for code in `directory`: local files, then the folder's own packages, then tweedie's. */
  requireFrom(directory: string): NodeJS.Require {
    const own = createRequire(path.join(directory, "cell.js"));
    const fallback = createRequire(path.join(PACKAGE_ROOT, "package.json"));
    const load = (name: string): unknown => {
      const local = name.startsWith(".") ? this.#load(path.join(directory, name)) : undefined;
      if (local) return local.exports;
      return resolves(own, name) || !resolves(fallback, name) ? own(name) : fallback(name);
    };
    return Object.assign(load, { resolve: own.resolve, cache: own.cache, extensions: own.extensions, main: own.main });
  }

  #load(file: string): Module | undefined {
    const name = path.extname(file) === ".js" ? file : `${file.replace(/\.ts$/, "")}.js`;
    const loaded = this.#loaded.get(name);
    const output = this.#outputs.get(name);
    if (loaded || output === undefined) return loaded;
    const module = new Module(name);
    this.#loaded.set(name, module);
    module.filename = name;
    module.require = this.requireFrom(path.dirname(name)) as Module["require"];
    const { code, maps } = splitSourceMaps(output);
    const written = name.replace(/\.js$/, ".ts");
    const source = existsSync(written) ? written : name;
    this.#sources.add(
      name,
      { name: path.relative(process.cwd(), source), code: readFileSync(source, "utf8"), linesBefore: 0 },
      maps,
    );
    (module as Module & { _compile(code: string, name: string): void })._compile(code, name);
    return module;
  }
}

function resolves(require: NodeJS.Require, name: string): boolean {
  try {
    require.resolve(name);
    return true;
  } catch {
    return false;
  }
}
