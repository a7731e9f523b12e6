import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { CLI, temporaryFolder } from "./compiled.js";
import { PYTHON, pythonHas } from "./python.js";

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

test("a name and a display name set a kernel beside another one, each taken away by itself", () => {
  const at = ["--prefix", path.join(folder, "named")];
  const kernels = path.join(folder, "named", "share", "jupyter", "kernels");
  tweedie(["install", ...at]);
  tweedie(["install", ...at, "--name", "tweedie-dev", "--display-name", "TypeScript (dev)"]);
  expect(readdirSync(kernels).sort()).toEqual(["tweedie", "tweedie-dev"]);
  const spec = JSON.parse(readFileSync(path.join(kernels, "tweedie-dev", "kernel.json"), "utf8"));
  expect(spec.display_name).toBe("TypeScript (dev)");
  tweedie(["uninstall", ...at, "--name", "tweedie-dev"]);
  expect(readdirSync(kernels)).toEqual(["tweedie"]);
  for (const name of ["../x", "Upper", "a b", ".."]) {
    const { status, stderr } = tweedie(["install", ...at, "--name", name]);
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining("expected a kernel name") });
  }
});

test("uninstall removes what install wrote and nothing else; another kernel of that name is left alone", () => {
  const prefix = path.join(folder, "kept");
  const own = path.join(prefix, "share", "jupyter", "kernels", "tweedie");
  tweedie(["install", "--prefix", prefix]);
  writeFileSync(path.join(own, "notes.txt"), "mine");
  expect(tweedie(["uninstall", "--prefix", prefix]).status).toBe(0);
  expect(readdirSync(own)).toEqual(["notes.txt"]);

  const foreign = path.join(prefix, "share", "jupyter", "kernels", "python3");
  mkdirSync(foreign);
  const spec = JSON.stringify({
    argv: ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    display_name: "Python 3",
  });
  writeFileSync(path.join(foreign, "kernel.json"), spec);
  for (const command of ["install", "uninstall"]) {
    const { status, stderr } = tweedie([command, "--prefix", prefix, "--name", "python3"]);
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining("a kernel that is not tweedie's") });
  }
  expect(readFileSync(path.join(foreign, "kernel.json"), "utf8")).toBe(spec);
});

test.skipIf(!pythonHas("jupyter_client"))("Jupyter itself lists the kernel, with its pictures (skipped without Jupyter)", () => {
  const data = path.join(folder, "listed");
  const env = { JUPYTER_DATA_DIR: data };
  tweedie(["install"], env);
  const { stdout } = spawnSync(PYTHON, ["-m", "jupyter_client.kernelspecapp", "list", "--json"], {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  const { tweedie: listed } = JSON.parse(stdout).kernelspecs;
  expect(listed.resource_dir).toBe(path.join(data, "kernels", "tweedie"));
  expect(listed.spec).toMatchObject({ display_name: "TypeScript (tweedie)", language: "typescript", interrupt_mode: "signal" });
  for (const size of [32, 64]) {
    const png = readFileSync(path.join(listed.resource_dir, `logo-${size}x${size}.png`));
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([size, size]);
  }
  tweedie(["uninstall"], env);
  expect(readdirSync(path.join(data, "kernels"))).toEqual([]);
});

test("doctor looks at what tweedie stands on", () => {
  const { stdout } = tweedie(["doctor"]);
  for (const line of [/✓ Node\.js/, /✓ cell compiler +TypeScript 5\.9/, /✓ Jupyter sockets/, /✓ ONNX Runtime/, /✓ figures/])
    expect(stdout).toMatch(line);
});
