import { createRequire } from "node:module";
import ts from "typescript";
import { expect, test } from "vitest";
import { loadTslab, TSLAB_VERSION, TYPESCRIPT_INTERNALS } from "../../kernel/typescript-shim.js";

const require = createRequire(import.meta.url);

test("tslab is the one version whose internals the kernel knows", () => {
  expect(require("tslab/package.json").version).toBe(TSLAB_VERSION);
  expect(require("../../package.json").dependencies.tslab).toBe(TSLAB_VERSION);
});

test.each(TYPESCRIPT_INTERNALS)("TypeScript still has its internal %s", (name) => {
  const found = name.split(".").reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], ts);
  expect(found).toBeDefined();
});

test("tslab's modules still have the functions the kernel calls", () => {
  const tslab = loadTslab();
  expect(tslab.createConverter).toBeTypeOf("function");
  expect(tslab.isCompleteCode("if (true) {")).toEqual({ completed: false, indent: "  " });
  expect(tslab.isCompleteCode("1 + 1")).toEqual({ completed: true });
  expect(tslab.jupyter).toHaveProperty("lastWriteDisplayData");
});

test("a conversion has the fields the engine reads, compiled by stock TypeScript", () => {
  const converter = loadTslab().createConverter({ isJS: false, isBrowser: false });
  try {
    const first = converter.convert("", "const a: number = await Promise.resolve(2); a + 1");
    expect(first.diagnostics).toEqual([]);
    expect(first).toMatchObject({ hasToplevelAwait: true, lastExpressionVar: "tsLastExpr" });
    expect(first.declOutput).toContain("declare const a: number");
    expect(first.output?.match(/sourceMappingURL=data:/g)).toHaveLength(2);
    // `satisfies` came with 4.9, const type parameters with 5.0, `using` with 5.2: the fork would reject the last.
    expect(converter.convert("", "{ using x = { [Symbol.dispose]() {} }; }").diagnostics).toEqual([]);

    const second = converter.convert(first.declOutput!, "const s: string = a;");
    expect(second.diagnostics).toMatchObject([{ start: { line: 0, character: 6 }, code: 2322 }]);
    expect(converter.complete(first.declOutput!, "a.toFi", 6).candidates).toEqual(["toFixed"]);
    expect(loadTslab().printQuickInfo(converter.inspect(first.declOutput!, "a", 0))).toBe("const a: number");
  } finally {
    converter.close();
  }
});
