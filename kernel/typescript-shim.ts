/**
 * Runs tslab's converter on stock TypeScript.
 *
 * tslab 1.0.22 brings a fork of TypeScript 5.0. Its modules reach the compiler through one `require`, so a stand-in put
 * into the module cache before they load gives cells TypeScript 5.9, bundler resolution, strict checks and source maps.
 * Everything below relies on unexported parts of tslab and of TypeScript: both are pinned, and a contract test watches.
 */
import { createRequire, Module } from "node:module";
import path from "node:path";
import ts from "typescript";
import { cellOptions } from "./cell-options.js";
import { stampOf } from "./file-stamp.js";
import { interruptibleAwaits } from "./interruptible-awaits.js";
import type { CompletionDetail } from "./messages.js";
import { mixedAssignments } from "./mixed-assignments.js";
import { PACKAGE_ROOT, packageVersion } from "./package-root.js";

export interface Position {
  readonly offset: number;
  readonly line: number;
  readonly character: number;
}

/** A type error at a zero-based position in the cell (or in the local file `fileName`). */
export interface CellDiagnostic {
  readonly start: Position;
  readonly end: Position;
  readonly messageText: string;
  readonly code: number;
  readonly fileName?: string;
}

export interface Conversion {
  readonly output?: string;
  /** Declarations of everything defined so far, to be passed to the next conversion. */
  readonly declOutput?: string;
  readonly diagnostics: readonly CellDiagnostic[];
  readonly lastExpressionVar?: string;
  readonly hasToplevelAwait?: boolean;
}

export interface Converter {
  convert(previousDeclarations: string, code: string): Conversion;
  inspect(previousDeclarations: string, code: string, position: number): unknown;
  complete(
    previousDeclarations: string,
    code: string,
    position: number,
  ): {
    readonly start: number;
    readonly end: number;
    readonly candidates: readonly string[];
    readonly original?: { readonly describe: (name: string) => CompletionDetail | undefined } | undefined;
  };
  close(): void;
}

type WriteDisplayData = (
  display: { data: Record<string, unknown>; metadata?: object; transient?: object },
  update?: boolean,
) => void;

/** The parts of tslab that the cell engine stands on. */
export interface Tslab {
  readonly createConverter: (options: { isJS: boolean; isBrowser: boolean }) => Converter;
  readonly isCompleteCode: (code: string) => { readonly completed: boolean; readonly indent?: string };
  readonly printQuickInfo: (info: unknown) => string;
  /** The module object: `lastWriteDisplayData` is where `import { display } from "tslab"` sends displays. */
  readonly jupyter: { lastWriteDisplayData: WriteDisplayData | null };
}

/** The only tslab whose internals this file knows. */
export const TSLAB_VERSION = "1.0.22";

const FORK = "@tslab/typescript-for-tslab";

type CompletionInfo = ts.CompletionInfo & { readonly entries: readonly { readonly symbol?: ts.Symbol }[] };

/** Internals of TypeScript 5.9 that stand in for functions that only the fork exports. */
interface TypeScriptInternals {
  readonly nullTransformationContext: unknown;
  getTouchingPropertyName(file: ts.SourceFile, position: number): ts.Node;
  getContainerNode(node: ts.Node): ts.Node | undefined;
  bindSourceFile(file: ts.SourceFile, options: ts.CompilerOptions): void;
  readonly SymbolDisplay: {
    getSymbolDisplayPartsDocumentationAndSymbolKind(
      checker: ts.TypeChecker,
      symbol: ts.Symbol,
      file: ts.SourceFile,
      enclosing: ts.Node | undefined,
      location: ts.Node,
    ): { displayParts: ts.SymbolDisplayPart[]; documentation: ts.SymbolDisplayPart[]; tags: unknown };
  };
  readonly Completions: { readonly getCompletionsAtPosition: (...args: unknown[]) => CompletionInfo | undefined };
}

/** Names whose absence from `typescript` or `tslab` would break the kernel; the contract test goes through them. */
export const TYPESCRIPT_INTERNALS: readonly string[] = [
  "nullTransformationContext",
  "getTouchingPropertyName",
  "getContainerNode",
  "bindSourceFile",
  "SymbolDisplay.getSymbolDisplayPartsDocumentationAndSymbolKind",
  "Completions.getCompletionsAtPosition",
  "parseIsolatedJSDocComment",
  "findPrecedingToken",
  "findNextToken",
];

