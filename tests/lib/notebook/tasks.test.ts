import { afterEach, expect, test } from "vitest";
import { watchTasks } from "../../../lib/notebook/index.js";
import { beginTask, currentSignal, taskWatcher } from "../../../lib/runtime/index.js";
import { htmlOf, insideNotebook, type Shown } from "./fake-notebook.js";

afterEach(() => {
  delete (globalThis as { [taskWatcher]?: unknown })[taskWatcher];
});

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const text = ({ output }: Shown): unknown => output.data["text/plain"];

test("work that lasts shows a bar in one output, nested as it is, and the bar goes when the work is done", async () => {
  watchTasks();
  const shown = await insideNotebook(async () => {
    using outer = beginTask("collect", { total: 4, unit: "pictures" });
    await sleep(600);
    outer.at(1);
    using inner = beginTask("generate", { total: 20 });
    inner.at(5, "loss <1>");
    await sleep(600);
    outer.at(2);
  }, new AbortController().signal);
  expect(shown.map(({ update }) => update)).toEqual([false, ...shown.slice(1).map(() => true)]);
  expect(new Set(shown.map(({ output }) => output.transient?.display_id)).size).toBe(1);
  expect(text(shown[0]!)).toMatch(/^collect: 0 of 4 pictures/);
  expect(text(shown.at(-2)!)).toMatch(/^collect: \d of 4 pictures .* › generate: 5 of 20 steps .* s left · loss <1>$/);
  expect(htmlOf(shown.at(-2)!).match(/<progress /g)).toHaveLength(2);
  expect(htmlOf(shown.at(-2)!)).toContain("loss &lt;1&gt;");
  expect(shown.at(-1)!.output.data).toEqual({ "text/plain": "" });
});

test("short work shows nothing, nor does work that its caller follows, nor any where nobody watches", async () => {
  const shown = await insideNotebook(async () => {
    using unwatched = beginTask("umap");
    await sleep(600);
    unwatched.at(1);
  });
  watchTasks();
  shown.push(
    ...(await insideNotebook(async () => {
      {
        using short = beginTask("short", { total: 2 });
        short.at(1);
      }
      using told = beginTask("told", { told: () => undefined });
      await sleep(600);
      told.at(1);
    })),
  );
  expect(shown).toEqual([]);
});

test("the signal of the running cell is there without being passed", async () => {
  const { signal } = new AbortController();
  expect(currentSignal()).toBeUndefined();
  await insideNotebook(() => expect(currentSignal()).toBe(signal), signal);
});
