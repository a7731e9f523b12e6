import { readFileSync } from "node:fs";
import path from "node:path";
import MarkdownIt from "markdown-it";
import ts from "typescript";

/** A block of TypeScript in a page. */
export interface Example {
  /** Line of the opening fence, counted from 0; the code begins on the next. */
  readonly line: number;
  readonly code: string;
  /** Why it is not run, where it is not: it needs something that the clone does not have. */
  readonly notRun?: string;
  /** Whether the page shows what it displays. */
  readonly shown: boolean;
}

const fences = new MarkdownIt();

/** The examples of a page: blocks fenced as `ts`, `ts show` or `ts no-run <reason>`.
 * @throws RangeError on another word behind `ts`, or `no-run` without a reason */
export function examplesOf(markdown: string, page: string): Example[] {
  return fences.parse(markdown, {}).flatMap((token) => {
    const [, options = ""] = /^ts(?:\s+(.*))?$/.exec(token.info.trim()) ?? [undefined, undefined];
    if (token.type !== "fence" || !/^ts(\s|$)/.test(token.info)) return [];
    const line = token.map![0];
    const notRun = /^no-run\s+(\S.*)$/.exec(options)?.[1];
    if (options !== "" && options !== "show" && notRun === undefined)
      throw new RangeError(`${page}:${line + 1}: expected ts, ts show or ts no-run <reason>, got ${token.info}`);
    return [{ line, code: token.content, shown: options === "show", ...(notRun !== undefined && { notRun }) }];
  });
}

/** Examples in comments of the library's sources, by place: those under `@example`, and blocks fenced as `ts`. */
export function commentExamples(files: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const file of files) {
    const source = readFileSync(file, "utf8");
    for (const { 0: comment, index } of source.matchAll(/\/\*\*(?:(?!\*\/)[\s\S])*\*\//g)) {
      const text = comment.replace(/^\s*\/?\*+\/? ?/gm, "").replace(/\s*\*\/$/, "");
      const line = source.slice(0, index).split("\n").length;
      const tagged = [...text.matchAll(/^@example\s*\n([\s\S]*?)(?=^@\w|$(?![\s\S]))/gm)].map((match) => match[1]!);
      const blocks = tagged.length > 0 ? tagged : [text];
      const code = blocks.flatMap((block) => {
        const fenced = examplesOf(block, file).map((example) => example.code);
        return fenced.length > 0 || tagged.length === 0 ? fenced : [block];
      });
      if (code.length > 0) found.set(`${path.basename(file, ".ts")}-${line}`, `\n\`\`\`ts\n${code.join("\n")}\`\`\`\n`);
    }
  }
  return found;
}

/**
 * A page's examples as one module, each line where the page has it: imports are hoisted and merged, and what is not run
 * has a scope of its own. To be run, it is left out; the last expression of a block is given to `show` with the line of its
 * fence, as a notebook displays it; and what is logged with its outcome in a comment behind, in JSON, is given to `claim` with that.
 */
export function moduleOf(markdown: string, page: string, purpose: "check" | "run"): string {
  const lines = new Array<string>(markdown.split("\n").length).fill("");
  const imports = new Imports();
  for (const { line, code, notRun } of examplesOf(markdown, page)) {
    if (notRun !== undefined && purpose === "run") continue;
    const body = imports.takenFrom(code, purpose === "run" ? line : undefined).split("\n");
    body.forEach((text, i) => {
      lines[line + 1 + i] = text;
    });
    if (notRun !== undefined) {
      lines[line] = "{";
      lines[line + body.length] = `${lines[line + body.length]}}`;
    }
  }
  lines[0] = `${imports.text} export {};`;
  return lines.join("\n");
}

/** Imports of several blocks as they stand at the top of one module. */
class Imports {
  readonly #named = new Map<string, Set<string>>();
  readonly #others = new Set<string>();

