import { fork } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EngineProcess, runCell, temporaryFolder } from "./compiled.js";

const folder = temporaryFolder();
let engine: Awaited<ReturnType<typeof EngineProcess.start>>;

beforeAll(async () => {
  engine = await EngineProcess.start(folder);
  await runCell(engine, "const kept = 'still here';");
});
afterAll(() => engine?.stop());

describe("an interrupt ends", () => {
  test.each([
    ["a cell that awaits", "await new Promise(() => {});"],
    ["a synchronous loop", "while (true) {}"],
    ["a loop after an await", "await null; while (true) {}"],
    ["a loop after a timer", "await new Promise((r) => setTimeout(r, 5)); while (true) {}"],
    ["a loop that awaits what is there already", "for (;;) await null;"],
    ["ticks that call for ticks", "await new Promise(() => { const again = () => process.nextTick(again); again(); });"],
    [
      "promises that call for promises",
      "await new Promise(() => { const again = () => void Promise.resolve().then(again); again(); });",
    ],
    ["a wait for a lock", "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);"],
    ["a loop in the system", "import { readFileSync } from 'node:fs'; for (;;) readFileSync('/proc/self/status');"],
    ["a loop that catches everything", "for (;;) { try { for (;;) {} } catch {} finally { } }"],
  ])("%s, and variables stay", async (_, code) => {
    const running = runCell(engine, code);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const since = performance.now();
    engine.interrupt();
    const { ok, died, error } = await running;
    // Half a second on a quiet machine.
    expect(performance.now() - since).toBeLessThan(3_000);
    expect({ ok, died }).toEqual({ ok: false, died: false });
    expect(error).toMatchObject({ ename: "Interrupted", evalue: "the cell was interrupted" });
    expect((await runCell(engine, "kept")).result).toBe("'still here'");
  });
});

test("an interrupt at any moment between sending a cell and its first step ends it, and the next cell runs", async () => {
  for (let delayMs = 0; delayMs < 40; delayMs += 4) {
    const running = runCell(engine, `await null; while (true) {} // ${delayMs}`);
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    engine.interrupt();
    expect((await running).error).toMatchObject({ ename: "Interrupted" });
    expect((await runCell(engine, "kept")).result).toBe("'still here'");
  }
});

test("an interrupt ends a cell while immediates of an earlier one are waiting", async () => {
  for (const code of ["await new Promise(() => { const again = () => setImmediate(again); again(); });", "while (true) {}"]) {
    const running = runCell(engine, code);
    setTimeout(() => engine.interrupt(), 500);
    expect(await running).toMatchObject({ died: false, stderr: "", error: { ename: "Interrupted" } });
  }
  expect((await runCell(engine, "kept")).result).toBe("'still here'");
});

test("an interrupt that overtakes its cell ends it", async () => {
  await runCell(engine, "setTimeout(() => { for (const start = Date.now(); Date.now() - start < 1000; ); }, 50);");
  await new Promise((resolve) => setTimeout(resolve, 150));
  const running = runCell(engine, "while (true) {}");
  engine.interrupt();
  expect((await running).error).toMatchObject({ ename: "Interrupted" });
  expect((await runCell(engine, "kept")).result).toBe("'still here'");
});

test("an interrupt aborts the cell's signal", async () => {
  const running = runCell(
    engine,
    `const { signal } = (globalThis as unknown as Record<symbol, { signal: AbortSignal }>)[Symbol.for("tweedie.notebook")];
     signal.addEventListener("abort", () => console.log("told"));
     await new Promise(() => {});`,
  );
  setTimeout(() => engine.interrupt(), 500);
  expect((await running).stdout).toBe("told\n");
});

test("an interrupt ends what a cell has left running", async () => {
  await runCell(engine, "setTimeout(() => { while (true) {} }, 50);");
  await new Promise((resolve) => setTimeout(resolve, 150));
  const asked = engine.isComplete("1");
  engine.interrupt();
  expect(await asked).toEqual({ status: "complete" });
  expect((await runCell(engine, "kept")).result).toBe("'still here'");
});

test("an interrupt without a running cell changes nothing", async () => {
  engine.interrupt();
  expect((await runCell(engine, "kept")).ok).toBe(true);
});

