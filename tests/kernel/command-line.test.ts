import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { didYouMean, helpOf } from "../../kernel/command-line.js";
import { commands } from "../../kernel/commands/index.js";
import { PACKAGE_ROOT } from "../../kernel/package-root.js";
import { CLI, temporaryFolder } from "./compiled.js";
import { writeNotebook } from "./notebooks.js";

const folder = temporaryFolder();

function tweedie(...args: string[]) {
  return spawnSync(process.execPath, [CLI, ...args], { encoding: "utf8", cwd: folder });
}

test("help begins with what one does first, and lists every command", () => {
  const { stdout, status } = tweedie("--help");
  expect(status).toBe(0);
  const [, notebook] = /tweedie run (\S+) --html[\s\S]*Usage:/.exec(stdout)!;
  expect(existsSync(path.resolve(folder, notebook!))).toBe(true);
  for (const { name, summary } of commands) expect(stdout).toMatch(new RegExp(`^ {2}${name} +${summary}`, "m"));
  for (const same of [
    ["run", "--help"],
    ["help", "run"],
    ["run", "x.ipynb", "-h"],
  ])
    expect(tweedie(...same).stdout).toBe(helpOf(commands.find(({ name }) => name === "run")!));
});

describe.each(commands)("help of $name", (command) => {
  const help = helpOf(command);

  test("shows examples first, every option, and fits a terminal", () => {
    expect(help.indexOf("Examples")).toBeLessThan(help.indexOf("Usage:"));
    for (const option of Object.keys(command.options)) expect(help).toContain(`--${option}`);
    for (const line of help.split("\n")) expect(line.length).toBeLessThanOrEqual(110);
  });

  test("has only options in its examples that there are", () => {
    for (const [example] of command.examples)
      for (const part of example.split(/&&|>>/).filter((text) => text.includes(`tweedie ${command.name}`)))
        for (const [, option] of part.matchAll(/ --([\w-]+)/g)) expect(Object.keys(command.options)).toContain(option);
  });
});

