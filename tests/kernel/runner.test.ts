import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { readParameterFile } from "../../kernel/parameter-file.js";
import { CLI, temporaryFolder } from "./compiled.js";
import { type CellSource, writeNotebook } from "./notebooks.js";
import { nbformatVerdict, pythonHas } from "./python.js";

const folder = temporaryFolder();
const out = path.join(folder, "out");

const notebook = (name: string, ...cells: CellSource[]): string => writeNotebook(folder, name, ...cells);

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

describe("a cell that fails ends the run with its error and what ran until then", () => {
  test.each([
    [
      "an exception",
      "\nthrow new RangeError('bad k')",
      /cell 2 failed\nRangeError: bad k\n {4}at cell\[2\], line 2/,
      "RangeError",
      1,
    ],
    [
      "a wrong type",
      "const s: string = first;",
      /line 1:7 - Type 'number' is not assignable to type 'string'/,
      "TypeScriptError",
      1,
    ],
    ["process.exit(0)", "process.exit(0)", /cell 2 failed\nEngineDied: .*exit code 0/, "EngineDied", 1],
    [
      "an endless loop",
      "while (true) {}",
      /cell 2 reached its time limit\nInterrupted: the cell ran longer than its limit of 10 s/,
      "Interrupted",
      3,
    ],
  ])("%s", (name, code, message, ename, exitCode) => {
    // Long enough for the first cell on a machine that is busy otherwise.
    const { status, stderr, executed } = run(
      notebook(name.replace(/\W+/g, "-"), "const first = 1; first", code, "'never'"),
      "--timeout",
      "10",
    );
    expect(status).toBe(exitCode);
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

  test("are those of the first cell of let declarations where no cell is tagged", () => {
    const { executed } = run(notebook("untagged", "const a = 1;", "let steps = 20;", "steps + a"), "-p", "steps=5");
    expect(executed.cells[2].source).toEqual(["// Parameters of this run\n", "let steps = 5;"]);
    expect(executed.cells[3].outputs[0].data["text/plain"]).toEqual(["6"]);
  });

  test("that a notebook does not declare, or of another kind, are found out before anything runs", () => {
    const file = notebook("misspelt", { code: "let steps = 20; let name = 'a';", tags: ["parameters"] }, "steps");
    for (const [assignment, message] of [
      ["step=5", 'expected one of steps, name, got "step"'],
      ["steps=many", "expected steps to be a number, as its default is, got many"],
      ["steps", 'expected name=value, got "steps"'],
    ]) {
      const { status, stderr, executed } = run(file, "-p", assignment!);
      expect({ status, stderr, executed }).toEqual({ status: 2, stderr: expect.stringContaining(message!), executed: undefined });
    }
    const without = run(notebook("without", "const steps = 20;"), "-p", "steps=5");
    expect(without).toMatchObject({ status: 2, executed: undefined });
    expect(without.stderr).toContain("expected a cell that declares steps, got none");
  });

  test("come from a file too, and -p wins over it", () => {
    const file = notebook("filed", { code: "let steps = 20; let name = 'a';", tags: ["parameters"] }, "[steps, name]");
    const values = path.join(folder, "values.json");
    writeFileSync(values, '{ "steps": 7, "name": "b" }');
    expect(run(file, "-f", values, "-p", "name=c").executed.cells[2].outputs[0].data["text/plain"]).toEqual(["[ 7, 'c' ]"]);
    writeFileSync(values, '{ "steps": "7" }');
    expect(run(file, "-f", values).stderr).toContain('expected steps to be a number, as its default is, got "7"');
  });

  test("come from YAML: numbers, text, lists and objects", () => {
    const file = notebook(
      "yaml",
      "let steps = 20; let names = ['a']; let sizes = {}; let on = false;",
      "[steps, names, sizes, on]",
    );
    const values = path.join(folder, "values.yaml");
    writeFileSync(values, "# of the paper\nsteps: 7\nnames: [b, 'c: d']\nsizes:\n  width: 64\non: true\n");
    expect(run(file, "-f", values).executed.cells[2].outputs[0].data["text/plain"]).toEqual([
      "[ 7, [ 'b', 'c: d' ], { width: 64 }, true ]",
    ]);
    for (const [text, message] of [
      ["steps: [1", `cannot read ${values} as YAML: Flow sequence`],
      ["steps: 1\nsteps: 2", "Map keys must be unique at line 2, column 1"],
      ["steps: .nan", "expected finite numbers, got NaN for steps"],
      ["- steps", `expected names and values in ${values}, for instance steps: 50, got ["steps"]`],
      ["", "got null"],
    ]) {
      writeFileSync(values, text!);
      expect(() => readParameterFile(values)).toThrow(message);
    }
    const { status, stderr } = run(file, "-f", "missing.yaml");
    expect(status).toBe(2);
    expect(stderr).toContain("cannot read missing.yaml as YAML: no such file or directory");
  });

  test("are listed by --help-notebook, with their defaults and comments, and nothing runs", () => {
    const file = notebook("listed", { code: "let steps = 20; // sampler steps\nlet name = 'a';", tags: ["parameters"] }, "steps");
    const { status, stdout, executed } = run(file, "--help-notebook");
    expect({ status, executed }).toEqual({ status: 0, executed: undefined });
    expect(stdout).toMatch(/-p steps=20 +number: sampler steps\n +-p name='a' +text/);
    const listed = notebook("lists", { code: 'let prompts = [\n  "a star",\n  "a ring",\n];', tags: ["parameters"] }, "prompts");
    const [, written] = /-p '(prompts=.*)'/.exec(run(listed, "--help-notebook").stdout)!;
    expect(written).toBe('prompts=["a star", "a ring"]');
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
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, "run", file, "--output", path.join(file, "below")], {
    encoding: "utf8",
  });
  expect(status).toBe(2);
  expect(stderr).toContain(`cannot write to ${path.join(file, "below")}`);
  expect(stdout).not.toContain("ran");
});

test("Ctrl-C keeps what has ended, writes the running notebook as far as it came, starts no other and exits with 130", async () => {
  const files = [
    notebook("done", "'done'"),
    notebook("interrupted", "const before = 1; before", "console.log('started'); await new Promise(() => {});", "'never'"),
    notebook("waiting", "'never'"),
  ];
  const target = path.join(folder, "interrupted-out");
  // A terminal sends the signal to every process of its group.
  const child = spawn(process.execPath, [CLI, "run", ...files, "--output", target, "--junit", path.join(folder, "i.xml")], {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let stdout = "";
  await new Promise<void>((resolve) =>
    child.stdout.on("data", (chunk) => {
      stdout += String(chunk);
      if (stdout.includes("      started")) resolve();
    }),
  );
  const exited = new Promise((resolve) => child.once("close", resolve));
  process.kill(-child.pid!, "SIGINT");
  expect(await exited).toBe(130);
  const written = (name: string) => JSON.parse(readFileSync(path.join(target, `${name}.ipynb`), "utf8"));
  expect(written("done").cells[0].outputs[0].data["text/plain"]).toEqual(["'done'"]);
  const [before, running, never] = written("interrupted").cells;
  expect(before.outputs[0].data["text/plain"]).toEqual(["1"]);
  expect(running.outputs.at(-1)).toMatchObject({ output_type: "error", ename: "Interrupted", evalue: "the run was interrupted" });
  expect(never).toMatchObject({ execution_count: null, outputs: [] });
  expect(existsSync(path.join(target, "waiting.ipynb"))).toBe(false);
  expect(stdout).toMatch(/done\.ipynb +ok .*\n.*interrupted\.ipynb +interrupted +2\/3 .*\n.*waiting\.ipynb +waiting/);
  expect(readFileSync(path.join(folder, "i.xml"), "utf8")).toContain('<skipped message="waiting"/>');
});
