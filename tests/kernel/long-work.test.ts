import { afterAll, beforeAll, expect, test } from "vitest";
import { EngineProcess, runCell, temporaryFolder } from "./compiled.js";

let engine: Awaited<ReturnType<typeof EngineProcess.start>>;
const run = (code: string) => runCell(engine, code);

beforeAll(async () => {
  engine = await EngineProcess.start(temporaryFolder());
  await run("import { collect, load, trainSae, Tensor, umap, Rng, float32 } from 'tweedie'; const pipe = await load('shapes');");
});
afterAll(() => engine?.stop());

const bars = (ran: Awaited<ReturnType<typeof run>>): string[] =>
  ran.events.flatMap((event) => ("data" in event && /display_data/.test(event.type) ? [String(event.data["text/plain"])] : []));

test("generating, collecting and training show bars by themselves, which are gone at the end", async () => {
  const generated = await run("const run1 = await pipe.generate('a red circle', { steps: 300 });");
  expect(generated.error).toBeUndefined();
  expect(bars(generated)[1]).toMatch(/^generate: \d+ of 300 steps · .* left$/);
  expect(bars(generated).at(-1)).toBe("");

  const collected = await run(
    "const acts = await collect(pipe, ['a red circle', 'a blue square'], { at: 'up_blocks.0', seeds: [0, 1, 2, 3, 4, 5, 6, 7], batchSize: 4, steps: 40 });",
  );
  expect(collected.error).toBeUndefined();
  expect(bars(collected).join("\n")).toMatch(/^collect: \d+ of 16 pictures.* › generate: \d+ of \d+ steps/m);

  const trained = await run("const sae = await trainSae(acts, { features: 256, k: 8, steps: 400 });");
  expect(trained.error).toBeUndefined();
  expect(bars(trained).join("\n")).toMatch(/^trainSae: \d+ of 400 steps.* · loss 0?\.?\d/m);
});

test("an interrupt ends a generation that was given no signal, and the model still works", async () => {
  const running = run("await pipe.generate('a red circle', { steps: 900 });");
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const since = performance.now();
  engine.interrupt();
  expect((await running).error?.ename).toBe("Interrupted");
  expect(performance.now() - since).toBeLessThan(2_000);
  // Were the steps going on in the background, this one would wait behind them.
  const after = await run("(await pipe.generate('a blue square', { steps: 2 })).images.length");
  expect(after.result).toBe("1");
});
