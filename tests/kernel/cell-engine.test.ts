import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EngineProcess, runCell, temporaryFolder } from "./compiled.js";

const folder = temporaryFolder();
let engine: Awaited<ReturnType<typeof EngineProcess.start>>;
const run = (code: string, label?: string) => runCell(engine, code, label);

beforeAll(async () => {
  writePackage("tiny-esm", {
    "package.json": JSON.stringify({
      name: "tiny-esm",
      version: "1.0.0",
      type: "module",
      exports: { ".": { types: "./index.d.ts", default: "./index.js" }, "./sub": { types: "./sub.d.ts", default: "./sub.js" } },
    }),
    "index.js": "export const answer = 42; export class Box { constructor(v) { this.v = v; } }",
    "index.d.ts": "export declare const answer: number; export declare class Box<T> { v: T; constructor(v: T); }",
    "sub.js": "export default function twice(x) { return 2 * x; }",
    "sub.d.ts": "export default function twice(x: number): number;",
  });
  writePackage("untyped", { "package.json": '{"name":"untyped","main":"i.js"}', "i.js": "module.exports = { one: 1 };" });
  writeFileSync(
    path.join(folder, "local.ts"),
    "export function half(x: number): number {\n  if (x < 0) throw new RangeError('negative');\n  return x / 2;\n}\n",
  );
  engine = await EngineProcess.start(folder);
});
afterAll(() => engine?.stop());

