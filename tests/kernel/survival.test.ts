import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CellEvent } from "../../kernel/messages.js";
import { EngineProcess, runCell, temporaryFolder } from "./compiled.js";

const folder = temporaryFolder();

describe("a cell that takes its process along ends with a message that says how, and with what it had printed", () => {
  test.each([
    ["process.exit", "process.exit(3)", "the cell ended its process with exit code 3, for instance by process.exit(3)"],
    ["process.abort", "process.abort()", "the cell's process crashed in native code (SIGABRT)"],
    ["a segmentation fault", "process.kill(process.pid, 'SIGSEGV')", "the cell's process crashed in native code (SIGSEGV)"],
    [
      "the system, for want of memory",
      "process.kill(process.pid, 'SIGKILL')",
      "the cell's process was ended by SIGKILL, as the system does when memory runs out",
    ],
    [
      "JavaScript that runs out of memory",
      "import v8 from 'node:v8'; v8.setFlagsFromString('--max-old-space-size=150'); const all: number[][] = []; for (;;) all.push(new Array(1e4).fill(all.length + 0.5));",
      "the cell ran out of memory and its process ended",
    ],
  ])("%s", async (_, code, message) => {
    const engine = await EngineProcess.start(folder);
    const { ok, died, error, stdout, stderr } = await runCell(engine, `console.log('last words');\n${code}`);
    expect({ ok, died }).toEqual({ ok: false, died: true });
    expect(error).toMatchObject({ ename: "EngineDied", evalue: message });
    expect(error?.traceback).toEqual([`EngineDied: ${message}`, "All variables are lost; run the notebook again from the top."]);
    expect(stdout).toBe("last words\n");
    expect(stderr).toBe("");
    expect(await engine.ended).toMatchObject({ ename: "EngineDied", evalue: message });
    expect((await runCell(engine, "1")).died).toBe(true);
    expect((await engine.complete("1..to", 5)).matches).toEqual([]);
  });
});

describe("what comes late belongs to the cell that caused it,", () => {
  let engine: Awaited<ReturnType<typeof EngineProcess.start>>;
  beforeAll(async () => {
    engine = await EngineProcess.start(folder);
  });
  afterAll(() => engine?.stop());

  const text = (events: readonly CellEvent[], name: string): string =>
    events.flatMap((event) => (event.type === "stream" && event.name === name ? [event.text] : [])).join("");

  test("also while another cell runs: prints, displays, exceptions in timers, rejections", async () => {
    const display = `(globalThis as unknown as Record<symbol, { display(d: object): void }>)[Symbol.for("tweedie.notebook")].display`;
    const first = await runCell(
      engine,
      `setTimeout(() => { console.log('printed'); ${display}({ data: { 'text/plain': 'shown' } }); }, 300);
       setTimeout(() => { throw new RangeError('in a timer'); }, 350);
       setTimeout(async () => { await null; throw new RangeError('in a promise'); }, 400);
       void (async () => { await new Promise((r) => setTimeout(r, 450)); console.log('after an await'); })();`,
      "cell[1]",
    );
    const second = await runCell(engine, "await new Promise((r) => setTimeout(r, 1000)); console.log('own');", "cell[2]");
    expect(second.events).toEqual([{ type: "stream", name: "stdout", text: "own\n" }]);
    expect(text(first.events, "stdout")).toBe("printed\nafter an await\n");
    expect(text(first.events, "stderr")).toContain("Uncaught RangeError: in a timer\n    at cell[1], line 2");
    expect(text(first.events, "stderr")).toContain("Uncaught RangeError: in a promise\n    at cell[1], line 3");
    expect(first.events).toContainEqual(expect.objectContaining({ type: "display_data", data: { "text/plain": "shown" } }));
  });

  test("and errors through awaits keep the lines of those who awaited", async () => {
    const code =
      "async function inner() {\n  await null;\n  throw new Error('deep');\n}\nasync function outer() {\n  await inner();\n}\nawait outer();";
    const { error } = await runCell(engine, code, "cell[3]");
    expect(error?.traceback.filter((line) => line.startsWith("    at"))).toEqual([
      "    at cell[3], line 3 in inner",
      "    at cell[3], line 6 in outer",
      "    at cell[3], line 8",
    ]);
  });
});

describe("a time limit", () => {
  test("interrupts the cell and says so; one of the cell's own goes first", async () => {
    const engine = await EngineProcess.start(folder);
    const limited = await runCell(engine, "while (true) {}", "cell[1]", 500);
    expect(limited.error).toMatchObject({ ename: "Interrupted", evalue: "the cell ran longer than its limit of 0.5 s" });
    const own = await runCell(engine, "%timeout 0.4s\nawait new Promise(() => {});", "cell[2]", 60_000);
    expect(own.error?.evalue).toBe("the cell ran longer than its limit of 0.4 s");
    expect((await runCell(engine, "%timeout 300ms")).stdout).toBe("cells are interrupted after 300 ms\n");
    expect((await runCell(engine, "await new Promise(() => {});")).error?.evalue).toContain("its limit of 0.3 s");
    expect((await runCell(engine, "%timeout off\nawait new Promise((r) => setTimeout(r, 600)); 'long'")).result).toBe("'long'");
    expect((await runCell(engine, "%timeout off")).stdout).toBe("cells may run for ever\n");
    expect((await runCell(engine, "await new Promise((r) => setTimeout(r, 600)); 'long'")).result).toBe("'long'");
    await engine.stop();
  });

  test("ends the process of a cell that cannot be interrupted", async () => {
    const engine = await EngineProcess.start(folder);
    await runCell(engine, "import { execSync } from 'node:child_process';");
    const { died, error } = await runCell(engine, "execSync('sleep 60');", "cell[2]", 1_000);
    expect(died).toBe(true);
    expect(error?.evalue).toBe("the cell ran longer than its limit and could not be interrupted; its process was ended");
  });
});
