import { expect, test } from "vitest";
import { Rng } from "../../lib/tensor/index.js";
import { EngineProcess, runCell, temporaryFolder } from "./compiled.js";

/** 40 in every run of the tests; TWEEDIE_INTERRUPTS=1000 for the long form. */
const INTERRUPTS = Number(process.env.TWEEDIE_INTERRUPTS ?? 40);
/** What the first interrupts leave behind is the engine's own: compiled code, buffers. */
const WARM_UP = Math.ceil(INTERRUPTS / 4);
/** What may have been added to objects, of which each cell leaves some for good (its name's source, the signal of its end),
 * and to resident memory, which comes and goes by tens of megabytes without any leak. */
const FLAT_BYTES = { heapUsed: 15e6, rss: 100e6 };

/** What can be going on when somebody presses the button. */
const CELLS: readonly string[] = [
  "await new Promise(() => {});",
  "while (true) {}",
  "await null; while (true) {}",
  "for (;;) await null;",
  "for (;;) await new Promise((r) => setTimeout(r, 1));",
  "for (;;) { try { await new Promise((r) => setTimeout(r, 5)); } catch {} }",
  "for (;;) console.log('x'.repeat(100));",
  "setInterval(() => console.log('tick'), 5); await new Promise(() => {});",
  "await new Promise((r) => setTimeout(r, 5)); for (const big = []; ; ) { big.length = 0; big.push(new Float32Array(1e5)); }",
  "for (;;) { await pipe.generate('a circle', { steps: 3, seed: 1 }); }",
  "for (let i = 0; ; i++) { const { pathToFileURL } = await import('node:url'); pathToFileURL('/' + i); }",
];

test(`after ${INTERRUPTS} interrupts at random moments the engine answers, with its variables, sessions and memory`, async () => {
  const engine = await EngineProcess.start(temporaryFolder());
  try {
    const state = "JSON.stringify({ kept, ...runtimeStats() })";
    const setUp = "import { load, runtimeStats } from 'tweedie'; const kept = 'still here'; const pipe = await load('shapes');";
    const first = await runCell(engine, `${setUp} await pipe.generate('a circle', { steps: 1, seed: 1 }); ${state}`);
    expect(first.error).toBeUndefined();
    const collect = "v8.setFlagsFromString('--expose-gc'); for (let i = 0; i < 3; i++) vm.runInNewContext('gc')();";
    await runCell(engine, "import v8 from 'node:v8'; import vm from 'node:vm';");
    const measure = async (): Promise<{ heapUsed: number; rss: number }> =>
      JSON.parse(String((await runCell(engine, `${collect} JSON.stringify(process.memoryUsage())`)).result).slice(1, -1));
    const rng = new Rng(4);
    const waits: number[] = [];
    let warm = { heapUsed: 0, rss: 0 };
    let slowest = "";
    for (let i = 0; i < INTERRUPTS; i++) {
      if (i === WARM_UP) warm = await measure();
      const code = CELLS[rng.int(CELLS.length)]!;
      const running = runCell(engine, code);
      const delayMs = rng.uniform() * 400;
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      const since = performance.now();
      engine.interrupt();
      const { died, error } = await running;
      waits.push(performance.now() - since);
      if (waits.at(-1) === Math.max(...waits)) slowest = `${code} after ${Math.round(delayMs)} ms`;
      expect({ i, code, delayMs, died, ename: error?.ename }).toEqual({ i, code, delayMs, died: false, ename: "Interrupted" });
    }
    // What still runs may end.
    await runCell(engine, "await new Promise((r) => setTimeout(r, 4000));");
    expect((await runCell(engine, state)).result).toBe(first.result);
    const end = await measure();
    waits.sort((a, b) => a - b);
    const [median, most] = [waits[INTERRUPTS >> 1]!, waits.at(-1)!].map((ms) => Math.round(ms));
    console.log(`${INTERRUPTS} interrupts: answered within ${median} ms (median), ${most} ms (most: ${slowest})`);
    for (const kind of ["heapUsed", "rss"] as const) {
      const [before, grown] = [warm[kind], end[kind] - warm[kind]].map((bytes) => `${(bytes / 1e6).toFixed(1)} MB`);
      console.log(`${kind} ${before} after ${WARM_UP}, ${grown} more at the end`);
      expect(end[kind] - warm[kind]).toBeLessThan(FLAT_BYTES[kind]);
    }
  } finally {
    await engine.stop();
  }
}, 7_200_000);
