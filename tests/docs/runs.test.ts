import { appendFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { formatNotebook } from "../../kernel/notebook-format.js";
import { Runs } from "../../scripts/docs/runs.js";
import { writeNotebook } from "../kernel/notebooks.js";
import { temporaryFolder } from "../temporary-folder.js";

/** A clone with nothing in it but the compiled kernel. */
function emptyClone(): string {
  const root = temporaryFolder();
  for (const folder of ["lib", "kernel", "models", "notebooks", "out"]) mkdirSync(path.join(root, folder));
  symlinkSync(fileURLToPath(new URL("../../dist", import.meta.url)), path.join(root, "dist"), "dir");
  return root;
}

describe("notebooks of the gallery", () => {
  const root = emptyClone();
  const notebooks = path.join(root, "notebooks");
  const ran = path.join(root, "ran.txt");
  const counting = `import { appendFileSync } from "node:fs"; appendFileSync(${JSON.stringify(ran)}, "x");`;

  test("run once, and again when they, their parameters or the library change", async () => {
    writeNotebook(notebooks, "a", "let n = 1;", counting, "n");
    const shown = async (parameters = {}): Promise<string> => {
      const { notebook, small } = await new Runs(root).notebook("a", parameters);
      const last = notebook.cells.at(-1)!;
      const output = last.cell_type === "code" ? last.outputs[0] : undefined;
      return `${output && "data" in output ? output.data["text/plain"] : ""} ${small} ${readFileSync(ran, "utf8").length}`;
    };
    expect(await shown()).toBe("1 false 1");
    expect(await shown()).toBe("1 false 1");
    expect(await shown({ n: 2 })).toBe("2 true 2");
    writeFileSync(path.join(root, "lib", "changed.ts"), "");
    expect(await shown({ n: 2 })).toBe("2 true 3");
    expect(await shown({ n: 2 })).toBe("2 true 3");
    expect(readdirSync(path.join(root, ".cache", "docs"))).toHaveLength(1);
  });

  test("that fail do so every time, with what the cell threw", async () => {
    writeNotebook(notebooks, "broken", "throw new Error('no picture today')");
    for (let i = 0; i < 2; i++) await expect(new Runs(root).notebook("broken", {})).rejects.toThrow("no picture today");
  });

  test("are those of out/ where they came through", async () => {
    writeNotebook(notebooks, "full", counting, "'here'");
    const runs = new Runs(root);
    const { notebook, page } = await runs.notebook("full", {});
    const before = readFileSync(ran, "utf8").length;
    const leave = (status: string): void => {
      notebook.metadata.tweedie = { run: { status } };
      writeFileSync(path.join(root, "out", "full.ipynb"), formatNotebook(notebook));
      writeFileSync(path.join(root, "out", "full.html"), readFileSync(page));
    };
    leave("ok");
    expect((await runs.notebook("full", {})).page).toBe(path.join(root, "out", "full.html"));
    leave("interrupted");
    expect((await runs.notebook("full", {})).page).toBe(page);
    expect(readFileSync(ran, "utf8")).toHaveLength(before);
  });
});

describe("examples of pages", () => {
  const root = emptyClone();
  const run = (name: string, fence: string, code: string) => {
    const markdown = `# ${name}\n\n\`\`\`${fence}\n${code}\n\`\`\`\n`;
    return new Runs(root).examples([{ name, title: name, markdown }]).get(name);
  };

  test("fail with their stack, shown or not", async () => {
    for (const fence of ["ts", "ts show"])
      await expect(run("how-to/x", fence, "throw new Error('no')")).rejects.toThrow(
        /^an example of docs\/how-to\/x\.md failed: Error: no/,
      );
    expect(run("how-to/x", "ts no-run no GPU", "throw new Error('no')")).toBeUndefined();
  });

  test("must display something where the page shows it", async () => {
    await expect(run("y", "ts show", "const a = 1;")).rejects.toThrow("docs/y.md:3: expected the example to display something");
    expect(await run("y", "ts", "const a = 1;")).toEqual([]);
  });

  test("run once while the page is as it was", async () => {
    const ran = path.join(root, "ran.txt");
    appendFileSync(ran, "");
    const code = `import { appendFileSync } from "node:fs";\nappendFileSync(${JSON.stringify(ran)}, "x");\n1 + 1`;
    for (let i = 0; i < 2; i++) expect(await run("z", "ts show", code)).toMatchObject([[2, { "text/plain": "2" }]]);
    expect(readFileSync(ran, "utf8")).toBe("x");
  });
});
