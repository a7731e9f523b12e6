import path from "node:path";
import { type Command, command, EXIT, say, UsageError } from "../command-line.js";
import type { Finding } from "../notebook-check.js";
import { findNotebooks } from "../notebook-files.js";
import { formatNotebook, type Notebook, readNotebook, writeFileAtomic } from "../notebook-format.js";

export const check: Command = command({
  name: "check",
  summary: "checks notebooks: types, repeatable outputs, cleared outputs for git",
  operands: "<notebook, folder or glob…>",
  examples: [
    ["tweedie check study.ipynb", "its types, without running it"],
    ["tweedie check notebooks/ --cleared", "and that no outputs are in it"],
    ["tweedie check notebooks/ --cleared --fix", "and takes them out"],
    ["tweedie check study.ipynb --rerun", "runs it twice and says which cells come out differently"],
  ],
  about: `Types are checked cell by cell in order, as the kernel compiles them in that folder. Where a cell has errors, what it
declares is of any type for the cells behind it, so that each mistake is told once.

As a git hook (.git/hooks/pre-commit, executable), for the notebooks of the commit:

  #!/bin/sh
  git diff --cached --name-only --diff-filter=ACM -z -- '*.ipynb' | xargs -0 -r npx tweedie check --cleared

Exit codes: 0 nothing was found (or all of it cleared), 1 something was, 2 wrong use or not a notebook.`,
  options: {
    "no-types": { help: "leave out types" },
    cleared: { help: "expect no outputs and no execution counts" },
    fix: { help: "with --cleared: take them out of the file" },
    rerun: { help: "run twice in fresh processes and compare the outputs, except times" },
    json: { help: "findings as JSON" },
  },
  async run({ values, positionals }) {
    if (positionals.length === 0) throw new UsageError("check: expected a notebook, for instance tweedie check notebooks/");
    if (values.fix && !values.cleared)
      throw new UsageError("check: expected --fix together with --cleared; nothing else can be fixed");
    if (values["no-types"] && !values.cleared && !values.rerun)
      throw new UsageError("check: expected --cleared or --rerun beside --no-types, which alone leaves nothing to check");
    const notebooks = findNotebooks(positionals).map(({ file }) => ({ file, notebook: readNotebook(file) }));
    const { checkCleared, checkRerun, cleared } = await import("../notebook-check.js");
    const types = values["no-types"] ? new Map<string, Finding[]>() : await typesOf(notebooks);
    const results: { file: string; findings: Finding[]; fixed: boolean }[] = [];
    for (const { file, notebook } of notebooks) {
      const findings = [...(types.get(file) ?? [])];
      const full = values.cleared ? checkCleared(notebook) : [];
      const fixed = values.fix && full.length > 0;
      if (fixed) writeFileAtomic(file, formatNotebook(cleared(notebook)));
      else findings.push(...full);
      if (values.rerun) findings.push(...(await checkRerun(notebook, folderOf(file))));
      results.push({ file, findings, fixed });
      if (!values.json) say(describe(file, findings, fixed));
    }
    if (values.json) say(JSON.stringify({ notebooks: results }, null, 2));
    return results.some(({ findings }) => findings.length > 0) ? EXIT.failed : EXIT.ok;
  },
});

interface Read {
  readonly file: string;
  readonly notebook: Notebook;
}

/** Findings by file, one folder after the other. */
async function typesOf(notebooks: readonly Read[]): Promise<Map<string, Finding[]>> {
  const { checkTypes } = await import("../notebook-check.js");
  const found = new Map<string, Finding[]>();
  for (const folder of new Set(notebooks.map(({ file }) => folderOf(file)))) {
    const there = notebooks.filter(({ file }) => folderOf(file) === folder);
    const findings = await checkTypes(
      there.map(({ notebook }) => notebook),
      folder,
    );
    there.forEach(({ file }, index) => {
      found.set(file, findings[index]!);
    });
  }
  return found;
}

function folderOf(file: string): string {
  return path.dirname(path.resolve(file));
}

function describe(file: string, findings: readonly Finding[], fixed: boolean): string {
  const head = `${findings.length > 0 ? "✗" : "✓"} ${file}${fixed ? " (outputs cleared)" : ""}`;
  const lines = findings.flatMap(({ check: kind, cell, line, column, message, excerpt = [] }) => [
    `  ${place(cell, line, column)}${message}${kind === "cleared" ? "; --fix clears it" : ""}`,
    ...excerpt.map((text) => `  ${text}`),
  ]);
  return [head, ...lines].join("\n");
}

function place(cell: number | undefined, line: number | undefined, column: number | undefined): string {
  if (cell === undefined) return "";
  return line === undefined ? `cell ${cell}: ` : `cell ${cell}, line ${line}:${column}: `;
}