  /** The code without its imports, which are kept here, line by line as it was.
   * @param line of the block, to be told with what it shows; undefined where it is not to be run */
  takenFrom(code: string, line: number | undefined): string {
    const source = ts.createSourceFile("block.ts", code, ts.ScriptTarget.Latest, true);
    const changes: { start: number; end: number; text: string }[] = [];
    for (const statement of source.statements) {
      if (!ts.isImportDeclaration(statement)) continue;
      const text = statement.getText();
      changes.push({ start: statement.getStart(), end: statement.end, text: text.replace(/[^\n]/g, "") });
      const bindings = statement.importClause?.namedBindings;
      const from = (statement.moduleSpecifier as ts.StringLiteral).text;
      if (bindings && ts.isNamedImports(bindings) && !statement.importClause?.name && !statement.importClause?.isTypeOnly) {
        const names = this.#named.get(from) ?? new Set();
        for (const element of bindings.elements) names.add(element.getText());
        this.#named.set(from, names);
      } else this.#others.add(text.replace(/\s+/g, " "));
    }
    for (const statement of line === undefined ? [] : source.statements) {
      if (!ts.isExpressionStatement(statement)) continue;
      const [start, end, text] = [statement.getStart(), statement.end, statement.expression.getText()];
      const claim = claimBehind(code.slice(end));
      const logged = /^console\.log\(([\s\S]*)\)$/.exec(text)?.[1];
      if (logged !== undefined && claim !== undefined) changes.push({ start, end, text: `;claim(${logged}, ${claim});` });
      else if (statement === source.statements.at(-1)) changes.push({ start, end, text: `;await show(${text}, ${line});` });
    }
    return changes.reduceRight((text, { start, end, text: by }) => text.slice(0, start) + by + text.slice(end), code);
  }

  get text(): string {
    const named = [...this.#named].map(([from, names]) => `import { ${[...names].join(", ")} } from ${JSON.stringify(from)};`);
    return [...this.#others, ...named].join(" ");
  }
}

/** What the comment behind a statement says comes out, where it is JSON. */
function claimBehind(rest: string): string | undefined {
  const text = /^;?[ \t]*\/\/ (.*)/.exec(rest)?.[1] ?? "";
  try {
    return JSON.stringify(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** What the compiler finds in the modules, strict as the library itself: `page:line: message`. */
export function typeErrors(modules: ReadonlyMap<string, string>, root: string): string[] {
  const { config } = ts.readConfigFile(path.join(root, "tsconfig.json"), ts.sys.readFile) as { config: object };
  const { options } = ts.parseJsonConfigFileContent({ ...config, files: [], include: [] }, ts.sys, root);
  const compilerOptions: ts.CompilerOptions = {
    ...options,
    isolatedDeclarations: false,
    declaration: false,
    noUnusedLocals: false,
    paths: { tweedie: ["./lib/index.ts"], "tweedie/shapes": ["./models/shapes/index.ts"], "tweedie/*": ["./lib/*/index.ts"] },
  };
  const files = new Map([...modules].map(([page, text]) => [path.join(root, "docs", `${page}.ts`), { page, text }]));
  const host = ts.createCompilerHost(compilerOptions);
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (file) => files.has(file) || fileExists(file);
  host.readFile = (file) => files.get(file)?.text ?? readFile(file);
  host.getSourceFile = (file, ...rest) => {
    const given = files.get(file);
    return given ? ts.createSourceFile(file, given.text, rest[0], true) : getSourceFile.call(host, file, ...rest);
  };
  const program = ts.createProgram([...files.keys()], compilerOptions, host);
  return [...files].flatMap(([file, { page }]) => {
    const source = program.getSourceFile(file)!;
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map((found) => {
      const line = source.getLineAndCharacterOfPosition(found.start ?? 0).line + 1;
      return `${page}:${line}: ${ts.flattenDiagnosticMessageText(found.messageText, "\n")}`;
    });
  });
}

/** A module as JavaScript that Node.js imports. */
export function compiledModule(module: string): string {
  return ts.transpileModule(module, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      inlineSourceMap: true,
    },
  }).outputText;
}
