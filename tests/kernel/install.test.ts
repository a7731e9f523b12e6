import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { CLI, temporaryFolder } from "./compiled.js";

const folder = temporaryFolder();

function tweedie(args: string[], env: Record<string, string | undefined> = {}) {
  return spawnSync(process.execPath, [CLI, ...args], { encoding: "utf8", env: { ...process.env, ...env } });
}

test("install writes a kernelspec with absolute paths, again changes nothing, uninstall takes it away", () => {
  const kernels = path.join(folder, "share", "jupyter", "kernels");
  for (const _ of [1, 2]) {
    // With nothing on the path no Python can be asked.
    expect(tweedie(["install", "--prefix", folder], { PATH: "" }).status).toBe(0);
    expect(readdirSync(kernels)).toEqual(["tweedie"]);
  }
  const spec = JSON.parse(readFileSync(path.join(kernels, "tweedie", "kernel.json"), "utf8"));
  expect(spec).toMatchObject({
    language: "typescript",
    interrupt_mode: "signal",
    argv: [process.execPath, CLI, "kernel", "{connection_file}"],
  });
  expect(readdirSync(path.join(kernels, "tweedie"))).toContain("logo-svg.svg");
  expect(tweedie(["uninstall", "--prefix", folder]).stdout).toContain("removed");
  expect(existsSync(path.join(kernels, "tweedie"))).toBe(false);
  expect(tweedie(["uninstall", "--prefix", folder]).stdout).toContain("nothing to remove");
});

test("the user's and the Python environment's folders are honoured", () => {
  const data = path.join(folder, "data");
  expect(tweedie(["install"], { JUPYTER_DATA_DIR: data }).status).toBe(0);
  expect(existsSync(path.join(data, "kernels", "tweedie", "kernel.json"))).toBe(true);
  const env = path.join(folder, "venv");
  expect(tweedie(["install", "--sys-prefix"], { VIRTUAL_ENV: env }).status).toBe(0);
  expect(existsSync(path.join(env, "share", "jupyter", "kernels", "tweedie", "kernel.json"))).toBe(true);
  const { status, stderr } = tweedie(["install", "--sys-prefix"], { VIRTUAL_ENV: undefined, CONDA_PREFIX: undefined });
  expect(status).toBe(2);
  expect(stderr).toContain("expected an active Python environment");
});

test("help teaches, and wrong use says what is wrong", () => {
  expect(tweedie(["--help"]).stdout).toContain("tweedie run notebooks/01-look-inside.ipynb --html");
  expect(tweedie(["run", "--help"]).stdout).toContain("--timeout <seconds>");
  for (const [args, message] of [
    [["fly"], 'unknown command "fly"'],
    [["run"], "expected a notebook"],
    [["run", "--fast", "x.ipynb"], "--fast"],
    [["run", "missing.ipynb"], "cannot read missing.ipynb"],
    [["run", "package.json"], "package.json: expected a notebook with a list of cells"],
    [["run", "README.md"], "README.md: expected a notebook, got text that is not JSON"],
    [["run", "x.ipynb", "-t", "soon"], "expected --timeout in seconds, got soon"],
    [["run", "x.ipynb", "-p", "2x=1"], "expected name=value"],
  ] as const) {
    const { status, stderr } = tweedie([...args]);
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining(message) });
    expect(stderr).not.toContain("    at ");
  }
});

test("doctor looks at what tweedie stands on", () => {
  const { stdout } = tweedie(["doctor"]);
  for (const line of [/✓ Node\.js/, /✓ cell compiler +TypeScript 5\.9/, /✓ Jupyter sockets/, /✓ ONNX Runtime/, /✓ figures/])
    expect(stdout).toMatch(line);
});
