import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { parseParameter } from "../../kernel/runner.js";
import { CLI, temporaryFolder } from "./compiled.js";
import { nbformatVerdict, pythonHas } from "./python.js";

const folder = temporaryFolder();
const out = path.join(folder, "out");

type CellSource = string | { code: string; tags: string[] } | { markdown: string };

function notebook(name: string, ...cells: CellSource[]): string {
  const raw = cells.map((cell) =>
    typeof cell === "object" && "markdown" in cell
      ? { cell_type: "markdown", metadata: {}, source: cell.markdown }
      : {
          cell_type: "code",
          metadata: typeof cell === "string" ? {} : { tags: cell.tags },
          source: typeof cell === "string" ? cell : cell.code,
          execution_count: 9,
          outputs: [{ output_type: "stream", name: "stdout", text: "from an earlier run" }],
        },
  );
  const file = path.join(folder, `${name}.ipynb`);
  writeFileSync(file, JSON.stringify({ cells: raw, metadata: {}, nbformat: 4, nbformat_minor: 4 }));
  return file;
}

function run(file: string, ...args: string[]) {
  const result = spawnSync(process.execPath, [CLI, "run", file, "--output", out, ...args], { encoding: "utf8" });
  const written = path.join(out, path.basename(file));
  return { ...result, executed: existsSync(written) ? JSON.parse(readFileSync(written, "utf8")) : undefined };
}

test("a notebook runs in its own folder and is written with counts, outputs, progress and a page", () => {
  writeFileSync(path.join(folder, "data.txt"), "42");
  const file = notebook(
    "good",
    { markdown: "# Good" },
    "// Read the data\nimport { readFileSync } from 'node:fs';\nconsole.log('reading');\nreadFileSync('data.txt', 'utf8')",
    "",
    "1 + 1",
  );
  const { status, stdout, executed } = run(file, "--html");
  expect(status).toBe(0);
  expect(stdout).toMatch(/\[1\/3\] Read the data\n {6}reading\n {6}✓ [\d.]+ s\n\[3\/3\] 1 \+ 1/);
  expect(executed.cells.map((cell: { execution_count?: number }) => cell.execution_count)).toEqual([undefined, 1, null, 3]);
  expect(executed.cells[1].outputs).toEqual([
    { output_type: "stream", name: "stdout", text: ["reading\n"] },
    { output_type: "execute_result", execution_count: 1, data: { "text/plain": ["'42'"] }, metadata: {} },
  ]);
  expect(executed.metadata).toMatchObject({ kernelspec: { name: "tweedie" }, language_info: { name: "typescript" } });
  expect(readFileSync(path.join(out, "good.html"), "utf8")).toContain("<title>Good</title>");
});

test.skipIf(!pythonHas("nbformat"))("what is written is valid for nbformat itself (skipped without Python's nbformat)", () => {
  const file = notebook(
    "valid",
    { markdown: "text" },
    "console.log(1); ({ a: 1 })",
    "({ [Symbol.for('Jupyter.display')]: () => ({ 'text/html': '<b>x</b>', 'application/vnd.plotly.v1+json': { data: [], layout: {} } }) })",
    "throw new Error('at the end')",
  );
  run(file, "-q");
  expect(nbformatVerdict(path.join(out, "valid.ipynb"))).toBe("valid");
});

