import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { withoutExports } from "../../kernel/typescript-shim.js";
import { EngineProcess, runCell, temporaryFolder } from "./compiled.js";

type Engine = Awaited<ReturnType<typeof EngineProcess.start>>;

/** Cells that run in a new folder with these files. */
function inFolder(files: Readonly<Record<string, string>>): {
  write(file: string, text: string): void;
  run(code: string): ReturnType<typeof runCell>;
  engine(): Engine;
} {
  const folder = temporaryFolder();
  const write = (file: string, text: string): void => {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    writeFileSync(path.join(folder, file), text);
  };
  let engine: Engine;
  beforeAll(async () => {
    for (const [file, text] of Object.entries(files)) write(file, text);
    engine = await EngineProcess.start(folder);
  });
  afterAll(() => engine?.stop());
  return { write, run: (code) => runCell(engine, code), engine: () => engine };
}

describe("names defined again", () => {
  const { run } = inFolder({});
  const definitions: Readonly<Record<string, readonly [defined: string, used: string, result: string]>> = {
    let: ["let it = 7", "it + 1", "8"],
    const: ["const it = 'text'", "it.length", "4"],
    var: ["var it = [1, 2]", "it[1]", "2"],
    function: ["function it() { return true }", "it()", "true"],
    class: ["class it { x = 3 }", "new it().x", "3"],
    enum: ["enum it { A = 5 }", "it.A", "5"],
    import: ["import { basename as it } from 'node:path'", "it('a/b')", "'b'"],
    destructured: ["const { it } = { it: 6 }", "it * 2", "12"],
    exported: ["export const it = 9", "it", "9"],
  };
  test.each(Object.keys(definitions))("%s takes the place of whatever had the name", async (kind) => {
    const [definition, use, result] = definitions[kind]!;
    for (const [other] of Object.values(definitions)) {
      expect((await run(other)).error).toBeUndefined();
      expect((await run(definition)).error).toBeUndefined();
      expect((await run(use)).result).toBe(result);
    }
  });

  test("types and interfaces are replaced, not merged", async () => {
    await run("interface Box { a: number }");
    expect((await run("interface Box { b: string }\nconst box: Box = { b: 'x' }; box.b")).result).toBe("'x'");
    expect((await run("type Box = boolean;\nconst flag: Box = true; flag")).result).toBe("true");
    expect((await run("const flag2: Box = 1")).error?.evalue).toContain("not assignable to type 'boolean'");
  });

  test("export is a word without effect, wherever modules have it", () => {
    const code = "export const a = 1;\nexport default class K {}\nexport { a };\nexport type T = 'export';\nconst s = 'export'";
    const blanked = withoutExports(code);
    expect(blanked).toHaveLength(code.length);
    expect(blanked.split("\n").map((line) => line.trim())).toEqual([
      "const a = 1;",
      "class K {}",
      "",
      "type T = 'export';",
      "const s = 'export'",
    ]);
  });
});