/** "await is only allowed at top level if …", in all its forms; tslab knows the last one. */
const TOP_LEVEL_AWAIT = new Set([1309, 1375, 1378, 1431, 1432, 2852, 2853, 2854]);
const AWAIT_OUTSIDE_ASYNC = 1308;
/** A package without types is `any` in a notebook, not an error. */
const NO_DECLARATION_FILE = 7016;

/** What TypeScript calls the timer behind which it compiles what has changed. */
const PROGRAM_TIMER = "timerToUpdateProgram";

let loaded: Tslab | undefined;

/** Loads tslab's converter with stock TypeScript under it.
 * @throws Error if another tslab than 1.0.22 is installed, or if its TypeScript was already loaded */
export function loadTslab(): Tslab {
  if (loaded) return loaded;
  const fromPackage = createRequire(path.join(PACKAGE_ROOT, "package.json"));
  const version = packageVersion(fromPackage.resolve("tslab/package.json"));
  if (version !== TSLAB_VERSION) {
    throw new Error(`loadTslab: expected tslab ${TSLAB_VERSION}, got ${version}; run npm ci in ${PACKAGE_ROOT}`);
  }
  const fromTslab = createRequire(fromPackage.resolve("tslab/dist/converter.js"));
  const forkPath = fromTslab.resolve(FORK);
  if (fromTslab.cache[forkPath]) throw new Error(`loadTslab: ${FORK} is already loaded; load the kernel before tslab`);
  const standIn = new Module(forkPath);
  standIn.filename = forkPath;
  standIn.loaded = true;
  standIn.exports = compilerForTslab();
  fromTslab.cache[forkPath] = standIn;

  const converter = fromTslab("./converter.js") as Pick<Tslab, "createConverter" | "isCompleteCode">;
  const inspect = fromTslab("./inspect.js") as Pick<Tslab, "printQuickInfo">;
  const jupyter = fromTslab("./jupyter.js") as Tslab["jupyter"];
  loaded = { ...converter, ...inspect, jupyter, createConverter: (options) => current(converter.createConverter(options)) };
  return loaded;
}

/** A converter that knows the local files as they are now, and to which `export` means nothing: cells share everything. */
function current(converter: Converter): Converter {
  const now = (code: string): string => {
    localFiles.tellChanges();
    return withoutExports(code);
  };
  return {
    convert: (declarations, code) => converter.convert(declarations, now(code)),
    inspect: (declarations, code, position) => converter.inspect(declarations, now(code), position),
    complete: (declarations, code, position) => converter.complete(declarations, now(code), position),
    close: () => converter.close(),
  };
}

/** The code with blanks for its `export`s, so that everything else is where it was. */
export function withoutExports(code: string): string {
  if (!/\bexport\b/.test(code)) return code;
  const file = ts.createSourceFile("cell.ts", code, ts.ScriptTarget.Latest);
  const blank = (text: string, start: number, end: number): string =>
    text.slice(0, start) + text.slice(start, end).replace(/[^\n]/g, " ") + text.slice(end);
  let blanked = code;
  for (const statement of file.statements) {
    if (ts.isExportDeclaration(statement) && !statement.moduleSpecifier)
      blanked = blank(blanked, statement.getStart(file), statement.end);
    if (ts.isExportAssignment(statement)) blanked = blank(blanked, statement.getStart(file), statement.expression.getStart(file));
    if (!ts.canHaveModifiers(statement)) continue;
    for (const modifier of ts.getModifiers(statement) ?? []) {
      if (modifier.kind === ts.SyntaxKind.ExportKeyword || modifier.kind === ts.SyntaxKind.DefaultKeyword)
        blanked = blank(blanked, modifier.getStart(file), modifier.end);
    }
  }
  return blanked;
}

/** Stands in for the file system's own watching, which brings its news later than the next cell comes, or while one compiles.
 * Folders need no watching: what is imported is looked up with every cell. */
class WatchedFiles {
  readonly #watched = new Map<string, { readonly callback: ts.FileWatcherCallback; stamp: string }>();