function writePackage(name: string, files: Record<string, string>): void {
  const at = path.join(folder, "node_modules", name);
  mkdirSync(at, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(path.join(at, file), text);
}

describe("values", () => {
  test("the last expression is the result, promises are awaited, undefined shows nothing", async () => {
    expect((await run("const a = 20; a + 1")).result).toBe("21");
    expect((await run("Promise.resolve({ b: [a] })")).result).toBe("{ b: [ 20 ] }");
    expect((await run("undefined")).events).toEqual([]);
    expect((await run("null")).result).toBe("null");
  });

  test("top-level await, for await, using and await using work", async () => {
    expect((await run("await null; for await (const x of [Promise.resolve(1), 2]) console.log(x);")).stdout).toBe("1\n2\n");
    expect((await run("{ using r = { [Symbol.dispose]() { console.log('gone'); } }; }")).stdout).toBe("gone\n");
    expect((await run("await using s = { async [Symbol.asyncDispose]() { console.log('gone too'); } };")).stdout).toBe(
      "gone too\n",
    );
  });

  test("later cells redefine what earlier ones defined, with a new type", async () => {
    await run("let v = 1; function f() { return v; }");
    expect((await run("let v = 'text'; v.length")).result).toBe("4");
    expect((await run("f()")).ok).toBe(true);
  });

  test("names of earlier cells work wherever a name can stand", async () => {
    await run("let one = 1; const two = [2]; function add(x: number): number { return x + one; }");
    expect((await run("const o = { one, two, add }; [o.one, o.two[0], o.add(1)]")).result).toBe("[ 1, 2, 2 ]");
    expect((await run("({ one } = { one: 5 }); [one] = [one + 1]; one++; [one, ...two]")).result).toBe("[ 7, 2 ]");
    expect((await run("const nested = () => ({ one: one, k: { two } }); nested().k.two")).result).toBe("[ 2 ]");
    expect((await run("type T = typeof two; const t: T = [3]; class C { one = one; } new C().one")).result).toBe("7");
  });

  test("names of properties stay what they are, also those of types and functions of earlier cells", async () => {
    await run(`interface P { k: number; m?: { n: number } }
      async function f() { return { a: { b: 1 }, c: 2, list: [{ d: 4 }] }; }
      const p: P = { k: 3 }; let one = 1; const key = "k" as const;`);
    const cells: Readonly<Record<string, string>> = {
      "let out; if (true) { const { a: { b }, c } = await f(); out = [b, c]; } out": "[ 1, 2 ]",
      "const { a: { b }, list: [{ d: four }] } = await f(); [b, four]": "[ 1, 4 ]",
      "let sum = 0; for (const { d: part } of (await f()).list) sum += part; sum": "4",
      "let seen = 0; for await (const { a: { b: each } } of [f(), f()]) seen += each; seen": "2",
      "function g({ k, m: { n } = { n: one } }: P, { k: again }: P = p) { return [k, n, again]; } g(p)": "[ 3, 1, 3 ]",
      "[p].map(({ k: x, m: { n } = { n: 9 } }) => x + n)": "[ 12 ]",
      "let caught; try { throw p; } catch ({ k: thrown, ...rest }: any) { caught = [thrown, rest]; } caught": "[ 3, {} ]",
      "const { [key]: named, m: missing = one } = p; [named, missing]": "[ 3, 1 ]",
      "({ k: one } = p); ({ one = 5 } = {} as { one?: number }); one": "5",
    };
    for (const [code, result] of Object.entries(cells)) expect(await run(code)).toMatchObject({ error: undefined, result });
  });

  test("an assignment may fill variables and members at once", async () => {
    await run("let best = 0; const o = { at: 0, of: [0, 0], more: {} };");
    const cells: Readonly<Record<string, string>> = {
      "let first: number; [first, o.at] = [1, 2]; [first, o.at]": "[ 1, 2 ]",
      first: "1",
      "let rest: number[], deep: number; ({ k: best, m: [deep, o.of[1]], ...o.more } = { k: 5, m: [6, 7], l: 8 } as any); [best, deep, o]":
        "[ 5, 6, { at: 2, of: [ 0, 7 ], more: { l: 8 } } ]",
      "let a = 1, c = [2]; [a, c[0]] = [c[0]!, a]": "[ 2, 1 ]",
      "[a, c]": "[ 2, [ 1 ] ]",
      "let d = 3; const swap = () => { [d = 9, o.at, ...rest] = [undefined, 4, 5] as any; return d; }; swap()": "9",
      "[d, o.at, rest]": "[ 9, 4, [ 5 ] ]",
    };
    for (const [code, result] of Object.entries(cells)) expect(await run(code)).toMatchObject({ error: undefined, result });
  });

  test("a value that displays itself is shown so, with bytes as base64", async () => {
    const { events } = await run(
      "({ [Symbol.for('Jupyter.display')]: async () => ({ 'text/plain': 'me', 'image/png': new Uint8Array([1, 2, 3]) }) })",
    );
    expect(events).toEqual([{ type: "execute_result", data: { "text/plain": "me", "image/png": "AQID" }, metadata: {} }]);
  });

  test("a value that cannot be sent, or whose display fails, is an error of the cell", async () => {
    const display = (data: string) => `({ [Symbol.for('Jupyter.display')]: () => ${data} })`;
    expect((await run(display("({ 'application/json': 1n })"))).error).toMatchObject({ ename: "TypeError" });
    expect((await run(display("{ throw new RangeError('no picture'); }"))).error).toMatchObject({ evalue: "no picture" });
    const shown = await run(`import { display } from 'tslab'; display.raw('application/json', 1n as never); 1`);
    expect(shown.error).toMatchObject({ ename: "TypeError" });
    expect((await run("'alive'")).result).toBe("'alive'");
  });

  test("an arquero table is shown as a table whose text cannot become markup", async () => {
    const { events } = await run("import { table } from 'arquero';\ntable({ n: [1, 2], s: ['<b>', 'x'] })");
    expect(events).toMatchObject([
      { data: { "text/html": expect.stringMatching(/<td[^>]*>&lt;b&gt;<\/td>/), "text/plain": "n  s\n─  ───\n1  <b>\n2  x" } },
    ]);
  });
});

describe("errors", () => {
  test("a wrong type is refused before anything runs, with line and column", async () => {
    const { error, stdout } = await run("console.log('ran');\nconst x: string = 5;");
    expect(stdout).toBe("");
    expect(error).toMatchObject({
      ename: "TypeScriptError",
      evalue: "cell[1], line 2:7 - Type 'number' is not assignable to type 'string'.",
    });
    expect(error?.traceback.slice(1)).toEqual(["    2 | const x: string = 5;", "      |       ^"]);
  });

  test("cells are strict, but unused names are no errors", async () => {
    expect((await run("const maybe = 'a' as string | undefined; maybe.length")).error?.evalue).toContain("possibly 'undefined'");
    expect((await run("function g(p: number, unused: number): number { const q = 1; return p; }")).ok).toBe(true);
  });

  test("a traceback has the lines of the TypeScript of every cell, and nothing of Node or the kernel", async () => {
    await run(
      "interface P { k: number }\n\nfunction check(p: P): void {\n  if (p.k < 1) throw new RangeError('bad k ' + p.k);\n}",
      "cell[7]",
    );
    const { error } = await run("type Q = P;\nconst q: Q = { k: 0 };\nawait null;\ncheck(q);", "cell[8]");
    expect(error).toEqual({
      type: "error",
      ename: "RangeError",
      evalue: "bad k 0",
      traceback: [
        "RangeError: bad k 0",
        "    at cell[7], line 4 in check",
        "    4 |   if (p.k < 1) throw new RangeError('bad k ' + p.k);",
        "      |                      ^",
        "    at cell[8], line 4",
      ],
    });
  });

  test("causes and thrown things that are no errors are shown", async () => {
    const { error } = await run("throw new Error('outer', { cause: new TypeError('inner') })");
    expect(error?.traceback).toEqual(expect.arrayContaining(["Error: outer", "Caused by:", "TypeError: inner"]));
    expect((await run("throw 'just text'")).error).toMatchObject({ ename: "Thrown", evalue: "just text" });
  });

  test("of a cell that fails, what came before the failure is there for the next, with its type", async () => {
    await run("let before = 1; const kept = 'kept';");
    const failed = await run(`import { sep } from 'node:path';
      type Pair = [number, string];
      const pair: Pair = [1, 'a'];
      function first([a]: Pair) { return a; }
      await null;
      let before = ['new'];
      throw new Error('here');
      const kept = 5; class Never {}`);
    expect(failed.error?.evalue).toBe("here");
    expect((await run("const more: Pair = pair; [first(more), before.length, kept.length, sep]")).result).toBe(
      "[ 1, 1, 4, '/' ]",
    );
    expect((await run("new Never()")).error?.evalue).toContain("Cannot find name 'Never'");
    expect((await run("const wrong: number = before")).error?.evalue).toContain("Type 'string[]'");
    expect((await run("const half = 1; await Promise.reject(new Error('shown last'))")).ok).toBe(false);
    expect((await run("half")).result).toBe("1");
  });

  test("an interrupted loop leaves its variables as far as it came", async () => {
    const running = run("let turns = 0; const list: number[] = []; for (;;) list[0] = ++turns;");
    setTimeout(() => engine.interrupt(), 300);
    expect((await running).error?.ename).toBe("Interrupted");
    expect((await run("turns > 0 && list[0]! > 0")).result).toBe("true");
  });

  test("what nobody catches is shown in the cell and the engine lives on", async () => {
    const { ok, stderr } = await run(
      "setTimeout(() => { throw new Error('in a timer') }, 1);\nvoid Promise.reject(new Error('unawaited'));\nawait new Promise((r) => setTimeout(r, 50));",
    );
    expect(ok).toBe(true);
    expect(stderr).toContain("Uncaught Error: in a timer\n    at cell[1], line 1");
    expect(stderr).toContain("Uncaught Error: unawaited\n    at cell[1], line 2");
  });
});

describe("imports", () => {
  test("an ESM-only package of the notebook's folder brings values and types", async () => {
    expect(
      (await run("import { answer, Box } from 'tiny-esm';\nimport twice from 'tiny-esm/sub';\ntwice(answer) + new Box(1).v"))
        .result,
    ).toBe("85");
    const { error } = await run("import * as tiny from 'tiny-esm';\n\nconst wrong: string = tiny.answer;");
    expect(error?.evalue).toBe("cell[1], line 3:7 - Type 'number' is not assignable to type 'string'.");
    expect((await run("const kept: string = new Box(1).v")).error?.evalue).toContain(
      "Type 'number' is not assignable to type 'string'",
    );
  });

  test("tweedie is found from any folder, and a package that is neither there nor here is an error", async () => {
    expect((await run("require.resolve('tiny-esm') !== ''")).ok).toBe(true);
    expect((await run("import ts from 'typescript'; ts.version.slice(0, 2)")).result).toBe("'5.'");
    expect((await run("import { x } from 'no-such-package'")).error?.evalue).toContain("Cannot find module 'no-such-package'");
  });

  test("a package without types is any", async () => {
    expect((await run("import untyped from 'untyped'; untyped.one")).result).toBe("1");
  });

  test("a local JavaScript file is loaded as it is", async () => {
    writeFileSync(path.join(folder, "plain.js"), "exports.three = 3;");
    expect((await run("import { three } from './plain.js'; three")).result).toBe("3");
  });

  test("a local TypeScript file is imported with its types, and its errors have its lines", async () => {
    expect((await run("import { half } from './local';\nhalf(5)")).result).toBe("2.5");
    expect((await run("const t: string = half(1)")).error?.ename).toBe("TypeScriptError");
    expect((await run("half(-1)")).error?.traceback.slice(1, 3)).toEqual([
      "    at local.ts, line 2 in half",
      "    2 |   if (x < 0) throw new RangeError('negative');",
    ]);
  });
});

describe("output", () => {
  test("many lines arrive complete, in order, and before what follows them", async () => {
    const { stdout, events } = await run("for (let i = 0; i < 20000; i++) console.log(i);\n'done'");
    expect(stdout).toBe(`${Array.from({ length: 20000 }, (_, i) => i).join("\n")}\n`);
    expect(events.at(-1)?.type).toBe("execute_result");
    expect(events.length).toBeLessThan(200);
  });

  test("the notebook runtime displays, updates, clears and knows the document", async () => {
    const { events, result } = await run(`
      interface Runtime { display(d: object, update?: boolean): void; clear(wait?: boolean): void; signal: AbortSignal; documentState: Map<string, unknown> }
      const runtime = (globalThis as unknown as Record<symbol, Runtime>)[Symbol.for("tweedie.notebook")];
      console.log("first");
      runtime.display({ data: { "text/plain": "a" }, transient: { display_id: "d" } });
      runtime.display({ data: { "text/plain": "b" }, transient: { display_id: "d" } }, true);
      runtime.clear(true);
      runtime.documentState.set("plotly-loaded", true);
      runtime.signal.aborted`);
    expect(result).toBe("false");
    expect(events.map((event) => event.type)).toEqual([
      "stream",
      "display_data",
      "update_display_data",
      "clear_output",
      "execute_result",
    ]);
    expect(events[1]).toMatchObject({ data: { "text/plain": "a" }, metadata: {}, transient: { display_id: "d" } });
    expect((await run("runtime.documentState.has('plotly-loaded')")).result).toBe("true");
  });

  test("a cell that clears plotly.js away, or fails and runs again, brings it into the document again", async () => {
    await run('const { documentState: state, clear } = (globalThis as any)[Symbol.for("tweedie.notebook")]; state.clear();');
    const had = async (code: string): Promise<string> => (await run(`console.log(state.has("plotly-loaded")); ${code}`)).stdout;
    const bring = "state.set('plotly-loaded', true);";
    expect(await had(`${bring} clear();`)).toBe("false\n");
    const fails = `${bring} throw new Error("after the figure");`;
    expect(await had(fails)).toBe("false\n");
    // Another cell's is not cleared.
    expect(await had("clear();")).toBe("true\n");
    expect(await had("")).toBe("true\n");
    expect(await had(fails)).toBe("false\n");
  });

  test("a cell that brought plotly.js brings it again when it runs again", async () => {
    const execute = (code: string, cellId: string) =>
      engine.execute(code, { label: "cell[1]", cellId, onEvent: () => undefined });
    await run("runtime.documentState.delete('plotly-loaded')");
    await execute("runtime.documentState.set('plotly-loaded', true);", "first");
    await execute("1", "second");
    expect((await run("runtime.documentState.has('plotly-loaded')")).result).toBe("true");
    await execute("1", "first");
    expect((await run("runtime.documentState.has('plotly-loaded')")).result).toBe("false");
  });

  test("where cells have no names, the same code is the same cell", async () => {
    await run("runtime.documentState.delete('plotly-loaded')");
    const bringing =
      "runtime.documentState.set('plotly-loaded', runtime.documentState.has('plotly-loaded') ? 'it was there' : 'it is new'); runtime.documentState.get('plotly-loaded')";
    expect((await run(bringing)).result).toBe("'it is new'");
    expect((await run(`${bringing} `)).result).toBe("'it was there'");
    expect((await run(bringing)).result).toBe("'it is new'");
  });

  test("tslab's own display API reaches the cell", async () => {
    const { events } = await run("import { display } from 'tslab';\ndisplay.html('<b>x</b>');");
    expect(events).toMatchObject([{ type: "display_data", data: { "text/html": "<b>x</b>" } }]);
  });
});

describe("help for writing", () => {
  test("completion, inspection and completeness answer with TypeScript's knowledge", async () => {
    await run("/** Counts things. */\nconst counts = new Map<string, number>();");
    expect((await engine.complete("counts.ge", 9)).matches).toContain("get");
    expect(await engine.inspect("counts", 2)).toContain("const counts: Map<string, number>");
    expect(await engine.inspect("   ", 1)).toBeUndefined();
    expect(await engine.isComplete("for (;;) {")).toEqual({ status: "incomplete", indent: "  " });
  });
});
