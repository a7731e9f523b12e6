import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, expect, test } from "vitest";
import { closeRuntime, openSession, RuntimeError, runtimeStats, uploadTensor } from "../../../lib/runtime/index.js";
import { float32, zeros } from "../../../lib/tensor/index.js";
import { adder, matrixPower } from "./tiny-models.js";

afterAll(() => closeRuntime());

test("the event loop keeps its beat during a run", async () => {
  await using session = await openSession(matrixPower(20), { threads: 1 });
  const x = zeros([512, 512]);
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  const start = performance.now();
  await session.run({ x });
  const elapsedMs = performance.now() - start;
  clearInterval(timer);
  // Were the run on this thread, there would be one tick at most; a busy machine allows fewer than one per 5 ms.
  expect(elapsedMs).toBeGreaterThan(20);
  expect(ticks).toBeGreaterThan(2);
});

test("1000 sessions opened, run and released leave nothing behind", async () => {
  const cycle = async (): Promise<void> => {
    await using session = await openSession(adder, { threads: 1 });
    await session.run({ a: float32([1]), b: float32([2]) });
  };
  for (let i = 0; i < 300; i++) await cycle();
  const before = process.memoryUsage.rss();
  for (let i = 0; i < 700; i++) await cycle();
  expect(process.memoryUsage.rss() - before).toBeLessThan(24 * 2 ** 20);
  expect(runtimeStats()).toEqual({ sessions: 0, residentTensors: 0, residentBytes: 0 });
}, 600_000);

test("when the worker dies pending work rejects and the next session starts another", async () => {
  const session = await openSession(matrixPower(10));
  const held = await uploadTensor(zeros([256, 256]));
  const pending = Promise.allSettled([session.run({ x: held }), session.run({ x: held }), held.read()]);
  await closeRuntime();
  for (const result of await pending) {
    expect(result).toMatchObject({ status: "rejected" });
    expect(String((result as PromiseRejectedResult).reason)).toMatch(
      /worker thread stopped.*open sessions and upload tensors again/,
    );
  }
  expect(runtimeStats()).toEqual({ sessions: 0, residentTensors: 0, residentBytes: 0 });

  await using next = await openSession(matrixPower(1));
  expect((await next.run({ x: float32([2], [1, 1]) })).y).toEqual(float32([4], [1, 1]));
  await expect(next.run({ x: held })).rejects.toThrow(/another or a stopped backend; upload it again/);
  await expect(session.run({ x: zeros([2, 2]) })).rejects.toThrow(RuntimeError);
  held.dispose();
  await session.release();
  expect(runtimeStats()).toEqual({ sessions: 1, residentTensors: 0, residentBytes: 0 });
});

/** Runs a script in a process of its own; resolves with what it printed if it ended with code 0. */
async function script(body: string): Promise<string> {
  const here = new URL(".", import.meta.url);
  const imports = [
    `import { openSession } from "${new URL("../../../lib/runtime/index.ts", here)}";`,
    `import { float32, zeros } from "${new URL("../../../lib/tensor/index.ts", here)}";`,
    `import { adder, matrixPower } from "${new URL("tiny-models.ts", here)}";`,
  ];
  const args = ["--import", "tsx", "--input-type=module", "--eval", [...imports, body].join("\n")];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 });
  return stdout.trim();
}

test("a script ends with its sessions open, though not before its runs are done", async () => {
  const body = `
    const session = await openSession(adder);
    session.run({ a: float32([1]), b: float32([2]) }).then(({ y }) => console.log(y.data[0]));
  `;
  expect(await script(body)).toBe("3");
});

test("a process may exit in the middle of a run", async () => {
  const body = `
    const session = await openSession(matrixPower(20));
    session.run({ x: zeros([512, 512]) });
    setTimeout(() => { console.log("leaving"); process.exit(0); }, 20);
  `;
  expect(await script(body)).toBe("leaving");
});
