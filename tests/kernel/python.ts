import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

/** The system's Python, for which Debian packages Jupyter. */
export const PYTHON = "/usr/bin/python3";

/** Whether the system's Python can import all of these modules. */
export function pythonHas(...modules: string[]): boolean {
  return existsSync(PYTHON) && spawnSync(PYTHON, ["-c", `import ${modules.join(", ")}`]).status === 0;
}