describe("local files", () => {
  const { run, write } = inFolder({
    "helper.ts":
      "import { inner } from './deep/inner';\nimport data from './data.json';\nexport const outer = () => inner + data.n;",
    "deep/inner.ts": "export const inner: number = 1;",
    "data.json": '{ "n": 10 }',
    "state.ts": "export const state = { count: 0 };",
    "broken.ts": "\nexport const text: string = 5;",
    "index/index.tsx": "export const folder: string = 'index';",
  });

  test("a file that changed is seen by the next import, also through files that import it; others keep their state", async () => {
    await run("import { state } from './state'; state.count = 5;");
    expect((await run("import { outer } from './helper'; outer()")).result).toBe("11");
    write("deep/inner.ts", "export const inner: number = 2;");
    expect((await run("outer()")).result).toBe("11");
    expect((await run("import { outer } from './helper'; outer()")).result).toBe("12");
    write("data.json", '{ "n": 20 }');
    expect((await run("import { outer } from './helper.js'; outer()")).result).toBe("22");
    expect((await run("import { state } from './state'; state.count")).result).toBe("5");
  });

  test("its types are the new ones at once", async () => {
    write("deep/inner.ts", "export const inner: string = 'x';");
    expect((await run("import { inner } from './deep/inner'; inner.length")).result).toBe("1");
    write("deep/inner.ts", "export const inner: number = 3;");
    expect((await run("import { inner } from './deep/inner'; inner.length")).error?.evalue).toContain(
      "Property 'length' does not exist on type 'number'",
    );
  });

  test("a file that was not there yet, a folder's index, and one imported on demand are found", async () => {
    expect((await run("import { late } from './late'; late")).error?.evalue).toContain("Cannot find module './late'");
    write("late.ts", "export const late = 1;");
    expect((await run("import { late } from './late'; late")).result).toBe("1");
    expect((await run("import { folder } from './index'; folder")).result).toBe("'index'");
    expect((await run("(await import('./state')).state.count")).result).toBe("5");
  });

  test("a type error in a file names the file and its line, and the file works once it is mended", async () => {
    const { error } = await run("import { text } from './broken'; text");
    expect(error?.evalue).toBe("broken.ts, line 2:14 - Type 'number' is not assignable to type 'string'.");
    expect(error?.traceback.slice(1)).toEqual(["    2 | export const text: string = 5;", "      |              ^^^^"]);
    expect((await run("'a cell without imports'")).ok).toBe(true);
    expect((await run("type Text = typeof import('./broken').text;")).error?.evalue).toContain("broken.ts, line 2:14");
    write("broken.ts", "export const text: string = 'mended';");
    expect((await run("import { text } from './broken'; text")).result).toBe("'mended'");
  });
});

describe("packages", () => {
  const { run, write } = inFolder({
    "package.json": "{}",
    "node_modules/awaits/package.json": '{ "name": "awaits", "type": "module", "exports": { "./sub": "./lib/sub.js" } }',
    "node_modules/awaits/lib/sub.js": "export const five = await Promise.resolve(5); export default 'default';",
    "node_modules/keeps/package.json":
      '{ "name": "keeps", "exports": { ".": { "types": "./index.d.ts", "default": "./index.js" } } }',
    "node_modules/keeps/index.js": "exports.deep = () => ({ a: 1 }); exports.unnamed = () => ({ b: 2 });",
    "node_modules/keeps/inner.d.ts": "export interface Deep { a: number }",
    "node_modules/keeps/index.d.ts": `import type { Deep } from "./inner.js";
interface Unnamed { b: number }
export declare function deep(): Deep;
export declare function unnamed(): Unnamed;
export {};`,
  });

  test("an ESM-only package that awaits while it loads can be imported", async () => {
    expect((await run("import fallback, { five } from 'awaits/sub'; [fallback, five]")).result).toBe("[ 'default', 5 ]");
    expect((await run("(await import('awaits/sub')).five")).result).toBe("5");
  });

  test("packages come and go while cells run", async () => {
    write("uses.ts", "import { n } from 'late'; export const more = n + 1;");
    expect((await run("import { n } from 'late'")).error?.evalue).toContain("Cannot find module 'late'");
    expect((await run("import { more } from './uses'")).error?.evalue).toContain(
      "uses.ts, line 1:19 - Cannot find module 'late'",
    );
    write("node_modules/late/package.json", '{ "name": "late", "main": "late.js", "types": "late.d.ts" }');
    write("node_modules/late/late.js", "exports.n = 1;");
    write("node_modules/late/late.d.ts", "export declare const n: number;");
    write("package.json", '{ "dependencies": { "late": "1.0.0" } }');
    expect((await run("import { more } from './uses'; import { n } from 'late'; [n, more]")).result).toBe("[ 1, 2 ]");
    // Long enough for whatever watches folders to have its say.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    write("package.json", "{}");
    expect((await run("'next'")).result).toBe("'next'");
  });

  test("a type that a package does not export is known to later cells by its file; one without a name is any", async () => {
    expect(
      (await run("import { deep, unnamed } from 'keeps';\nconst known = deep();\nconst loose = unnamed();")).error,
    ).toBeUndefined();
    expect((await run("const wrong: string = known.a")).error?.evalue).toContain("'number' is not assignable to type 'string'");
    expect((await run("[known.a, loose.b]")).result).toBe("[ 1, 2 ]");
  });

  test("a notebook that lies in a package runs as anywhere else", async () => {
    const folder = path.join(temporaryFolder(), "node_modules", "package", "notebooks");
    mkdirSync(folder, { recursive: true });
    const engine = await EngineProcess.start(folder);
    try {
      expect((await runCell(engine, "const a: number = 1; a")).result).toBe("1");
      expect((await runCell(engine, "const b: string = a")).error?.evalue).toContain("not assignable to type 'string'");
    } finally {
      await engine.stop();
    }
  });

  test("what a package does not export is no module", async () => {
    expect((await run("import x from 'awaits/lib/sub.js'")).error?.evalue).toContain("Cannot find module 'awaits/lib/sub.js'");
  });
});

