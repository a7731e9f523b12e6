import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { findNotebooks } from "../../kernel/notebook-files.js";
import { junitReport, summaryTable } from "../../kernel/run-report.js";
import { duration, secondsLeft } from "../../kernel/time-left.js";
import { CLI, temporaryFolder } from "./compiled.js";
import { writeNotebook } from "./notebooks.js";
import { PYTHON, pythonHas } from "./python.js";

const folder = temporaryFolder();

function tweedie(args: string[], cwd = folder) {
  return spawnSync(process.execPath, [CLI, ...args], { encoding: "utf8", cwd });
}

const written = (...place: string[]) => JSON.parse(readFileSync(path.join(folder, ...place), "utf8"));

describe("a folder of notebooks, two at a time,", () => {
  const source = path.join(folder, "study");
  mkdirSync(path.join(source, "deep", "er"), { recursive: true });
  mkdirSync(path.join(source, ".ipynb_checkpoints"));
  writeNotebook(path.join(source, ".ipynb_checkpoints"), "a-checkpoint", "'never'");
  writeNotebook(source, "a", "console.log('from a'); 1");
  writeNotebook(source, "b", "let x = 1;", "throw new TypeError('no <b>')", "'never'");
  writeNotebook(path.join(source, "deep", "er"), "c", { code: "throw new Error('as shown')", tags: ["raises-exception"] }, "'c'");
  // Below the folder that is run: it must not be taken for a source.
  const flags = ["-o", "study/out", "-j", "2", "--json", "--junit", "report.xml", "--kernel-log", "kernel.log"];
  const ran = tweedie(["run", "study", ...flags]);

  test("runs all of them although one fails, lays them out alike and exits with 1", () => {
    expect(ran.status).toBe(1);
    expect(written("study/out/a.ipynb").cells[0].outputs[1].data["text/plain"]).toEqual(["1"]);
    expect(written("study/out/deep/er/c.ipynb").cells[1].outputs[0].data["text/plain"]).toEqual(["'c'"]);
    expect(existsSync(path.join(source, "out", ".ipynb_checkpoints"))).toBe(false);
    expect(ran.stderr).toContain("cell 2 failed\nTypeError: no <b>");
  });

  test("reports in JSON on standard output, and there alone", () => {
    const { notebooks } = JSON.parse(ran.stdout);
    expect(notebooks.map((one: { file: string; status: string }) => [one.file, one.status])).toEqual([
      ["study/a.ipynb", "ok"],
      ["study/b.ipynb", "failed"],
      ["study/deep/er/c.ipynb", "ok"],
    ]);
    expect(notebooks[1].cells).toMatchObject([
      { number: 1, status: "ok" },
      { number: 2, status: "failed", title: "throw new TypeError('no <b>')", error: { ename: "TypeError", evalue: "no <b>" } },
      { number: 3, status: "skipped" },
    ]);
    expect(notebooks[2].cells[0]).toMatchObject({ status: "allowed", error: { evalue: "as shown" } });
  });

  test.skipIf(!pythonHas("xml.etree"))("reports in XML that a parser reads back (skipped without Python)", () => {
    const script = `import sys, json, xml.etree.ElementTree as tree
suites = tree.parse(sys.argv[1]).getroot()
print(json.dumps([[s.attrib["name"], s.attrib["tests"], s.attrib["failures"], s.attrib["skipped"], [c.attrib["name"] for c in s],
  [[f.tag, f.attrib.get("message"), f.text] for c in s for f in c]] for s in suites]))`;
    const { stdout } = spawnSync(PYTHON, ["-c", script, path.join(folder, "report.xml")], { encoding: "utf8" });
    const [a, b, c] = JSON.parse(stdout);
    expect(a).toEqual(["study/a.ipynb", "1", "0", "0", ["cell 1: console.log('from a'); 1"], []]);
    expect(b.slice(0, 4)).toEqual(["study/b.ipynb", "3", "1", "1"]);
    expect(b[4][1]).toBe("cell 2: throw new TypeError('no <b>')");
    expect(b[5]).toEqual([
      ["failure", "no <b>", expect.stringMatching(/^TypeError: no <b>\n {4}at cell\[2\], line 1/)],
      ["skipped", null, null],
    ]);
    expect(c.slice(1, 4)).toEqual(["2", "0", "0"]);
  });

  test("logs what every cell printed and how it ended", () => {
    const log = readFileSync(path.join(folder, "kernel.log"), "utf8");
    expect(log).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z study\/a\.ipynb \[1\] stdout: from a$/m);
    expect(log).toMatch(/study\/b\.ipynb \[2\] error: TypeError: no <b>$/m);
    expect(log).toMatch(/study\/b\.ipynb \[2\] failed: \d+\.\d{3} s$/m);
  });

  test("is resumed: only what failed runs again, and what has changed", () => {
    const again = (...args: string[]): string[] =>
      JSON.parse(tweedie(["run", "study", "-o", "study/out", "--resume", "--json", ...args]).stdout).notebooks.map(
        ({ status }: { status: string }) => status,
      );
    const before = statSync(path.join(source, "out", "a.ipynb")).mtimeMs;
    writeNotebook(source, "b", "let x = 1;", "x + 1");
    expect(again("--html")).toEqual(["reused", "ok", "reused"]);
    expect(statSync(path.join(source, "out", "a.ipynb")).mtimeMs).toBe(before);
    // The page that was not asked for the first time is made from what is there.
    expect(readFileSync(path.join(source, "out", "a.html"), "utf8")).toContain("from a");
    writeNotebook(source, "a", "console.log('from a'); 2");
    writeFileSync(path.join(source, "out", "deep", "er", "c.ipynb"), "half a notebo");
    expect(again()).toEqual(["ok", "reused", "ok"]);
  });
});

