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
client = NotebookClient(nb, timeout=10, interrupt_on_timeout=True, startup_timeout=300, kernel_name="tweedie", allow_errors=True)
client.execute()
print([c.outputs[-1].get("ename") or c.outputs[-1]["data"]["text/plain"] for c in nb.cells])
`;
    const file = notebook("loop", "const kept = 7; kept", "await null; while (true) {}", "kept");
    const { stdout, stderr } = spawnSync(PYTHON, ["-c", script, file], { encoding: "utf8", cwd: folder, env: jupyter });
    expect(stdout, stderr).toContain("['7', 'Interrupted', '7']");
  });

  // Skipped without Debian's jupyter-console.
  test.skipIf(!pythonHas("jupyter_console"))("jupyter console runs, asks, is interrupted with Ctrl-C and goes on", () => {
    const { stdout, stderr } = spawnSync(PYTHON, ["-c", CONSOLE], { encoding: "utf8", cwd: folder, env: jupyter });
    expect(stdout, stderr).toContain("Out[1]: 42");
    expect(stdout).toContain("name? Ada");
    expect(stdout).toContain("'Ada'");
    expect(stdout).toContain("Interrupted: the cell was interrupted");
    expect(stdout).toContain("Out[4]: 'again'");
    expect(stdout).toContain("ended with 0");
  });
});

/** Types into a console on a terminal of its own, waiting for what each line is to bring. */
const CONSOLE = `
import os, pty, re, select, sys, time
child, terminal = pty.fork()
if child == 0:
    os.environ["TERM"] = "dumb"
    os.execv(sys.executable, [sys.executable, "-m", "jupyter_console", "--kernel", "tweedie", "--simple-prompt"])
seen = b""
def wait(pattern):
    global seen
    until = time.time() + 100
    while not re.search(pattern, seen) and time.time() < until:
        if select.select([terminal], [], [], 0.2)[0]:
            try: seen += os.read(terminal, 65536)
            except OSError: break
def type_in(text): os.write(terminal, text)
wait(rb"In \\[1\\]: "); type_in(b"6 * 7\\n")
wait(rb"In \\[2\\]: "); type_in(b"await input('name? ')\\n")
wait(rb"\\nname\\? $"); type_in(b"Ada\\n")
wait(rb"In \\[3\\]: "); type_in(b"console.log('begun'); while (true) {}\\n")
wait(rb"(?s)begun.*begun"); time.sleep(1); type_in(b"\\x03")
wait(rb"Interrupted"); type_in(b"'again'\\n")
wait(rb"Out\\[4\\]"); type_in(b"\\x04")
wait(rb"Do you really want to exit"); type_in(b"y\\n")
status = os.waitpid(child, 0)[1]
print(seen.decode().replace("\\r", ""), "ended with", os.waitstatus_to_exitcode(status))
`;
