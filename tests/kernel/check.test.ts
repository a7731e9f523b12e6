import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { checkCleared, cleared } from "../../kernel/notebook-check.js";
import { parseNotebook } from "../../kernel/notebook-format.js";
import { PACKAGE_ROOT } from "../../kernel/package-root.js";
import { CLI, temporaryFolder } from "./compiled.js";
import { writeNotebook } from "./notebooks.js";

const folder = temporaryFolder();

function check(...args: string[]) {
  return spawnSync(process.execPath, [CLI, "check", ...args], { encoding: "utf8", cwd: folder });
}

interface Place {
  check: string;
  cell: number;
  line: number;
  column: number;
  message: string;
}

const findings = (...args: string[]): Place[] => JSON.parse(check(...args, "--json").stdout).notebooks[0].findings;

describe("types", () => {
  test("are checked over all cells as the kernel has them: redefinition, await, local files, the library", () => {
    writeFileSync(path.join(folder, "helper.ts"), "export const twice = (x: number): number => 2 * x;");
    writeNotebook(
      folder,
      "good",
      "let x = 1;",
      { markdown: "let x: boolean" },
      "let x = 'now text'; x.toUpperCase()",
      "import { twice } from './helper';\nimport { load } from 'tweedie';\nawait Promise.resolve(twice(2));",
      "const pipe: Awaited<ReturnType<typeof load>> | undefined = undefined; const { length } = x; length + twice(1)",
    );
    expect(check("good.ipynb")).toMatchObject({ status: 0, stdout: "✓ good.ipynb\n", stderr: "" });
  });

  test("that are wrong are told with cell, line and column, each once: what a broken cell declares is not unknown", () => {
    writeNotebook(
      folder,
      "bad",
      "const n: number = 1;",
      "\n  const s: string = n;\nconst { a, b: [c] } = { a: n, b: [n] };\nclass K {}\nimport { readFileSync } from 'node:fs';\ntype T = string;",
      "s.length + a + c; const k: K = new K(); const t: T = 'x'; readFileSync('x'); n.toFixed()",
      "n.length",
    );
    expect(findings("bad.ipynb")).toMatchObject([
      { check: "types", cell: 2, line: 2, column: 9, message: "Type 'number' is not assignable to type 'string'." },
      { check: "types", cell: 4, line: 1, column: 3, message: "Property 'length' does not exist on type 'number'." },
    ]);
    const { status, stdout } = check("bad.ipynb");
    expect(status).toBe(1);
    expect(stdout).toContain("✗ bad.ipynb\n  cell 2, line 2:9: Type 'number' is not assignable to type 'string'.\n");
    expect(stdout).toMatch(/2 \| {3}const s: string = n;\n.* \| {9}\^\n/);
  });

  test("know the folder's tsconfig.json and tell what is wrong with it, magics, and what every cell has", () => {
    const loose = path.join(folder, "loose");
    mkdirSync(loose);
    writeNotebook(
      loose,
      "n",
      "%time\nlet s: string = null;",
      "%%html\n<b>no TypeScript</b>",
      "%time s = await input('?');\nbad;",
    );
    const strict = { cell: 1, line: 2, column: 5, message: "Type 'null' is not assignable to type 'string'." };
    const bad = { cell: 3, line: 2, column: 1, message: "Cannot find name 'bad'." };
    expect(findings("loose/n.ipynb")).toMatchObject([strict, bad]);
    writeFileSync(path.join(loose, "tsconfig.json"), '{ "compilerOptions": { "strict": false } }');
    expect(findings("loose/n.ipynb")).toMatchObject([bad]);
    writeFileSync(path.join(loose, "tsconfig.json"), '{ "compilerOptions": { "strict": "very" } }');
    expect(check("loose").stdout).toMatch(
      /✗ loose\/n\.ipynb\n {2}tsconfig\.json line 1:\d+ - .*strict.*\n {2}cell 3, line 2:1: /,
    );
  });

  test("are looked up in each notebook's own folder", () => {
    for (const [name, type] of [
      ["one", "number"],
      ["two", "string"],
    ]) {
      mkdirSync(path.join(folder, name!));
      writeFileSync(path.join(folder, name!, "local.ts"), `export declare const value: ${type};`);
      writeNotebook(path.join(folder, name!), "n", "import { value } from './local';\nconst n: number = value;");
    }
    expect(check("one", "two").stdout).toMatch(/✓ one\/n\.ipynb\n✗ two\/n\.ipynb\n {2}cell 1, line 2:7: Type 'string'/);
  });

  test("of the notebooks and templates that come with tweedie are right, and their outputs cleared", () => {
    const own = ["notebooks", path.join("kernel", "templates")].map((name) => path.join(PACKAGE_ROOT, name));
    expect(check(...own, "--cleared")).toMatchObject({ status: 0, stderr: "" });
  });
});