  readonly watchFile = (file: string, callback: ts.FileWatcherCallback): ts.FileWatcher => {
    this.#watched.set(file, { callback, stamp: stampOf(file) });
    return { close: () => void this.#watched.delete(file) };
  };

  tellChanges(): void {
    for (const [file, watched] of this.#watched) {
      const stamp = stampOf(file);
      if (stamp === watched.stamp) continue;
      const kind = ts.FileWatcherEventKind;
      const change = stamp === "" ? kind.Deleted : watched.stamp === "" ? kind.Created : kind.Changed;
      watched.stamp = stamp;
      watched.callback(file, change);
    }
  }
}

const localFiles = new WatchedFiles();

function compilerForTslab(): Record<string, unknown> {
  const internals = ts as unknown as TypeScriptInternals;
  const importsOf = new WeakMap<ts.Program, LocalImports>();
  const compiler: Record<string, unknown> = {
    ...ts,
    sys: { ...ts.sys, watchFile: localFiles.watchFile, watchDirectory: () => ({ close: () => undefined }) },
  };
  const dropUnknown = (options: ts.CompilerOptions): ts.CompilerOptions => {
    const { disableTopLevelAwait: _1, noImplicitUseStrict: _2, ...known } = options;
    return known;
  };

  compiler.createWatchCompilerHost = (
    files: string[],
    options: ts.CompilerOptions,
    system: ts.System,
    _: null,
    ...reporters: []
  ) => {
    const host = ts.createWatchCompilerHost(
      files,
      { ...dropUnknown(options), ...cellOptions(system.getCurrentDirectory()).options },
      quietInPackages(system),
      // Of all that other builders keep track of, with every cell anew, tslab needs nothing.
      ts.createAbstractBuilder,
      ...reporters,
    );
    const cache = ts.createModuleResolutionCache(system.getCurrentDirectory(), (name) => name);
    host.getModuleResolutionCache = () => cache;
    const imports: LocalImports = new Map();
    host.resolveModuleNameLiterals = (literals, containingFile, redirected, resolvedOptions) => {
      const found = literals.map(({ text }) => {
        const resolve = (from: string): ts.ResolvedModuleWithFailedLookupLocations =>
          ts.resolveModuleName(text, from, resolvedOptions, host, isInstalled(from) ? cache : undefined, redirected);
        const found = resolve(containingFile);
        // A notebook can live in any folder: what its own folder does not provide, tweedie's installation does.
        return found.resolvedModule || text.startsWith(".") ? found : resolve(path.join(PACKAGE_ROOT, "__fallback__.ts"));
      });
      if (!isInstalled(containingFile))
        imports.set(
          containingFile,
          new Map(literals.map(({ text }, index) => [text, found[index]?.resolvedModule?.resolvedFileName])),
        );
      return found;
    };
    // Files whose text changed are resolved again, and those that lack a module, which may be there by now; otherwise every cell
    // would resolve every library again.
    host.hasInvalidatedResolutions = (file) => [...(imports.get(file)?.values() ?? [])].includes(undefined);
    // tslab knows one timer, which compiles what has changed. What the other one does, the line above has done.
    host.setTimeout = (callback, ms, name) => (name === PROGRAM_TIMER ? system.setTimeout!(callback, ms) : undefined);
    const createProgram = host.createProgram;
    host.createProgram = (...args) => {
      const builder = createProgram(...args);
      const program = builder.getProgram();
      // tslab looks for the names that a cell defines, which are not there before it is bound.
      for (const name of program.getRootFileNames())
        internals.bindSourceFile(program.getSourceFile(name)!, program.getCompilerOptions());
      const makeChecker = program.getTypeChecker;
      let checker: ts.TypeChecker | undefined;
      program.getTypeChecker = () => {
        checker ??= seeingShorthandValues(makeChecker());
        return checker;
      };
      importsOf.set(program, imports);
      alwaysDeclare(program);
      // Local files are checked with the cell, but compiled when they are loaded.
      builder.getAllDependencies = (file) => [file.fileName];
      return builder;
    };
    return host;
  };
  // tslab turns names of earlier cells into `exports.name`, also where only a name can stand.
  compiler.visitEachChild = (node: ts.Node, visitor: ts.Visitor, context: ts.TransformationContext) => {
    if (ts.isShorthandPropertyAssignment(node)) return visitShorthand(node, visitor as (node: ts.Node) => ts.Expression);
    // In `{ name: local }` the checker takes `name` for the property of the value, which an earlier cell may have declared.
    const name =
      ts.isBindingElement(node) && node.propertyName && ts.isIdentifier(node.propertyName) ? node.propertyName : undefined;
    return ts.visitEachChild(node, (child) => (child === name ? child : visitor(child)), context);
  };
  compiler.transpileModule = (code: string, options: ts.TranspileOptions) => {
    const { code: esm, maps } = splitConverted(code);
    const compilerOptions = { ...dropUnknown(options.compilerOptions ?? {}), inlineSourceMap: true };
    const names: string[] = [];
    const transformers = { before: [mixedAssignments, interruptibleAwaits], after: [withoutPreamble(names)] };
    const result = ts.transpileModule(esm, { ...options, compilerOptions, transformers });
    const lines = [result.outputText, ...maps.map((map) => MAP_PREFIX + map), NAMES_PREFIX + JSON.stringify(names)];
    return { ...result, outputText: lines.join("\n") };
  };
  compiler.getPreEmitDiagnosticsOfFiles = (program: ts.Program, [cell]: readonly [ts.SourceFile]) =>
    withImports(cell, program, importsOf.get(program)!)
      .flatMap((file) => cellDiagnostics(program, file))
      .filter((diagnostic) => diagnostic.code !== NO_DECLARATION_FILE)
      .map((diagnostic) => (TOP_LEVEL_AWAIT.has(diagnostic.code) ? { ...diagnostic, code: AWAIT_OUTSIDE_ASYNC } : diagnostic));
  compiler.getDefaultTypeRoots = (directory: string, host: { directoryExists(name: string): boolean }) => {
    const roots: string[] = [];
    for (let at = directory; ; at = path.dirname(at)) {
      const root = path.join(at, "node_modules", "@types");
      if (host.directoryExists(root)) roots.push(root);
      if (at === path.dirname(at)) return roots;
    }
  };
  compiler.getNullTransformationContext = () => internals.nullTransformationContext;
  compiler.getQuickInfoAtPosition = (file: ts.SourceFile, checker: ts.TypeChecker, _token: unknown, position: number) => {
    const node = internals.getTouchingPropertyName(file, position);
    const symbol = ts.isSourceFile(node) ? undefined : checker.getSymbolAtLocation(node);
    if (!symbol) return undefined;
    const { displayParts, documentation, tags } = internals.SymbolDisplay.getSymbolDisplayPartsDocumentationAndSymbolKind(
      checker,
      symbol,
      file,
      internals.getContainerNode(node),
      node,
    );
    const textSpan = { start: node.getStart(file), length: node.getWidth(file) };
    return { displayParts, documentation, tags, textSpan };
  };
  compiler.Completions = {
    ...internals.Completions,
    getCompletionsAtPositionForTslab: (_host: unknown, program: ts.Program, ...rest: unknown[]) => {
      const formatContext = undefined;
      const includeSymbol = true;
      // Members named by symbols are looked up among the modules that export the symbols, for which it needs a host.
      const host = completionHost(program);
      const info = internals.Completions.getCompletionsAtPosition(host, program, ...rest, formatContext, includeSymbol);
      if (!info) return undefined;
      const [, file, position] = rest as [unknown, ts.SourceFile, number];
      const describe = (name: string): CompletionDetail | undefined =>
        describeEntry(internals, info, name, { program, file, position });
      return { ...withoutSymbols(info), describe };
    },
  };
  return compiler;
}

/** `{ name }` as `{ name: exports.name }`, and `({ name = 1 } = …)` as `({ name: exports.name = 1 } = …)`. */
function visitShorthand(node: ts.ShorthandPropertyAssignment, visitor: (node: ts.Node) => ts.Expression): ts.Node {
  const { factory } = ts;
  const [value, initial] = [visitor(node.name), node.objectAssignmentInitializer && visitor(node.objectAssignmentInitializer)];
  if (value === node.name) return factory.updateShorthandPropertyAssignment(node, node.name, initial);
  return factory.createPropertyAssignment(node.name.text, initial ? factory.createAssignment(value, initial) : value);
}

function describeEntry(
  { SymbolDisplay, getTouchingPropertyName }: TypeScriptInternals,
  { entries }: CompletionInfo,
  name: string,
  { program, file, position }: { program: ts.Program; file: ts.SourceFile; position: number },
): CompletionDetail | undefined {
  const entry = entries.find((candidate) => candidate.name === name);
  if (!entry) return undefined;
  const type = entry.kind as string;
  if (!entry.symbol) return { text: name, type, signature: "", documentation: "" };
  const at = getTouchingPropertyName(file, position);
  const checker = program.getTypeChecker();
  const shown = SymbolDisplay.getSymbolDisplayPartsDocumentationAndSymbolKind(checker, entry.symbol, file, at, at);
  const [signature, documentation] = [shown.displayParts, shown.documentation].map((parts) => ts.displayPartsToString(parts));
  return { text: name, type, signature: signature!, documentation: documentation! };
}

/** Asked what the name in `{ name }` is, the checker says the new property; tslab means the variable it is filled with. */
function seeingShorthandValues(checker: ts.TypeChecker): ts.TypeChecker {
  const symbolAt = checker.getSymbolAtLocation;
  checker.getSymbolAtLocation = (node) =>
    node.parent && ts.isShorthandPropertyAssignment(node.parent) && node.parent.name === node
      ? checker.getShorthandAssignmentValueSymbol(node.parent)
      : symbolAt(node);
  return checker;
}

/** What cells and local files import, by name: the file that it is, or undefined where there is none. */
type LocalImports = Map<string, ReadonlyMap<string, string | undefined>>;

/** The cell and the local TypeScript files that it imports, directly or not. */
function withImports(cell: ts.SourceFile, program: ts.Program, imports: LocalImports): ts.SourceFile[] {
  const files = new Set([cell]);
  // The set grows while it is gone through.
  for (const { fileName, text } of files)
    for (const { fileName: name } of ts.preProcessFile(text).importedFiles) {
      const imported = imports.get(fileName)?.get(name) ?? "";
      const file = /(?<!\.d)\.[cm]?tsx?$/.test(imported) && !isInstalled(imported) && program.getSourceFile(imported);
      if (file) files.add(file);
    }
  return [...files];
}

/** What is wrong with a file, except that its types cannot be told to other files. */
function cellDiagnostics(program: ts.Program, file: ts.SourceFile): ts.Diagnostic[] {
  const ofProgram = [
    ...program.getConfigFileParsingDiagnostics(),
    ...program.getOptionsDiagnostics(),
    ...program.getGlobalDiagnostics(),
  ];
  return [...ofProgram, ...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
}

/** Later cells learn a cell's types from its declarations. In these a type that a package does not export may be named by its
 * file, since they are read here and nowhere else; what has no name at all is of any type to later cells. */
function alwaysDeclare(program: ts.Program): void {
  const emit = program.emit as (...args: unknown[]) => ts.EmitResult;
  const evenIfIncomplete = true;
  program.emit = (file, write, token, only, transformers) => emit(file, write, token, only, transformers, evenIfIncomplete);
  const checker = program.getTypeChecker() as unknown as { getEmitResolver(...args: unknown[]): EmitResolver };
  const resolverOf = checker.getEmitResolver;
  checker.getEmitResolver = (...args) => {
    const resolver = resolverOf(...args);
    const byFile = (name: TypeWriter): EmitResolver[TypeWriter] => {
      const write = resolver[name];
      const { AllowNodeModulesRelativePaths } = ts.NodeBuilderFlags;
      return (node, enclosing, flags, ...rest) => write(node, enclosing, flags | AllowNodeModulesRelativePaths, ...rest);
    };
    return { ...resolver, ...Object.fromEntries(TYPE_WRITERS.map((name) => [name, byFile(name)])) };
  };
}

/** Functions of the checker by which it writes down inferred types. */
const TYPE_WRITERS = [
  "createTypeOfDeclaration",
  "createReturnTypeOfSignatureDeclaration",
  "createTypeOfExpression",
  "createLateBoundIndexSignatures",
] as const;

type TypeWriter = (typeof TYPE_WRITERS)[number];
type EmitResolver = Readonly<
  Record<TypeWriter, (node: unknown, enclosing: unknown, flags: number, ...rest: unknown[]) => unknown>
>;

function completionHost(program: ts.Program): object {
  return {
    ...ts.createCompilerHost(program.getCompilerOptions()),
    getCompilationSettings: () => program.getCompilerOptions(),
    getPackageJsonsVisibleToFile: () => [],
    getPackageJsonAutoImportProvider: () => undefined,
  };
}

/** `object.[symbol]` is no completion that can stand after the dot. */
function withoutSymbols(info: CompletionInfo): CompletionInfo {
  return { ...info, entries: info.entries.filter(({ name, source }) => source === undefined && !name.startsWith("[")) };
}

/** Watching the thousands of files of installed packages costs time and changes nothing. */
function quietInPackages(system: ts.System): ts.System {
  const watchFile = system.watchFile!;
  system.watchFile = (name, ...rest) => (isInstalled(name) ? { close: () => undefined } : watchFile.call(system, name, ...rest));
  return system;
}

function isInstalled(file: string): boolean {
  // Notebooks may lie in a package, as tweedie's own do; their cells change.
  if (/\/__(tslab__\.ts|prev__\.d\.ts)$/.test(file)) return false;
  return file.includes("/node_modules/") || file.startsWith(`${PACKAGE_ROOT}/dist/`);
}

/** "Unterminated template literal" and "'*\/' expected": these may go on in the next line, which tslab does not know. */
const UNTERMINATED: ReadonlySet<number> = new Set([1160, 1010]);

/** Whether this is TypeScript, could be with what is typed behind it, or cannot. */
export function syntaxOf(code: string): "complete" | "incomplete" | "invalid" {
  const { diagnostics = [] } = ts.transpileModule(code, {
    reportDiagnostics: true,
    compilerOptions: { target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext },
  });
  if (diagnostics.length === 0) return "complete";
  return diagnostics.some(({ code }) => UNTERMINATED.has(code)) ? "incomplete" : "invalid";
}

const MAP_PREFIX = "//# sourceMappingURL=data:application/json;base64,";

const NAMES_PREFIX = "//# names=";

/** Takes off converted code what stands below it.
 *
 * `maps`: a cell is compiled in two steps, so there are two source maps, the last step's first. `names`: of what it defines,
 * functions excepted, which are there from its start. */
export function splitConverted(code: string): { code: string; maps: string[]; names: string[] } {
  const lines = code.split("\n");
  const below = (prefix: string): string[] =>
    lines.filter((line) => line.startsWith(prefix)).map((line) => line.slice(prefix.length).trim());
  const kept = lines.filter((line) => !line.startsWith(MAP_PREFIX) && !line.startsWith(NAMES_PREFIX));
  return { code: kept.join("\n"), maps: below(MAP_PREFIX), names: below(NAMES_PREFIX).flatMap((names) => JSON.parse(names)) };
}

/** Takes out the statements with which compiled modules begin, `exports.a = exports.b = void 0`: until a cell gets to its
 * definitions, those of earlier cells stand. */
function withoutPreamble(names: string[]): ts.TransformerFactory<ts.SourceFile> {
  const reset = (statement: ts.Statement): string[] => {
    const found: string[] = [];
    let value = ts.isExpressionStatement(statement) ? statement.expression : undefined;
    for (; value && ts.isBinaryExpression(value); value = value.right) {
      const { left } = value;
      if (!ts.isPropertyAccessExpression(left) || !ts.isIdentifier(left.expression)) return [];
      if (left.expression.text !== "exports" || value.operatorToken.kind !== ts.SyntaxKind.EqualsToken) return [];
      found.push(left.name.text);
    }
    // What a cell itself says is in its text; the preamble is nowhere.
    return value && ts.isVoidExpression(value) && ts.getOriginalNode(statement).pos < 0 ? found : [];
  };
  return ({ factory }) =>
    (file) => {
      const kept = file.statements.filter((statement) => {
        const found = reset(statement);
        names.push(...found);
        return found.length === 0;
      });
      return factory.updateSourceFile(file, kept);
    };
}

/** A local file as JavaScript that can be required. Its types have been checked with the cell that imports it. */
export function compileLocalFile(
  file: string,
  code: string,
  options: ts.CompilerOptions,
): { readonly output: string; readonly maps: readonly string[] } {
  const compilerOptions = { ...options, module: ts.ModuleKind.CommonJS, allowImportingTsExtensions: false };
  const { outputText } = ts.transpileModule(code, {
    fileName: file,
    compilerOptions,
    transformers: { before: [interruptibleAwaits] },
  });
  const { code: output, maps } = splitConverted(outputText);
  return { output, maps };
}
