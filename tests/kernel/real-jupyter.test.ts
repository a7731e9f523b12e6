import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { CLI, temporaryFolder } from "./compiled.js";
import { PYTHON, pythonHas } from "./python.js";

const available = pythonHas("nbclient", "nbconvert");
if (!available) console.warn("real Jupyter is not tested: install python3-nbclient and python3-nbconvert for it");

describe.skipIf(!available)("driven by Jupyter's own programs", () => {
  const folder = temporaryFolder();
  const jupyter = {
    ...process.env,
    JUPYTER_PATH: path.join(folder, "share", "jupyter"),
    JUPYTER_DATA_DIR: path.join(folder, "data"),
    HOME: folder,
  };

  beforeAll(() => {
    expect(spawnSync(process.execPath, [CLI, "install", "--prefix", folder]).status).toBe(0);
  });

  function notebook(name: string, ...sources: string[]): string {
    const cells = sources.map((source, index) => ({
      cell_type: "code",
      id: `c${index}`,
      metadata: {},
      execution_count: null,
      outputs: [],
      source,
    }));
    const metadata = { kernelspec: { name: "tweedie", display_name: "TypeScript", language: "typescript" } };
    const file = path.join(folder, `${name}.ipynb`);
    writeFileSync(file, JSON.stringify({ cells, metadata, nbformat: 4, nbformat_minor: 5 }));
    return file;
  }

  function nbconvert(...args: string[]) {
    return spawnSync(
      PYTHON,
      ["-m", "nbconvert", "--ExecutePreprocessor.startup_timeout=300", "--ExecutePreprocessor.timeout=300", ...args],
      {
        encoding: "utf8",
        cwd: folder,
        env: jupyter,
      },
    );
  }

  test("nbconvert executes a notebook with results, streams, displays and counts", () => {
    const file = notebook(
      "good",
      "const a: number = 20;\nconsole.log('printed');\na + 1",
      "await Promise.resolve([a])",
      "({ [Symbol.for('Jupyter.display')]: () => ({ 'text/html': '<b>shown</b>', 'text/plain': 'shown' }) })",
    );
    const { status, stderr } = nbconvert("--to", "notebook", "--execute", "--inplace", file);
    expect(stderr).not.toContain("Traceback");
    expect(status).toBe(0);
    const { cells, metadata } = JSON.parse(readFileSync(file, "utf8"));
    expect(cells.map((cell: { execution_count: number }) => cell.execution_count)).toEqual([1, 2, 3]);
    expect(cells[0].outputs).toMatchObject([
      { output_type: "stream", name: "stdout", text: ["printed\n"] },
      { output_type: "execute_result", execution_count: 1, data: { "text/plain": ["21"] } },
    ]);
    expect(cells[1].outputs[0].data["text/plain"]).toEqual(["[ 20 ]"]);
    expect(cells[2].outputs[0].data["text/html"]).toEqual(["<b>shown</b>"]);
    expect(metadata.language_info.name).toBe("typescript");
  });

  test("nbclient reports a failing cell with its error", () => {
    const { status, stderr } = nbconvert(
      "--to",
      "notebook",
      "--execute",
      "--stdout",
      notebook("bad", "const k = 0;", "\nthrow new RangeError('bad k ' + k)"),
    );
    expect(status).not.toBe(0);
    expect(stderr).toContain("RangeError: bad k 0");
    expect(stderr).toContain("at cell[2], line 2");
  });

  test("nbclient's time limit interrupts a synchronous loop, and the kernel goes on", () => {
    const script = `
import sys, nbformat
from nbclient import NotebookClient
nb = nbformat.read(sys.argv[1], as_version=4)
client = NotebookClient(nb, timeout=3, interrupt_on_timeout=True, startup_timeout=300, kernel_name="tweedie", allow_errors=True)
client.execute()
print([c.outputs[-1].get("ename") or c.outputs[-1]["data"]["text/plain"] for c in nb.cells])
`;
    const file = notebook("loop", "const kept = 7; kept", "await null; while (true) {}", "kept");
    const { stdout, stderr } = spawnSync(PYTHON, ["-c", script, file], { encoding: "utf8", cwd: folder, env: jupyter });
    expect(stdout, stderr).toContain("['7', 'Interrupted', '7']");
  });
});