describe("what an interrupted cell was doing stops with it:", () => {
  const later = () => runCell(engine, "await new Promise((r) => setTimeout(r, 400));");

  test.each([
    ["a loop that awaits", "for (let i = 0; ; i++) { await new Promise((r) => setTimeout(r, 20)); console.log(i); }"],
    [
      "a loop over what comes",
      "for await (const i of (async function* () { for (let n = 0; ; n++) { await new Promise((r) => setTimeout(r, 20)); yield n; } })()) console.log(i);",
    ],
    [
      "a function that nobody awaits",
      "void (async () => { for (;;) { await new Promise((r) => setTimeout(r, 20)); console.log('x'); } })(); await new Promise(() => {});",
    ],
    ["an interval", "setInterval(() => console.log('tick'), 20); await new Promise(() => {});"],
  ])("%s", async (_, code) => {
    const running = runCell(engine, code);
    setTimeout(() => engine.interrupt(), 700);
    const { error, events } = await running;
    expect(error?.ename).toBe("Interrupted");
    const printed = events.length;
    expect(printed).toBeGreaterThan(1);
    await later();
    expect(events.length).toBeLessThanOrEqual(printed + 1);
  });

  test("a loop that catches every error, within a few seconds", async () => {
    const running = runCell(
      engine,
      "for (;;) { try { await new Promise((r) => setTimeout(r, 20)); } catch {} console.log('x'); }",
    );
    setTimeout(() => engine.interrupt(), 500);
    const { error, events } = await running;
    expect(error?.ename).toBe("Interrupted");
    await runCell(engine, "await new Promise((r) => setTimeout(r, 4000));");
    const printed = events.length;
    await later();
    expect(events.length).toBe(printed);
  });

  test("what it has left running ends with an interrupt between cells", async () => {
    const { events } = await runCell(engine, "setInterval(() => console.log('tick'), 20);");
    await later();
    expect(events.length).toBeGreaterThan(1);
    engine.interrupt();
    await later();
    const printed = events.length;
    await later();
    expect(events.length).toBe(printed);
  });

  test("it tidies up first: finally blocks run, and what they await", async () => {
    const tidy = "await new Promise((r) => setTimeout(r, 50)); console.log('tidied');";
    const running = runCell(engine, `try { await new Promise(() => {}); } finally { ${tidy} }`);
    setTimeout(() => engine.interrupt(), 500);
    expect(await running).toMatchObject({ stdout: "tidied\n", error: { ename: "Interrupted" } });
  });

  test("also in a loop that never lets anything else run", async () => {
    const running = runCell(engine, "try { for (;;) await null; } finally { console.log('tidied'); }");
    setTimeout(() => engine.interrupt(), 500);
    expect(await running).toMatchObject({ stdout: "tidied\n", error: { ename: "Interrupted" } });
  });

  test("library work ends at its next run, and no session is left open", async () => {
    const sessions = "JSON.stringify(runtimeStats())";
    const setUp = "import { load, runtimeStats } from 'tweedie'; const pipe = await load('shapes');";
    const before = await runCell(engine, `${setUp} await pipe.generate('a circle', { steps: 2, seed: 1 }); ${sessions}`);
    expect(before.error).toBeUndefined();
    // The first await is the cell's own, the others are the library's.
    const running = runCell(engine, "await pipe.generate('a circle', { steps: 900, seed: 1 });");
    setTimeout(() => engine.interrupt(), 1_000);
    expect((await running).error?.ename).toBe("Interrupted");
    const busy = await runCell(
      engine,
      "const used = process.cpuUsage(); await new Promise((r) => setTimeout(r, 2000)); process.cpuUsage(used).user",
    );
    expect(Number(busy.result)).toBeLessThan(500_000);
    expect((await runCell(engine, sessions)).result).toBe(before.result);
  });
});

test("a cell that prints without end is interrupted as fast as any other", async () => {
  const running = runCell(engine, "for (;;) console.log('x'.repeat(200));");
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  const since = performance.now();
  engine.interrupt();
  expect((await running).error?.ename).toBe("Interrupted");
  // A second on a quiet machine.
  expect(performance.now() - since).toBeLessThan(3_000);
});

describe("nothing is left behind", () => {
  test("by a front end that is killed: its engine ends, even in a loop", async () => {
    await expectToEnd(await orphan(folder));
  });

  test("by a Jupyter that is killed: its kernel ends", async () => {
    const file = path.join(folder, "connection.json");
    const ports = { shell_port: 0, control_port: 0, iopub_port: 0, stdin_port: 0, hb_port: 0 };
    writeFileSync(
      file,
      JSON.stringify({ transport: "tcp", ip: "127.0.0.1", key: "k", signature_scheme: "hmac-sha256", ...ports }),
    );
    await expectToEnd(await orphan(folder, file));
  });

  test("by a cell: what it has started ends with the engine, and holds nothing up", async () => {
    const parent = await EngineProcess.start(folder);
    const { stdout } = await runCell(
      parent,
      "import { spawn } from 'node:child_process';\nconsole.log(spawn('sleep', ['1000'], { stdio: 'inherit' }).pid);",
    );
    expect(isAlive(Number(stdout))).toBe(true);
    expect((await runCell(parent, "process.exit(0)")).error?.ename).toBe("EngineDied");
    await expectToEnd(Number(stdout));
  });

  /** Process id of what a killed parent had started. */
  async function orphan(...args: string[]): Promise<number> {
    const parent = fork(fileURLToPath(new URL("./orphan-maker.mjs", import.meta.url)), args, { silent: true });
    const pid = await new Promise<number>((resolve) => parent.once("message", (message) => resolve(Number(message))));
    expect(isAlive(pid)).toBe(true);
    parent.kill("SIGKILL");
    return pid;
  }

  async function expectToEnd(pid: number): Promise<void> {
    for (let waited = 0; isAlive(pid) && waited < 60_000; waited += 100) await new Promise((resolve) => setTimeout(resolve, 100));
    expect(isAlive(pid)).toBe(false);
  }

  function isAlive(pid: number): boolean {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  }
});
