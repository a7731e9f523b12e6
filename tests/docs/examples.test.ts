import { readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { commentExamples, examplesOf, moduleOf, typeErrors } from "../../scripts/docs/examples.js";
import { readPages } from "../../scripts/docs/pages.js";
import { runExamples } from "../../scripts/docs/run-examples.js";

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
    let outcomes: ReturnType<typeof runExamples>;
    beforeAll(() => {
      outcomes = runExamples(new Map(run), root);
    });

    test.for(run.map(([name]) => name))("%s", { timeout: 600_000 }, async (name) => {
      expect((await outcomes.get(name)!).error).toBeUndefined();
    });
  });

  test("that fail, or do not give what they say, are found, and the ones behind them run", async () => {
    const pages = new Map(
      Object.entries({
        throws: "await Promise.reject(new Error('no'))",
        claims: "console.log(1 + 1); // 3",
        shows: "[1, 2].length",
      }).map(([name, code]) => [name, `# ${name}\n\n\`\`\`ts show\n${code}\n\`\`\`\n`] as const),
    );
    const outcomes = runExamples(pages, root);
    expect((await outcomes.get("throws")!).error).toContain("Error: no");
    expect((await outcomes.get("claims")!).error).toContain("Expected values to be strictly deep-equal");
    expect(await outcomes.get("shows")!).toMatchObject({ error: undefined, shown: [[2, { "text/plain": "2" }]] });
  });
});
