/** The compiler options of cells and of the local files they import: strict ones, and what the folder's `tsconfig.json` says. */
import path from "node:path";
import ts from "typescript";

/** What every cell can use without importing it. */
export const BUILT_IN = "declare function input(prompt?: string, options?: { password?: boolean }): Promise<string>;\n";

const DEFAULTS: ts.CompilerOptions = {
  strict: true,
  target: ts.ScriptTarget.ES2022,
  // With a later module kind TypeScript would accept top-level await silently, and tslab could not tell sync from async cells.
  module: ts.ModuleKind.ES2020,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  lib: ["lib.es2023.d.ts"],
  // JavaScript needs no compiling: it is loaded as it is, with types from its declarations or none.
  allowJs: false,
  checkJs: false,
  inlineSourceMap: true,
  esModuleInterop: true,
  experimentalDecorators: true,
  resolveJsonModule: true,
  allowImportingTsExtensions: true,
  jsx: ts.JsxEmit.React,
  // Packages bring their own types when imported; only Node's are there from the start.
  types: [],
};

/** What a `tsconfig.json` may say about cells: how strict they are, what they know, and where names lead. How they are compiled
 * and loaded (`module`, `target`, `outDir`, …) is the kernel's affair; that nothing may be unused makes no sense in cells. */
const HONOURED: readonly (keyof ts.CompilerOptions)[] = [
  ...["strict", "alwaysStrict", "noImplicitAny", "noImplicitThis", "strictBindCallApply", "strictFunctionTypes"],
  ...["strictNullChecks", "strictPropertyInitialization", "strictBuiltinIteratorReturn", "useUnknownInCatchVariables"],
  ...["exactOptionalPropertyTypes", "noFallthroughCasesInSwitch", "noImplicitOverride", "noImplicitReturns"],
  ...["noPropertyAccessFromIndexSignature", "noUncheckedIndexedAccess", "allowUnreachableCode", "allowUnusedLabels"],
  ...["lib", "types", "typeRoots", "paths", "pathsBasePath", "baseUrl", "customConditions", "skipLibCheck"],
  ...["jsx", "jsxFactory", "jsxFragmentFactory", "jsxImportSource"],
  ...["experimentalDecorators", "emitDecoratorMetadata", "useDefineForClassFields"],
];

export interface CellOptions {
  readonly options: ts.CompilerOptions;
  /** What is wrong with `tsconfig.json`, in words, with file, line and column. */
  readonly problems: readonly string[];
}

/** Options for cells that run in `directory`, which alone is looked at: a notebook in a subfolder says `{ "extends": "…" }`. */
export function cellOptions(directory: string): CellOptions {
  const file = path.join(directory, "tsconfig.json");
  if (!ts.sys.fileExists(file)) return { options: withBasics({}), problems: [] };
  const source = ts.readJsonConfigFile(file, ts.sys.readFile);
  // Which files it is about is of no interest: cells import what they need.
  const system: ts.ParseConfigHost = { ...ts.sys, readDirectory: () => [] };
  const parsed = ts.parseJsonSourceFileConfigFileContent(source, system, directory, {}, file);
  const { parseDiagnostics } = source as ts.TsConfigSourceFile & { readonly parseDiagnostics: readonly ts.Diagnostic[] };
  const problems = [...parseDiagnostics, ...parsed.errors.filter(({ code }) => code !== NO_INPUTS)];
  const said = Object.entries(parsed.options).filter(([name]) => HONOURED.includes(name));
  return { options: withBasics(Object.fromEntries(said)), problems: problems.map((problem) => inWords(problem, directory)) };
}

/** "No inputs were found in config file" */
const NO_INPUTS = 18003;

function withBasics(said: ts.CompilerOptions): ts.CompilerOptions {
  const options = { ...DEFAULTS, ...said };
  return {
    ...options,
    lib: [...options.lib!, "lib.esnext.disposable.d.ts"],
    types: [...new Set(["node", ...options.types!])],
  };
}

function inWords({ file, start = 0, messageText }: ts.Diagnostic, directory: string): string {
  const text = ts.flattenDiagnosticMessageText(messageText, " ");
  if (!file) return `tsconfig.json - ${text}`;
  const { line, character } = ts.getLineAndCharacterOfPosition(file, start);
  return `${path.relative(directory, file.fileName)} line ${line + 1}:${character + 1} - ${text}`;
}
