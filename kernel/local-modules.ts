import { readFileSync } from "node:fs";
import { createRequire, Module } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import ts from "typescript";
import type { SourceRegistry } from "./cell-errors.js";
import { stampOf } from "./file-stamp.js";
import { PACKAGE_ROOT } from "./package-root.js";
import { compileLocalFile } from "./typescript-shim.js";

interface LocalModule {
  readonly module: Module;
  readonly stamp: string;
  /** Local files that it has imported. */
  readonly imports: Set<string>;
}

/** What cells and local files import: the folder's own files, compiled, then its packages, then tweedie's.
 *
 * A local file (`.ts`, `.tsx`, `.json`) that has changed is loaded anew by the next cell that imports it, or that imports what
 * imports it; other files keep their state. No cell runs by itself: what one has imported stays until it imports again. */
export class LocalModules {
  readonly #sources: SourceRegistry;
  readonly #options: ts.CompilerOptions;
  readonly #loaded = new Map<string, LocalModule>();
  /** Packages with a top-level `await`, which cannot be required. */
  readonly #awaited = new Map<string, object>();
  readonly #fallback = createRequire(path.join(PACKAGE_ROOT, "package.json"));

  constructor(sources: SourceRegistry, options: ts.CompilerOptions) {
    this.#sources = sources;
    this.#options = options;
  }

  /** Gets ready for a cell: forgets local files that have changed, and imports what can only be imported by awaiting it. */
  async prepare(code: string, directory: string): Promise<void> {
    this.#forgetChanged();
    const own = createRequire(path.join(directory, "cell.js"));
    for (const { fileName: name } of ts.preProcessFile(code).importedFiles) {
      if (this.#localFile(name, path.join(directory, "cell.ts"))) continue;
      const require = resolves(own, name) || !resolves(this.#fallback, name) ? own : this.#fallback;
      const resolved = resolves(require, name);
      if (!resolved || this.#awaited.has(resolved)) continue;
      try {
        require(name);
      } catch (error) {
        // Whatever else is wrong, the cell will find out where it belongs.
        if ((error as NodeJS.ErrnoException).code !== "ERR_REQUIRE_ASYNC_MODULE") continue;
        const exported = (await import(pathToFileURL(resolved).href)) as object;
        // So that `import x from` gets its default, as Node does for the modules that it can require.
        this.#awaited.set(resolved, "default" in exported ? { ...exported, __esModule: true } : exported);
      }
    }
  }

  /** `require` for code in `directory`. */
  requireFrom(directory: string): NodeJS.Require {
    return this.#requireFor(path.join(directory, "cell.ts"));
  }

  #requireFor(importer: string): NodeJS.Require {
    const own = createRequire(importer);
    const load = (name: string): unknown => {
      const local = this.#localFile(name, importer);
      if (local) {
        this.#loaded.get(importer)?.imports.add(local);
        return this.#load(local).exports;
      }
      const require = resolves(own, name) || !resolves(this.#fallback, name) ? own : this.#fallback;
      const resolved = resolves(require, name);
      return (resolved && this.#awaited.get(resolved)) ?? require(name);
    };
    return Object.assign(load, { resolve: own.resolve, cache: own.cache, extensions: own.extensions, main: own.main });
  }

  /** The file that TypeScript takes a name for, if it is one that has to be compiled. */
  #localFile(name: string, importer: string): string | undefined {
    const { paths, baseUrl } = this.#options;
    if (!/^\.{0,2}\//.test(name) && name !== "." && name !== ".." && !paths && !baseUrl) return undefined;
    const found = ts.resolveModuleName(name, importer, this.#options, ts.sys).resolvedModule;
    if (!found || found.isExternalLibraryImport) return undefined;
    return /(?<!\.d)\.[cm]?tsx?$|\.json$/.test(found.resolvedFileName) ? found.resolvedFileName : undefined;
  }

  #load(file: string): Module {
    const loaded = this.#loaded.get(file);
    if (loaded) return loaded.module;
    const module = new Module(file);
    module.filename = file;
    this.#loaded.set(file, { module, stamp: stampOf(file), imports: new Set() });
    try {
      const code = readFileSync(file, "utf8");
      if (file.endsWith(".json")) module.exports = JSON.parse(code);
      else this.#run(module, code);
    } catch (error) {
      this.#loaded.delete(file);
      throw error;
    }
    return module;
  }

  #run(module: Module, code: string): void {
    const { filename } = module;
    const { output, maps } = compileLocalFile(filename, code, this.#options);
    this.#sources.add(filename, { name: path.relative(process.cwd(), filename), code, linesBefore: 0 }, maps);
    module.require = this.#requireFor(filename) as Module["require"];
    (module as Module & { _compile(code: string, name: string): void })._compile(output, filename);
  }

  #forgetChanged(): void {
    const stale = new Set([...this.#loaded].filter(([file, { stamp }]) => stamp !== stampOf(file)).map(([file]) => file));
    // The set grows while it is gone through: importers of importers follow.
    for (const file of stale) {
      for (const [importer, { imports }] of this.#loaded) if (imports.has(file)) stale.add(importer);
      this.#loaded.delete(file);
    }
  }
}

function resolves(require: NodeJS.Require, name: string): string | undefined {
  try {
    return require.resolve(name);
  } catch {
    return undefined;
  }
}
