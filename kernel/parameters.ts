import ts from "typescript";
import { type CodeCell, type Notebook, type NotebookCell, newCellId } from "./notebook-format.js";

/** What the literal that a parameter is declared with holds; `any` where it is not a literal. */
export type ParameterKind = "number" | "text" | "boolean" | "list" | "object" | "any";

/** A variable that a run may set. */
export interface Parameter {
  readonly name: string;
  readonly kind: ParameterKind;
  /** Source of its default. */
  readonly value: string;
  /** The comment beside it. */
  readonly help: string;
}

/** The cell of a notebook that declares what can be set from outside. */
export interface ParameterCell {
  /** Place among the notebook's cells. */
  readonly index: number;
  readonly parameters: readonly Parameter[];
}

/** Tag of the cell that a run puts behind the declared defaults. */
const INJECTED = "injected-parameters";

/** Whether a cell carries a tag. */
export function hasTag(cell: NotebookCell, tag: string): boolean {
  return Array.isArray(cell.metadata.tags) && cell.metadata.tags.includes(tag);
}

/** The cell tagged `parameters`; without one, the first cell that holds nothing but `let` declarations. */
export function parameterCell(notebook: Notebook): ParameterCell | undefined {
  const code = notebook.cells.map((cell, index) => ({ cell, index })).filter(({ cell }) => cell.cell_type === "code");
  const declaring =
    code.find(({ cell }) => hasTag(cell, "parameters")) ?? code.find(({ cell }) => onlyDeclaresVariables(cell.source));
  return declaring && { index: declaring.index, parameters: declarations(declaring.cell.source) };
}

/** The value that `name=value` gives a parameter, by the kind of its default.
 * @throws RangeError if the notebook declares no such parameter or one of another kind */
export function readParameter(text: string, declared: readonly Parameter[]): [name: string, value: unknown] {
  const at = text.indexOf("=");
  if (at <= 0) throw new RangeError(`parameters: expected name=value, got ${JSON.stringify(text)}`);
  const [name, written] = [text.slice(0, at), text.slice(at + 1)];
  const { kind } = find(name, declared);
  const value = kind === "text" ? written : json(written);
  check(name, kind, value, written);
  return [name, value];
}

/** Puts a cell that sets parameters behind the one that declares them, in place of one that an earlier run put there.
 * @throws RangeError for parameters that the notebook does not declare, or of another kind */
export function injectParameters(notebook: Notebook, values: Readonly<Record<string, unknown>>): void {
  notebook.cells = notebook.cells.filter((cell) => !hasTag(cell, INJECTED));
  const names = Object.keys(values);
  if (names.length === 0) return;
  const declaring = parameterCell(notebook);
  for (const name of names) check(name, find(name, declaring?.parameters ?? []).kind, values[name]);
  notebook.cells.splice(declaring!.index + 1, 0, {
    cell_type: "code",
    id: newCellId(),
    metadata: { tags: [INJECTED] },
    source: ["// Parameters of this run", ...names.map((name) => `let ${name} = ${JSON.stringify(values[name])};`)].join("\n"),
    execution_count: null,
    outputs: [],
  } satisfies CodeCell);
}

/** A parameter that no cell reads would change nothing, silently. */
function find(name: string, declared: readonly Parameter[]): Parameter {
  const found = declared.find((parameter) => parameter.name === name);
  if (found) return found;
  throw new RangeError(
    declared.length === 0
      ? `parameters: expected a cell that declares ${name}, got none; declare it with let in a cell tagged "parameters"`
      : `parameters: expected one of ${declared.map((parameter) => parameter.name).join(", ")}, got ${JSON.stringify(name)}`,
  );
}

function check(name: string, kind: ParameterKind, value: unknown, written: string = JSON.stringify(value)): void {
  if (kind === "any" || kind === kindOfValue(value)) return;
  const how =
    kind === "list" || kind === "object" ? ` as JSON, for instance ${name}=${kind === "list" ? "[1,2]" : '{"a":1}'}` : "";
  throw new RangeError(`parameters: expected ${name} to be a ${kind}, as its default is${how}, got ${written}`);
}

function kindOfValue(value: unknown): ParameterKind {
  if (typeof value === "number" || typeof value === "boolean") return typeof value as "number" | "boolean";
  if (typeof value === "string") return "text";
  if (Array.isArray(value)) return "list";
  return typeof value === "object" && value !== null ? "object" : "any";
}

/** JSON where it is that, else the text itself; numbers also as TypeScript writes them. */
function json(text: string): unknown {
  const plain = /^-?\d[\d_.]*(?:e[+-]?\d+)?$/i.test(text) ? text.replaceAll("_", "") : text;
  try {
    return JSON.parse(plain);
  } catch {
    return text;
  }
}

function parse(source: string): ts.SourceFile {
  return ts.createSourceFile("cell.ts", source, ts.ScriptTarget.ESNext, true);
}

function isLet(statement: ts.Statement): statement is ts.VariableStatement {
  return ts.isVariableStatement(statement) && (statement.declarationList.flags & ts.NodeFlags.BlockScoped) === ts.NodeFlags.Let;
}

function onlyDeclaresVariables(source: string): boolean {
  const { statements } = parse(source);
  return statements.length > 0 && statements.every(isLet);
}

function declarations(source: string): Parameter[] {
  const file = parse(source);
  const variables = file.statements.filter((statement) => ts.isVariableStatement(statement));
  return variables.flatMap((statement) =>
    statement.declarationList.declarations.flatMap((declaration): Parameter[] => {
      if (!ts.isIdentifier(declaration.name)) return [];
      const { initializer } = declaration;
      const value = initializer?.getText(file) ?? "undefined";
      return [
        { name: declaration.name.text, kind: kindOf(initializer, declaration.type), value, help: comment(source, statement) },
      ];
    }),
  );
}

/** A declared type that allows more than the default is believed over it. */
function kindOf(initializer: ts.Expression | undefined, type: ts.TypeNode | undefined): ParameterKind {
  if (
    type &&
    (ts.isUnionTypeNode(type) || type.kind === ts.SyntaxKind.AnyKeyword || type.kind === ts.SyntaxKind.UnknownKeyword)
  ) {
    return "any";
  }
  if (!initializer) return "any";
  if (ts.isPrefixUnaryExpression(initializer)) return ts.isNumericLiteral(initializer.operand) ? "number" : "any";
  if (ts.isNumericLiteral(initializer)) return "number";
  if (ts.isStringLiteralLike(initializer)) return "text";
  if (ts.isArrayLiteralExpression(initializer)) return "list";
  if (ts.isObjectLiteralExpression(initializer)) return "object";
  const { kind } = initializer;
  return kind === ts.SyntaxKind.TrueKeyword || kind === ts.SyntaxKind.FalseKeyword ? "boolean" : "any";
}

/** The comment behind a declaration on its line, or the one right above it. */
function comment(source: string, statement: ts.Statement): string {
  const behind = ts.getTrailingCommentRanges(source, statement.end)?.[0];
  const above = ts.getLeadingCommentRanges(source, statement.pos)?.at(-1);
  const range = behind ?? (above && statement.pos > 0 ? above : undefined);
  return range
    ? source
        .slice(range.pos, range.end)
        .replace(/^\/[/*]+\s*|\s*\*\/$/g, "")
        .trim()
    : "";
}