describe("tsconfig.json of the notebook's folder", () => {
  const { run } = inFolder({
    "tsconfig.json": `{
      "extends": "./base.json",
      // As in any other project.
      "compilerOptions": { "strict": false, "paths": { "@/*": ["./src/*"] }, "module": "commonjs", "outDir": "x" }
    }`,
    "base.json":
      '{ "compilerOptions": { "noUncheckedIndexedAccess": true, "strictNullChecks": true, "lib": ["es2020", "dom"] } }',
    "src/tool.ts": "export const tool = () => 'from src';",
    "src/view.tsx":
      "const React = { createElement: (...all: unknown[]) => all };\ndeclare global { namespace JSX { interface IntrinsicElements { b: object } } }\nexport const view = <b>x</b>;",
  });

  test("strictness is as it says, also by way of `extends`", async () => {
    expect((await run("function loose(x) { return x }\nloose(1)")).result).toBe("1");
    expect((await run("const first: number = [1][0]")).error?.evalue).toContain("Type 'number | undefined' is not assignable");
  });

  test("lib decides what exists", async () => {
    expect((await run("const where: HTMLElement | undefined = undefined; [where]")).result).toBe("[ undefined ]");
    expect((await run("[3, 1].toSorted()")).error?.evalue).toContain("Property 'toSorted' does not exist");
  });

  test("paths lead to local files, JSX in them is compiled, and how cells are loaded stays the kernel's affair", async () => {
    expect((await run("import { tool } from '@/tool'; tool()")).result).toBe("'from src'");
    expect((await run("import { view } from '@/view'; view")).result).toBe("[ 'b', null, 'x' ]");
  });
});

describe("a wrong tsconfig.json", () => {
  const { run } = inFolder({ "tsconfig.json": '{\n  "compilerOptions": { "strickt": true, "jsx": "angular" }\n}' });

  test("is told in words, once, and cells run with the options of the kernel", async () => {
    const { stderr, error } = await run("function implicit(x) {}");
    expect(stderr).toMatch(/^tsconfig\.json line 2:24 - Unknown compiler option 'strickt'\. Did you mean 'strict'\?\n/);
    expect(stderr).toContain("tsconfig.json line 2:48 - Argument for '--jsx' option must be");
    expect(error?.evalue).toContain("implicitly has an 'any' type");
    expect((await run("1")).stderr).toBe("");
  });
});

describe("completion", () => {
  const { run, engine } = inFolder({});
  const complete = async (code: string) => (await engine().complete(code, code.length)).matches;

  test("knows the library's types, however deep", async () => {
    await run("import { at, load } from 'tweedie'; const pipe = await load('shapes');");
    expect(await complete("pipe.")).toEqual(expect.arrayContaining(["generate", "with", "tree"]));
    expect(await complete("pipe.")).not.toContain("[jupyterDisplay]");
    expect((await complete("pipe.ge"))[0]).toBe("generate");
    expect(await complete("(await pipe.generate('x')).finalLatents.")).toEqual(
      expect.arrayContaining(["shape", "dtype", "data"]),
    );
    expect(await complete("at('mid_block').")).toContain("scale");
    expect(await complete("await pipe.generate('x', { st")).toEqual(expect.arrayContaining(["steps", "strength"]));
    expect(await engine().inspect("pipe.generate", 7)).toContain("Promise<Generation>");
  });
});