describe("a cell that fails ends the run with exit code 1, its error, and what ran until then", () => {
  test.each([
    [
      "an exception",
      "\nthrow new RangeError('bad k')",
      /cell 2 failed\nRangeError: bad k\n {4}at cell\[2\], line 2/,
      "RangeError",
    ],
    [
      "a wrong type",
      "const s: string = first;",
      /line 1:7 - Type 'number' is not assignable to type 'string'/,
      "TypeScriptError",
    ],
    ["process.exit(0)", "process.exit(0)", /cell 2 failed\nEngineDied: .*exit code 0/, "EngineDied"],
    [
      "an endless loop",
      "while (true) {}",
      /cell 2 failed\nInterrupted: the cell ran longer than its limit of 10 s/,
      "Interrupted",
    ],
  ])("%s", (name, code, message, ename) => {
    // Long enough for the first cell on a machine that is busy otherwise.
    const { status, stderr, executed } = run(
      notebook(name.replace(/\W+/g, "-"), "const first = 1; first", code, "'never'"),
      "--timeout",
      "10",
    );
    expect(status).toBe(1);
    expect(stderr).toMatch(message);
    expect(executed.cells[0].outputs[0].data["text/plain"]).toEqual(["1"]);
    expect(executed.cells[1].outputs.at(-1)).toMatchObject({ output_type: "error", ename });
    expect(executed.cells[2]).toMatchObject({ execution_count: null, outputs: [] });
  });
});

describe("parameters", () => {
  test("are injected behind the cell tagged parameters, once", () => {
    const file = notebook("parametric", { code: "let steps = 20; let name = 'a';", tags: ["parameters"] }, "[steps, name]");
    const { executed } = run(file, "-p", "steps=5", "-p", "name=a red circle");
    expect(executed.cells[1]).toMatchObject({
      metadata: { tags: ["injected-parameters"] },
      source: ["// Parameters of this run\n", "let steps = 5;\n", 'let name = "a red circle";'],
    });
    expect(executed.cells[2].outputs[0].data["text/plain"]).toEqual(["[ 5, 'a red circle' ]"]);
  });

  test("must be declared by a cell tagged parameters, or nothing runs", () => {
    const file = notebook("misspelt", { code: "let steps = 20;", tags: ["parameters"] }, "steps");
    const misspelt = run(file, "-p", "step=5");
    expect(misspelt).toMatchObject({ status: 2, executed: undefined });
    expect(misspelt.stderr).toContain(
      'expected parameters that the cell tagged "parameters" declares, got "step"; the cell is\nlet steps = 20;',
    );
    const untagged = run(notebook("untagged", "let steps = 20;"), "-p", "steps=5");
    expect(untagged).toMatchObject({ status: 2, executed: undefined });
    expect(untagged.stderr).toContain('expected a cell tagged "parameters" that declares steps, got none');
  });

  test("are JSON where they parse as JSON, else text, and need the name of a variable", () => {
    expect(parseParameter("a=1e3")).toEqual(["a", 1000]);
    expect(parseParameter("a=[true,null]")).toEqual(["a", [true, null]]);
    expect(parseParameter("a=x=y")).toEqual(["a", "x=y"]);
    for (const wrong of ["a", "=1", "a b=1", "class=1", "a;b=1"]) expect(() => parseParameter(wrong)).toThrow(RangeError);
  });
});

test("a run refuses to overwrite the notebook it runs", () => {
  const file = notebook("own", "1");
  const { status, stderr } = spawnSync(process.execPath, [CLI, "run", file, "--output", folder], { encoding: "utf8" });
  expect(status).toBe(2);
  expect(stderr).toContain("would be overwritten by its own run");
});

test("a folder that cannot be written to is found out before anything runs", () => {
  const file = notebook("nowhere", "console.log('ran')");
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, "run", file, "--output", file], { encoding: "utf8" });
  expect(status).toBe(2);
  expect(stderr).toContain(`cannot write to ${file}`);
  expect(stdout).not.toContain("ran");
});

test("Ctrl-C stops the run, leaves no file behind and exits with 130", async () => {
  const file = notebook("interrupted", "console.log('started'); await new Promise(() => {});");
  const target = path.join(folder, "interrupted-out");
  // A terminal sends the signal to every process of its group.
  const child = spawn(process.execPath, [CLI, "run", file, "--output", target], {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  await new Promise<void>((resolve) => child.stdout.on("data", (chunk) => String(chunk).includes("started") && resolve()));
  const exited = new Promise((resolve) => child.once("exit", resolve));
  process.kill(-child.pid!, "SIGINT");
  expect(await exited).toBe(130);
  expect(readdirSync(target)).toEqual([]);
});