test("other parameters are another run, and the digest does not depend on their order", () => {
  writeNotebook(folder, "digest", { code: "let a = 1; let b = 2;", tags: ["parameters"] }, "a + b");
  const status = (...values: string[]): string =>
    JSON.parse(tweedie(["run", "digest.ipynb", "-o", "digest-out.ipynb", "--resume", "--json", ...values]).stdout).notebooks[0]
      .status;
  expect(status("-p", "a=3", "-p", "b=4")).toBe("ok");
  expect(status("-p", "b=4", "-p", "a=3")).toBe("reused");
  expect(status("-p", "a=3")).toBe("ok");
  expect(written("digest-out.ipynb").cells[2].outputs[0].data["text/plain"]).toEqual(["5"]);
});

test("a report tells reused outputs from a run, and what each took", () => {
  const file = writeNotebook(folder, "honest", "await new Promise((resolve) => setTimeout(resolve, 1200));");
  const flags = ["run", file, "-o", "honest-out", "--resume"];
  const reportOf = () => JSON.parse(tweedie([...flags, "--json", "--junit", "honest.xml"]).stdout).notebooks[0];
  const first = reportOf();
  expect(first).toMatchObject({ status: "ok", seconds: expect.toSatisfy((seconds) => seconds >= 1.2) });
  expect(first).not.toHaveProperty("earlierSeconds");
  expect(reportOf()).toMatchObject({ status: "reused", seconds: 0, earlierSeconds: first.seconds, cells: [], written: [] });
  expect(readFileSync(path.join(folder, "honest.xml"), "utf8")).toContain('time="0.000"><skipped message="reused"/>');
  expect(tweedie(flags).stdout).toMatch(/honest\.ipynb +reused +honest-out\/honest\.ipynb, which took [\d.]+ s\n/);
});

test("what only --allow-errors let pass is reused with --allow-errors only", () => {
  const file = writeNotebook(folder, "lenient", "throw new Error('no')", "1");
  const status = (...flags: string[]): [string, number | null] => {
    const ran = tweedie(["run", file, "-o", "lenient-out", "--resume", "--json", ...flags]);
    return [JSON.parse(ran.stdout).notebooks[0].status, ran.status];
  };
  expect(status("--allow-errors")).toEqual(["ok", 0]);
  expect(status("--allow-errors")).toEqual(["reused", 0]);
  expect(status()).toEqual(["failed", 1]);
});

test("--allow-errors goes on behind cells that fail, but not without a process", () => {
  const file = writeNotebook(folder, "errors", "throw new Error('one')", "const s: string = 1;", "'went on'");
  const allowed = tweedie(["run", file, "-o", "errors-out", "--allow-errors"]);
  expect(allowed.status).toBe(0);
  expect(allowed.stdout).toContain("(2 failed cells allowed)");
  const [one, two, three] = written("errors-out/errors.ipynb").cells;
  expect([one.outputs[0].ename, two.outputs[0].ename]).toEqual(["Error", "TypeScriptError"]);
  expect(three.outputs[0].data["text/plain"]).toEqual(["'went on'"]);
  const gone = writeNotebook(folder, "gone", "process.exit(3)", "'never'");
  expect(tweedie(["run", gone, "-o", "errors-out", "--allow-errors"]).status).toBe(1);
  expect(written("errors-out/gone.ipynb").cells[1].outputs).toEqual([]);
});

