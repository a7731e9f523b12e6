/** Type-checks the notebooks of the current folder for `checkTypes`, which starts this as a process and sends their cells. */
import ts from "typescript";
import { CellTypeError, SourceRegistry } from "./cell-errors.js";
import { BUILT_IN, cellOptions } from "./cell-options.js";
import { parseMagics } from "./magics.js";
import type { Finding, NumberedCell } from "./notebook-check.js";
import { type Converter, loadTslab } from "./typescript-shim.js";

process.once("message", (notebooks: readonly (readonly NumberedCell[])[]) => {
  const problems = cellOptions(process.cwd()).problems.map(
    (message): Finding => ({ check: "types", message: `${message}; the kernel goes on without it` }),
  );
  const converter = loadTslab().createConverter({ isJS: false, isBrowser: false });
  const findings = notebooks.map((cells, index) => [...(index === 0 ? problems : []), ...checkCells(converter, cells)]);
  converter.close();
  process.send!(findings, () => process.exit());
});

/** Cells in order, each one as the kernel compiles it, with the compiler options that the kernel has in this folder. */
function checkCells(converter: Converter, cells: readonly NumberedCell[]): Finding[] {
  const findings: Finding[] = [];
  let declarations = BUILT_IN;
  for (const { source: written, number } of cells) {
    // Magics leave blank lines: positions stay.
    const { magics, code: source } = parseMagics(written);
    if (magics.some(({ name }) => name === "%reset")) declarations = BUILT_IN;
    if (source.trim() === "") continue;
    const { diagnostics, declOutput } = converter.convert(declarations, source);
    const place = { check: "types", cell: number } as const;
    for (const diagnostic of diagnostics) {
      const { traceback } = new SourceRegistry().describe(
        new CellTypeError([diagnostic], { name: `cell[${number}]`, code: source }),
      );
      const { start, fileName, messageText } = diagnostic;
      const message = fileName ? `${fileName}: ${messageText}` : messageText;
      findings.push({ ...place, line: start.line + 1, column: start.character + 1, message, excerpt: traceback.slice(1) });
    }
    declarations = diagnostics.length > 0 ? withUnknown(converter, declarations, source) : (declOutput ?? "");
  }
  return findings;
}

/** The declarations with those of a cell that does not compile, of any type: later cells that use them are not to blame. */
function withUnknown(converter: Converter, declarations: string, source: string): string {
  const stubs: string[] = [];
  const value = (name: string): unknown => stubs.push(`declare let ${name}: any;`);
  const type = (name: string): unknown => stubs.push(`type ${name} = any;`);
  const bound = (name: ts.BindingName): void => {
    if (ts.isIdentifier(name)) value(name.text);
    else for (const element of name.elements) if (ts.isBindingElement(element)) bound(element.name);
  };
  const imported = (clause: ts.ImportClause): ts.Identifier[] => {
    const { name, namedBindings } = clause;
    const named =
      namedBindings && ts.isNamedImports(namedBindings) ? namedBindings.elements : namedBindings ? [namedBindings] : [];
    return [...(name ? [name] : []), ...named.map((binding) => binding.name)];
  };
  for (const statement of ts.createSourceFile("cell.ts", source, ts.ScriptTarget.ESNext).statements) {
    if (ts.isVariableStatement(statement)) for (const { name } of statement.declarationList.declarations) bound(name);
    else if (ts.isImportDeclaration(statement) && statement.importClause)
      for (const { text } of imported(statement.importClause)) [value(text), type(text)];
    else if (ts.isFunctionDeclaration(statement) && statement.name) value(statement.name.text);
    else if ((ts.isClassDeclaration(statement) || ts.isEnumDeclaration(statement)) && statement.name)
      [value(statement.name.text), type(statement.name.text)];
    else if (ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)) type(statement.name.text);
  }
  return converter.convert(declarations, [...new Set(stubs)].join("\n")).declOutput ?? declarations;
}