describe("cleared outputs", () => {
  test("are expected, told apart and made, and nothing else is changed", () => {
    const file = writeNotebook(folder, "full", "1", { markdown: "text" }, { code: "2", tags: ["kept"] });
    expect(check("full.ipynb")).toMatchObject({ status: 0 });
    expect(findings("full.ipynb", "--cleared", "--no-types")).toEqual([
      { check: "cleared", cell: 1, message: "has 1 output and execution count 9" },
      { check: "cleared", cell: 2, message: "has 1 output and execution count 9" },
    ]);
    expect(check("full.ipynb", "--cleared", "--fix")).toMatchObject({ status: 0, stdout: "✓ full.ipynb (outputs cleared)\n" });
    const { cells } = JSON.parse(readFileSync(file, "utf8"));
    expect(cells).toMatchObject([
      { source: ["1"], outputs: [], execution_count: null },
      { source: ["text"] },
      { source: ["2"], outputs: [], execution_count: null, metadata: { tags: ["kept"] } },
    ]);
    const fixed = readFileSync(file, "utf8");
    expect(check("full.ipynb", "--cleared", "--fix")).toMatchObject({ status: 0, stdout: "✓ full.ipynb\n" });
    expect(readFileSync(file, "utf8")).toBe(fixed);
  });

  test("have no records of runs left", () => {
    const raw = {
      cells: [
        { cell_type: "code", id: "a", source: "1", outputs: [], execution_count: 1, metadata: { execution: {}, tags: [] } },
      ],
      metadata: { tweedie: { run: { digest: "x" } }, title: "kept" },
      nbformat: 4,
      nbformat_minor: 5,
    };
    const clean = cleared(parseNotebook(JSON.stringify(raw)));
    expect(clean.metadata).toEqual({ title: "kept" });
    expect(clean.cells[0]!.metadata).toEqual({ tags: [] });
    expect(checkCleared(clean)).toEqual([]);
  });
});

describe("--rerun", () => {
  test("finds the cells that come out differently, and lets times be", () => {
    writeNotebook(
      folder,
      "chance",
      "const same = [1, 2, 3]; same",
      "console.log('seed', process.pid);",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the cell's
      "console.log(`took ${(performance.now() / 1000).toFixed(4)} s, ended ${new Date().toISOString()}`);",
      "for (let i = 0; i < 1 + (process.pid % 2); i++) {}\n({ [Symbol.for('Jupyter.display')]: () => ({ 'application/json': { pid: process.pid } }) })",
    );
    const found = findings("chance.ipynb", "--rerun");
    expect(found.map(({ check, cell }) => [check, cell])).toEqual([
      ["rerun", 2],
      ["rerun", 4],
    ]);
    expect(found[0]!.message).toMatch(/^stdout differs: "seed \d+\\n", then "seed \d+\\n"$/);
    expect(found[1]!.message).toMatch(/^application\/json differs: /);
  });

  test("says so when the notebook fails", () => {
    writeNotebook(folder, "fails", "1", "throw new RangeError('no')");
    expect(findings("fails.ipynb", "--rerun")).toEqual([{ check: "rerun", cell: 2, message: "failed with RangeError: no" }]);
  });
});

test("the git hook of the help checks what is committed", () => {
  const { stdout } = spawnSync(process.execPath, [CLI, "check", "--help"], { encoding: "utf8" });
  const hook = /^ {2}#!\/bin\/sh\n {2}(.+)$/m.exec(stdout)![1]!.replace("npx tweedie", `"${process.execPath}" "${CLI}"`);
  const repository = path.join(folder, "repository");
  mkdirSync(repository);
  const git = (...args: string[]) => spawnSync("git", args, { cwd: repository, encoding: "utf8" });
  git("init", "-q");
  writeFileSync(path.join(repository, ".git", "hooks", "pre-commit"), `#!/bin/sh\n${hook}\n`, { mode: 0o755 });
  const commit = () => git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "x");
  writeNotebook(repository, "with outputs", "1");
  git("add", ".");
  const refused = commit();
  expect(refused.status).toBe(1);
  expect(refused.stdout + refused.stderr).toContain("✗ with outputs.ipynb\n  cell 1: has 1 output");
  check(path.join(repository, "with outputs.ipynb"), "--cleared", "--fix");
  git("add", ".");
  expect(commit().status).toBe(0);
});