test("the limit for a notebook counts over its cells and says so", () => {
  const wait = (ms: number): string => `await new Promise((resolve) => setTimeout(resolve, ${ms}));`;
  // The limit leaves a busy machine the time that starting takes.
  const file = writeNotebook(folder, "slow", "const first = 1; first", wait(600_000), "'never'");
  const { status, stderr, stdout } = tweedie(["run", file, "-o", "slow-out", "--notebook-timeout", "15", "--timeout", "900"]);
  expect(status).toBe(3);
  expect(stderr).toContain("cell 2 reached its time limit\nInterrupted: the notebook ran longer than its limit of 15 s");
  expect(stdout).toMatch(/slow\.ipynb +timeout +2\/3/);
  expect(written("slow-out/slow.ipynb").cells[0].outputs[0].data["text/plain"]).toEqual(["1"]);
}, 120_000);

describe("which notebooks are meant", () => {
  const root = temporaryFolder();
  for (const place of ["a", "b1", "b2", "in/c", "in/deep/d", "node_modules/x", "out/a"]) {
    mkdirSync(path.dirname(path.join(root, place)), { recursive: true });
    writeNotebook(path.dirname(path.join(root, place)), path.basename(place), "1");
  }
  const places = (...names: string[]): string[] =>
    findNotebooks(
      names.map((name) => path.join(root, name)),
      path.join(root, "out"),
    ).map(({ file, place }) => `${path.relative(root, file)} as ${place}`);

  test.each([
    [
      ["."],
      [
        "a.ipynb as a.ipynb",
        "b1.ipynb as b1.ipynb",
        "b2.ipynb as b2.ipynb",
        "in/c.ipynb as in/c.ipynb",
        "in/deep/d.ipynb as in/deep/d.ipynb",
      ],
    ],
    [["in"], ["in/c.ipynb as c.ipynb", "in/deep/d.ipynb as deep/d.ipynb"]],
    [["b?.ipynb"], ["b1.ipynb as b1.ipynb", "b2.ipynb as b2.ipynb"]],
    [["b[!1].ipynb"], ["b2.ipynb as b2.ipynb"]],
    [["*.ipynb"], ["a.ipynb as a.ipynb", "b1.ipynb as b1.ipynb", "b2.ipynb as b2.ipynb"]],
    [["in/**/*.ipynb"], ["in/c.ipynb as c.ipynb", "in/deep/d.ipynb as deep/d.ipynb"]],
    [
      ["{a,in/c}.ipynb", "a.ipynb"],
      ["a.ipynb as a.ipynb", "in/c.ipynb as in/c.ipynb"],
    ],
  ])("%j", (names, expected) => {
    expect(places(...names)).toEqual(expected);
  });
});

describe("time left", () => {
  test("is what the earlier run took, scaled to how this one goes", () => {
    const usual = [10, 20, 30];
    const left = (taken: number[]) => secondsLeft(usual.map((u, i) => ({ usual: u, taken: taken[i] })));
    expect(left([])).toBe(60);
    expect(left([20])).toBe(100);
    expect(left([5, 10])).toBe(15);
    expect(left([10, 20, 30])).toBe(0);
  });

  test("is the average where there was no earlier run, and unknown at the start", () => {
    const left = (...taken: number[]) => secondsLeft([0, 1, 2].map((i) => ({ usual: undefined, taken: taken[i] })));
    expect(left()).toBeUndefined();
    expect(left(4)).toBe(8);
    expect(left(4, 2)).toBe(3);
    // A new cell among known ones takes as long as they do on average.
    expect(
      secondsLeft([
        { usual: 4, taken: 4 },
        { usual: undefined, taken: undefined },
        { usual: 8, taken: undefined },
      ]),
    ).toBe(14);
  });

  test("reads like a clock", () => {
    expect([0.04, 9.94, 9.96, 59.4, 60, 125, 3599.4, 12_000, 7_200].map(duration)).toEqual([
      "0.0 s",
      "9.9 s",
      "10 s",
      "59 s",
      "1 min",
      "2 min 5 s",
      "59 min 59 s",
      "3 h 20 min",
      "2 h",
    ]);
  });
});

test("reports hold any text", () => {
  const error = { ename: "E", evalue: 'a "b" & <c> \u0000\ud800 ]]>', traceback: ["\u001b[31m"] };
  const cells = [{ number: 1, title: "</testcase>", status: "failed", seconds: 1, error }] as const;
  const report = { file: "a&b.ipynb", target: "t", status: "failed", seconds: 1, cells, written: [] } as const;
  const xml = junitReport([report]);
  expect(xml).toContain('message="a &#34;b&#34; &#38; &#60;c&#62; \ufffd\ufffd ]]&#62;"');
  expect(xml).not.toContain("\u001b");
  expect(summaryTable([report])).toMatch(/^notebook +result +cells +time\na&b\.ipynb +failed +1\/1 +1\.0 s +cell 1: E: a "b"/);
});
