import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

/** The system's Python, for which Debian packages Jupyter. */
export const PYTHON = "/usr/bin/python3";

/** Whether the system's Python can import all of these modules. */
export function pythonHas(...modules: string[]): boolean {
  return existsSync(PYTHON) && spawnSync(PYTHON, ["-c", `import ${modules.join(", ")}`]).status === 0;
}

/** What nbformat itself says about a notebook file: `valid`, or its complaint. */
export function nbformatVerdict(file: string): string {
  const script =
    "import sys, nbformat; nbformat.validate(nbformat.read(sys.argv[1], as_version=nbformat.NO_CONVERT)); print('valid')";
  const { stdout, stderr } = spawnSync(PYTHON, ["-c", script, file], { encoding: "utf8" });
  return `${stdout}${stderr}`.trim();
}