test("the commands and options of the README and of the documentation are there", () => {
  const pages = readdirSync(path.join(PACKAGE_ROOT, "docs"), { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".md"),
  );
  const texts = ["README.md", ...pages.map((page) => path.join("docs", page))].map((file) =>
    readFileSync(path.join(PACKAGE_ROOT, file), "utf8"),
  );
  const used = texts.flatMap((text) => [...text.matchAll(/npx tweedie ([a-z]+)([^\n`)#;&]*)/g)]);
  expect(used.length).toBeGreaterThan(20);
  for (const [line, name, rest] of used) {
    const options = Object.keys(commands.find((command) => command.name === name)?.options ?? {});
    for (const [, option] of rest!.matchAll(/ --([\w-]+)/g))
      expect({ line, options }).toMatchObject({ options: expect.arrayContaining([option]) });
    expect({ line, known: commands.some((command) => command.name === name) }).toEqual({ line, known: true });
  }
});

test("wrong use says what is wrong, what is expected and what was probably meant", () => {
  writeFileSync(path.join(folder, "text.ipynb"), "# not JSON");
  writeFileSync(path.join(folder, "other.ipynb"), "{}");
  writeNotebook(folder, "empty");
  mkdirSync(path.join(folder, "empty"));
  for (const [args, message] of [
    [["fly"], "there is no command fly; tweedie --help lists them"],
    [["rnu"], "there is no command rnu; did you mean run?"],
    [["help", "exprot"], "did you mean export?"],
    [["run"], "expected a notebook"],
    [["run", "--htlm", "x.ipynb"], "there is no option --htlm; did you mean --html?; tweedie run --help lists them"],
    [["run", "x.ipynb", "--html=yes"], "--html takes no value"],
    [["run", "x.ipynb", "--timeout"], "expected --timeout <seconds>"],
    [["run", "missing.ipynb"], "cannot read missing.ipynb: no such file or directory\n"],
    [["run", "other.ipynb"], "other.ipynb: expected a notebook with a list of cells"],
    [["run", "text.ipynb"], "text.ipynb: expected a notebook, got text that is not JSON"],
    [["run", "x.ipynb", "-t", "soon"], "expected --timeout in seconds, got soon"],
    [["run", "x.ipynb", "--jobs", "1.5"], "expected --jobs to be a whole number of notebooks, got 1.5"],
    [["run", "empty"], "expected notebooks, got empty, where there is none"],
    [["run", "nothing-*.ipynb"], "expected notebooks, got nothing-*.ipynb, where there is none"],
    [["export", "x.ipynb", "--to", "sldes"], "expected --to html, slides, site, markdown, got sldes; did you mean slides?"],
    [["export", "x.ipynb", "--no-code", "--fold-code"], "expected one of --no-code and --fold-code"],
    [["new", "reserch"], "expected research, teaching, quick-check, got reserch; did you mean research?"],
    [["check", "x.ipynb", "--no-types"], "expected --cleared or --rerun beside --no-types"],
    [["check", "x.ipynb", "--fix"], "expected --fix together with --cleared"],
    [["install", "--user", "--sys-prefix"], "expected one of --user, --prefix and --sys-prefix"],
    [["completion", "fish"], "expected bash or zsh, got fish"],
    [["completion", "bash", "zsh"], "expected no more than <bash|zsh>, got bash zsh"],
    [["new", "research", "a", "b"], "expected no more than <research|teaching|quick-check> [folder or .ipynb], got research a b"],
    [["new", "research", ""], "expected a folder or a notebook's name, got an empty one"],
    [["new", "research", "text.ipynb/below"], "cannot mkdir text.ipynb/below: not a directory"],
    [["doctor", "cuda"], "doctor: expected options only, got cuda"],
    [["install", "here"], "install: expected options only, got here"],
    [
      ["run", "empty.ipynb", "--junit", "text.ipynb/report.xml"],
      "cannot write to text.ipynb: file already exists; choose another place with --junit",
    ],
  ] as const) {
    const { status, stderr } = tweedie(...args);
    expect({ args, status, stderr }).toEqual({ args, status: 2, stderr: expect.stringContaining(message) });
    expect(stderr).not.toContain("    at ");
  }
});

test("near spellings: one letter wrong, missing, too many, swapped; nothing for what is far away", () => {
  const known = ["run", "export", "uninstall"];
  for (const word of ["exprot", "exort", "exxport", "ezport", "exp"])
    expect(didYouMean(word, known)).toBe("; did you mean export?");
  expect(didYouMean("instal", ["install", "uninstall"])).toBe("; did you mean install?");
  for (const word of ["fly", "x", "checkpoint"]) expect(didYouMean(word, known)).toBe("");
});

describe("completion in bash", () => {
  const script = path.join(folder, "completion.bash");
  mkdirSync(path.join(folder, "notebooks"));
  for (const file of ["a study.ipynb", "notes.txt"]) writeFileSync(path.join(folder, "notebooks", file), "");

  /** What bash offers for the last of the words. */
  function offered(...words: string[]): string[] {
    writeFileSync(script, tweedie("completion", "bash").stdout);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is bash's
    const run = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tweedie; printf "%s\\n" "${COMPREPLY[@]}"';
    const args = ["--norc", "-c", `set -u; ${run}`, "bash", script, "tweedie", ...words];
    return execFileSync("bash", args, { encoding: "utf8", cwd: folder }).split("\n").filter(Boolean);
  }

  test.each([
    [["ru"], ["run"]],
    [["help", "un"], ["uninstall"]],
    [["run", "--kern"], ["--kernel-log"]],
    [["run", "--n"], ["--notebook-timeout"]],
    [
      ["export", "--to", "s"],
      ["slides", "site"],
    ],
    [
      ["export", "--theme", ""],
      ["auto", "light", "dark"],
    ],
    [["new", "te"], ["teaching"]],
    [["new", "teaching", "note"], ["notebooks"]],
    [
      ["completion", ""],
      ["bash", "zsh"],
    ],
    [["run", "notebooks/"], ["notebooks/a study.ipynb"]],
    [["run", "-f", "notebooks/n"], ["notebooks/notes.txt"]],
    [["install", "--prefix", "note"], ["notebooks"]],
    [["run", "--timeout", ""], []],
  ])("tweedie %j", (words, expected) => {
    expect(offered(...words)).toEqual(expected);
  });

  test("comes with the command where only npx has it", () => {
    const bin = path.join(folder, "bin");
    mkdirSync(bin);
    writeFileSync(path.join(bin, "npx"), '#!/bin/sh\necho "npx $*"', { mode: 0o755 });
    const said = (PATH: string): string =>
      execFileSync("bash", ["--norc", "-c", 'source "$1"; tweedie run "a b"', "bash", script], {
        encoding: "utf8",
        env: { PATH },
      });
    writeFileSync(script, tweedie("completion", "bash").stdout);
    expect(said(`${bin}:/usr/bin:/bin`)).toBe("npx tweedie run a b\n");
    writeFileSync(path.join(bin, "tweedie"), '#!/bin/sh\necho "itself $*"', { mode: 0o755 });
    expect(said(`${bin}:/usr/bin:/bin`)).toBe("itself run a b\n");
  });

  test("is registered for the command", () => {
    const registered = execFileSync("bash", ["--norc", "-c", 'source "$1"; complete -p tweedie', "bash", script], {
      encoding: "utf8",
    });
    expect(registered).toContain("-F _tweedie tweedie");
  });
});

test.skipIf(spawnSync("zsh", ["--version"]).status !== 0)("the script for zsh is one (skipped without zsh)", () => {
  const script = path.join(folder, "completion.zsh");
  writeFileSync(script, tweedie("completion", "zsh").stdout);
  const { stdout, stderr } = spawnSync("zsh", ["-f", "-c", `source ${script}; print $_comps[tweedie]`], { encoding: "utf8" });
  expect({ stdout, stderr }).toEqual({ stdout: expect.stringContaining("_tweedie"), stderr: "" });
});
