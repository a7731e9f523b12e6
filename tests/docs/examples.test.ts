import { fork } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { commentExamples, compiledModule, examplesOf, moduleOf, typeErrors } from "../../scripts/docs/examples.js";
import { readPages } from "../../scripts/docs/pages.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { home, sections } = readPages(path.join(root, "docs"));
const sources = readdirSync(path.join(root, "lib"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => path.join(root, "lib", file));
const pages = new Map<string, string>([
  ...[home, ...sections.flatMap((section) => section.pages)].map(({ name, markdown }) => [name, markdown] as const),
  ...[...commentExamples(sources)].map(([name, markdown]) => [`comments/${name}`, markdown] as const),
]);
const withExamples = [...pages].filter(([name, markdown]) => examplesOf(markdown, name).length > 0);
const run = withExamples.filter(([name, markdown]) => examplesOf(markdown, name).some((example) => example.notRun === undefined));

describe("examples of the documentation", () => {
  test("are typed as strictly as the library", () => {
    const modules = new Map(withExamples.map(([name, markdown]) => [name, moduleOf(markdown, name, "check")]));
    expect(typeErrors(modules, root)).toEqual([]);
  });

  test("that are wrong are found, at their line", () => {
    const wrong = '# A page\n\n```ts\nimport { load } from "tweedie";\n\nconst pipe = await load(7);\n```\n';
    expect(typeErrors(new Map([["wrong", moduleOf(wrong, "wrong", "check")]]), root)).toEqual([
      "wrong:6: Argument of type 'number' is not assignable to parameter of type 'string'.",
    ]);
  });

  describe("run", () => {
    // Inside the package, where its own name can be imported.
    const folder = path.join(root, ".cache", `examples-${process.pid}`);
    const ended = new Map<string, (outcome: { error?: string; seconds: number }) => void>();
    const outcomes = new Map(
      run.map(([name]) => [
        name,
        new Promise<{ error?: string; seconds: number }>((resolve) => ended.set(name.replaceAll("/", "."), resolve)),
      ]),
    );
    beforeAll(() => {
      mkdirSync(folder, { recursive: true });
      const files = run.map(([name, markdown]) => {
        const file = path.join(folder, `${name.replaceAll("/", ".")}.mjs`);
        writeFileSync(file, compiledModule(moduleOf(markdown, name, "run")));
        return file;
      });
      const child = fork(fileURLToPath(new URL("run-examples.mjs", import.meta.url)), files, {
        execArgv: ["--enable-source-maps"],
      });
      child.on("message", (message) => {
        const { page, ...outcome } = message as { page: string; error?: string; seconds: number };
        ended.get(page)!(outcome);
      });
      child.on("exit", (code) => {
        for (const end of ended.values()) end({ error: `the process ended with ${code} before this page's turn`, seconds: 0 });
      });
    });
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    test.for(run.map(([name]) => name))("%s", { timeout: 600_000 }, async (name) => {
      expect((await outcomes.get(name)!).error).toBeUndefined();
    });
  });
});
