import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseMagics } from "../../kernel/magics.js";
import { EngineProcess, runCell, temporaryFolder } from "./compiled.js";

describe("magics are taken off a cell", () => {
  test("in its first lines only, and everything else stays where it was", () => {
    expect(parseMagics("// note\n%time const a = 7\n  % 4;")).toEqual({
      magics: [{ name: "%time", argument: "const a = 7" }],
      code: "// note\n      const a = 7\n  % 4;",
    });
    expect(parseMagics("%who\n\n%timeout 3s\na + 1").code).toBe("\n\n\na + 1");
    expect(parseMagics("7\n%time")).toEqual({ magics: [], code: "7\n%time" });
  });

  test("%% takes all that follows", () => {
    expect(parseMagics("%%html\n<b>1</b>\n%who")).toEqual({
      magics: [{ name: "%%html", argument: "" }],
      code: "",
      body: "<b>1</b>\n%who",
    });
  });
});

describe("in a cell,", () => {
  let engine: Awaited<ReturnType<typeof EngineProcess.start>>;
  const run = (code: string) => runCell(engine, code);
  beforeAll(async () => {
    engine = await EngineProcess.start(temporaryFolder());
  });
  afterAll(() => engine?.stop());

  test("%time says how long the cell took, and gives its value", async () => {
    const { stdout, result } = await run("%time await new Promise((r) => setTimeout(r, 120)); 5");
    expect(result).toBe("5");
    const [, number, unit] = /^time ([\d.]+) (ms|s), on processors [\d.]+ m?s\n$/.exec(stdout)!;
    const ms = Number(number) * (unit === "s" ? 1_000 : 1);
    expect(ms).toBeGreaterThanOrEqual(119);
    expect(ms).toBeLessThan(3_000);
    expect((await run("%%time\nlet t = 1;\nt")).stdout).toMatch(/^time /);
  });

  test("%memory says what the cell added", async () => {
    const { stdout } = await run("%memory\nconst big = new Float64Array(2e7).fill(1);");
    const [, grown, arrays] = /^memory \d+ MB \(\+(\d+) MB in this cell\), objects [\d.]+ MB, typed arrays (\d+) MB\n$/.exec(
      stdout,
    )!;
    expect(Number(grown)).toBeGreaterThan(140);
    expect(Number(arrays)).toBeGreaterThan(150);
  });

  test("%who lists the variables, %reset forgets them", async () => {
    await run("%reset");
    expect((await run("%who")).stdout).toBe("no variables yet\n");
    await run("const n = 1, words = ['a'], f = () => 0; class Box {}\nconst box = new Box();");
    expect((await run("%who")).stdout).toBe(
      "box    Box       Box {}\nBox    class     [class Box]\nf      function  [Function: f]\nn      number    1\nwords  Array     [ 'a' ]\n",
    );
    expect((await run("%reset")).stdout).toBe("5 variables forgotten; local files are read anew when imported\n");
    expect((await run("n")).error?.evalue).toContain("Cannot find name 'n'");
    expect((await run("typeof input")).result).toBe("'function'");
  });

  test("%%js, %%html and %%markdown are shown by the page", async () => {
    for (const [magic, type] of [
      ["%%js", "application/javascript"],
      ["%%html", "text/html"],
      ["%%markdown", "text/markdown"],
    ] as const)
      expect((await run(`${magic}\n<i>text</i>`)).events).toEqual([
        { type: "display_data", data: { [type]: "<i>text</i>", "text/plain": "<i>text</i>" }, metadata: {}, transient: {} },
      ]);
  });

  test("%load_ext says that it is not needed, %magics what there is", async () => {
    expect((await run("%load_ext autoreload")).stdout).toContain("%load_ext autoreload is not needed");
    const { stdout } = await run("%magics");
    for (const name of ["%time", "%memory", "%who", "%reset", "%timeout", "%%js", "%%html", "%%markdown"])
      expect(stdout).toContain(`${name} `);
  });

  test("an unknown one is an error that gives near spellings, a wrong argument one that says what is right", async () => {
    expect((await run("%tiem 1 + 1")).error).toMatchObject({
      ename: "UnknownMagic",
      evalue: expect.stringContaining("there is no magic %tiem; did you mean %time"),
    });
    expect((await run("%timeout soon")).error?.evalue).toBe('%timeout: expected a time such as 30s, 5m or off, got "soon"');
  });

  test("errors have the lines of the cell as it is written", async () => {
    const { error } = await run("%time\nconst one = 1;\nthrow new Error(String(one));");
    expect(error?.traceback[1]).toBe("    at cell[1], line 3");
    expect((await run("%time const wrong: string = 5;")).error?.traceback).toEqual([
      "TypeScriptError: cell[1], line 1:13 - Type 'number' is not assignable to type 'string'.",
      "    1 | %time const wrong: string = 5;",
      "      |             ^^^^^",
    ]);
  });

  test("help for writing knows them", async () => {
    expect((await engine.complete("%ti", 3)).matches).toEqual(["%time", "%timeout"]);
    expect((await engine.complete("%time 'a'.toUpp", 15)).matches).toEqual(["toUpperCase"]);
    expect(await engine.isComplete("%time for (;;) {")).toEqual({ status: "incomplete", indent: "  " });
    expect((await engine.isComplete("%%html\n<b>")).status).toBe("incomplete");
    expect((await engine.isComplete("%%html\n<b>\n")).status).toBe("complete");
  });
});
