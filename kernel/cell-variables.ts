import ts from "typescript";
import { BUILT_IN } from "./cell-options.js";

/** What a cell defines. */
export interface Definitions {
  /** Variables, functions, classes and imports. */
  readonly names: readonly string[];
  /** TypeScript declarations of everything there is once the cell has run. */
  readonly declarations: string;
  /** Under which name it gives its last expression's value, which is no variable. */
  readonly lastExpressionVar: string | undefined;
}

/** A cell's hold on the variables while it runs. */
export interface Defining {
  /** What its code knows as `exports`: variables of all cells, into which it puts its own. */
  readonly exports: object;
  /** Value of its last expression. */
  readonly result: unknown;
  /** Makes what it defines known to the cells after it. */
  complete(): void;
  /** The same for a cell that failed: what it initialized is known, what it did not get to is as it was before. */
  abandon(): void;
}

/** The variables of all cells: their values, and their types as TypeScript declarations. */
export class CellVariables {
  readonly values: Record<string, unknown> = {};
  readonly #builtIn: Readonly<Record<string, unknown>>;
  #declarations = BUILT_IN;

  /** @param builtIn what `BUILT_IN` declares */
  constructor(builtIn: Readonly<Record<string, unknown>>) {
    this.#builtIn = builtIn;
    Object.assign(this.values, builtIn);
  }

  get declarations(): string {
    return this.#declarations;
  }

  /** Forgets all but what is built in. */
  reset(): void {
    for (const name of Object.keys(this.values)) delete this.values[name];
    Object.assign(this.values, this.#builtIn);
    this.#declarations = BUILT_IN;
  }

  /** What cells have defined, by name. */
  own(): [name: string, value: unknown][] {
    const own = Object.entries(this.values).filter(
      ([name, value]) => !Object.hasOwn(this.#builtIn, name) || this.#builtIn[name] !== value,
    );
    return own.sort(([a], [b]) => a.localeCompare(b));
  }

  define({ names, declarations, lastExpressionVar }: Definitions): Defining {
    const missing = new Set(names.filter((name) => name !== lastExpressionVar));
    let result: unknown;
    const exports = new Proxy(this.values, {
      set(values, name, value) {
        missing.delete(name as string);
        if (name === lastExpressionVar) result = value;
        else values[name as string] = value;
        return true;
      },
      // TypeScript compiles imports to getters; cells may redefine them, so their values are stored.
      defineProperty(values, name, descriptor) {
        missing.delete(name as string);
        if (name !== "__esModule") values[name as string] = descriptor.get ? descriptor.get() : descriptor.value;
        return true;
      },
    });
    return {
      exports,
      get result() {
        return result;
      },
      complete: () => {
        for (const name of missing) this.values[name] = undefined;
        this.#declarations = declarations;
      },
      abandon: () => {
        const kept = declared(declarations, (name) => !missing.has(name));
        this.#declarations = kept + declared(this.#declarations, (name) => missing.has(name), { types: false });
      },
    };
  }
}

/** Those of the declarations whose name is `wanted`; types, which need no initialization, with all or none of them. */
function declared(declarations: string, wanted: (name: string) => boolean, { types = true } = {}): string {
  const file = ts.createSourceFile("cells.d.ts", declarations, ts.ScriptTarget.ESNext, true);
  const printer = ts.createPrinter({ newLine: ts.NewLineKind.LineFeed });
  const { factory } = ts;
  const ofStatement = (statement: ts.Statement): ts.Statement | undefined => {
    if (ts.isVariableStatement(statement)) {
      const { modifiers, declarationList: list } = statement;
      const kept = list.declarations.filter(({ name }) => ts.isIdentifier(name) && wanted(name.text));
      if (kept.length === list.declarations.length) return statement;
      if (kept.length === 0) return undefined;
      return factory.updateVariableStatement(statement, modifiers, factory.updateVariableDeclarationList(list, kept));
    }
    if (ts.isImportDeclaration(statement) && statement.importClause) {
      const clause = ofImport(statement.importClause, wanted);
      return (
        clause && factory.updateImportDeclaration(statement, undefined, clause, statement.moduleSpecifier, statement.attributes)
      );
    }
    if (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement) || ts.isEnumDeclaration(statement))
      return statement.name && wanted(statement.name.text) ? statement : undefined;
    return types ? statement : undefined;
  };
  return file.statements
    .map(ofStatement)
    .map((kept) => (kept ? `${printer.printNode(ts.EmitHint.Unspecified, kept, file)}\n` : ""))
    .join("");
}

function ofImport(clause: ts.ImportClause, wanted: (name: string) => boolean): ts.ImportClause | undefined {
  const { factory } = ts;
  const name = clause.name && wanted(clause.name.text) ? clause.name : undefined;
  let bindings = clause.namedBindings;
  if (bindings && ts.isNamedImports(bindings)) {
    const kept = bindings.elements.filter((element) => wanted(element.name.text));
    bindings = kept.length > 0 ? factory.updateNamedImports(bindings, kept) : undefined;
  } else if (bindings && !wanted(bindings.name.text)) bindings = undefined;
  return name || bindings ? factory.updateImportClause(clause, clause.isTypeOnly, name, bindings) : undefined;
}
