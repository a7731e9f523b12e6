import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";
import { CLI, temporaryFolder } from "./compiled.js";
import { nbformatVerdict, pythonHas } from "./python.js";

const folder = temporaryFolder();

function tweedie(...args: string[]) {
  return spawnSync(process.execPath, [CLI, ...args], { encoding: "utf8", cwd: folder });
}

test("a folder gets the notebook and a tsconfig.json that TypeScript takes, and a package.json if asked", () => {
  expect(tweedie("new", "research", "My study").status).toBe(0);
  expect(readdirSync(path.join(folder, "My study")).sort()).toEqual(["research.ipynb", "tsconfig.json"]);
  const config = ts.readConfigFile(path.join(folder, "My study", "tsconfig.json"), ts.sys.readFile);
  const { options, errors } = ts.convertCompilerOptionsFromJson(config.config.compilerOptions, folder);
  expect({ errors, strict: options.strict }).toEqual({ errors: [], strict: true });

  expect(tweedie("new", "teaching", "My study", "--package").stdout).toContain(path.join("My study", "package.json"));
  const manifest = JSON.parse(readFileSync(path.join(folder, "My study", "package.json"), "utf8"));
  expect(manifest).toMatchObject({ name: "my-study", private: true, dependencies: { tweedie: expect.stringMatching(/^\^\d/) } });
});

test("a name that ends in .ipynb is the notebook alone, and nothing is overwritten", () => {
  expect(tweedie("new", "quick-check", "alone/check.ipynb").status).toBe(0);
  expect(readdirSync(path.join(folder, "alone"))).toEqual(["check.ipynb"]);
  const { status, stderr } = tweedie("new", "quick-check", "alone/check.ipynb");
  expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining("is there already") });

  mkdirSync(path.join(folder, "kept"));
  writeFileSync(path.join(folder, "kept", "tsconfig.json"), "{}");
  expect(tweedie("new", "quick-check", "kept").stdout).not.toContain("tsconfig.json");
  expect(readFileSync(path.join(folder, "kept", "tsconfig.json"), "utf8")).toBe("{}");
});

test.each([
  ["research", ["scenes=16"], /AUROC|held-out/],
  ["teaching", ["steps=3"], /silent/],
  ["quick-check", ["steps=3"], /same seed, same picture/],
])("the %s template runs as it is on the embedded model", (template, parameters, shown) => {
  const target = path.join(folder, template);
  tweedie("new", template, target);
  const less = parameters.flatMap((text) => ["-p", text]);
  const ran = tweedie("run", path.join(target, `${template}.ipynb`), "-q", "-o", path.join(target, "out"), ...less);
  expect({ status: ran.status, stderr: ran.stderr }).toEqual({ status: 0, stderr: "" });
  const file = path.join(target, "out", `${template}.ipynb`);
  expect(readFileSync(file, "utf8")).toMatch(shown);
  if (pythonHas("nbformat")) expect(nbformatVerdict(file)).toBe("valid");
  expect(existsSync(path.join(target, "out", `${template}.html`))).toBe(false);
});
