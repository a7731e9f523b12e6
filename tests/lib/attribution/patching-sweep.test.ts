import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type PatchingSweepOptions, patchingSweep } from "../../../lib/attribution/index.js";
import { patchRows } from "../../../lib/attribution/patch-rows.js";
import {
  type DenoiserChange,
  type GenerateOptions,
  type Generation,
  load,
  type Pipeline,
  type SamplerName,
} from "../../../lib/diffusion/index.js";
import { at, type HookPoint, UnknownHookPointError } from "../../../lib/hooks/index.js";
import { closeRuntime } from "../../../lib/runtime/index.js";
import { float32 } from "../../../lib/tensor/index.js";
import { CheckpointError, writeCheckpoint } from "../../../lib/train/index.js";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let pipe: Pipeline;
beforeAll(async () => {
  pipe = await load("shapes");
});
afterAll(async () => {
  await pipe.release();
  await closeRuntime();
});

const clean = { prompt: "a red circle", seed: 7 };
const corrupted = { prompt: "a blue square", seed: 7 };
const sweep = (options: Pick<PatchingSweepOptions, "at"> & Partial<PatchingSweepOptions>) =>
  patchingSweep(pipe, { clean, corrupted, steps: 4, ...options });

/** Keeps the runs that a metric sees: the two unpatched ones, then the patched ones. */
function witness() {
  const runs: Generation[] = [];
  const metric = (run: Generation): number[] => {
    runs.push(run);
    return run.items.map(() => runs.length);
  };
  return { runs, metric };
}

describe("patchingSweep", () => {
  it.each(["ddim", "heun", "euler-ancestral", "pndm"] as SamplerName[])(
    "recovers everything from the whole prediction, and nothing from what both runs share (%s)",
    async (sampler) => {
      const options = { at: ["out_sample", "time_embedding"], windows: [[0, 4]], sampler, batchSize: 1 } as const;
      const result = await sweep(options);
      expect([...result.effect.data]).toEqual([1, 0]);
      expect(result.atSource).toBe(1);
      expect(result.atTarget).toBe(0);
      const noising = await sweep({ ...options, direction: "noising" });
      expect([...noising.effect.data]).toEqual([1, 0]);
      expect(noising.target.items[0]!.prompt).toBe(clean.prompt);
    },
  );

  it.each(["ddim", "dpmpp-2m", "euler-ancestral"] as SamplerName[])(
    "gives to the bit what full runs with the activation replaced give (%s)",
    async (sampler) => {
      const { runs, metric } = witness();
      const path = "up_blocks.0";
      await sweep({
        at: path,
        windows: [
          [1, 2],
          [2, 4],
        ],
        branch: "cond",
        sampler,
        batchSize: 1,
        metric,
      });
      const settings: GenerateOptions = { steps: 4, sampler, seed: 7, decode: false };
      const { activations } = await pipe.generate(clean.prompt, { ...settings, capture: [path] });
      const replaced = (from: number, to: number) =>
        Array.from({ length: to - from }, (_, i) =>
          at(path).replace(activations[path]!.tensor.row(from + i).reshape([2, 64, 8, 8]), {
            branch: "cond",
            when: ({ step }) => step === from + i,
          }),
        );
      for (const [i, window] of (
        [
          [1, 2],
          [2, 4],
        ] as const
      ).entries()) {
        const full = await pipe.generate(corrupted.prompt, { ...settings, edits: replaced(window[0], window[1]) });
        expect(runs[2 + i]!.finalLatents.data).toEqual(full.finalLatents.data);
        expect(full.finalLatents.data).not.toEqual(runs[1]!.finalLatents.data);
      }
    },
  );

  it("gives the same one by one and side by side, and counts cells as they are done", async () => {
    const options = { at: ["mid_block", "up_blocks.*", "**.attn2"], windows: 2 };
    const progress: number[] = [];
    const together = await sweep({ ...options, batchSize: 8, onProgress: (done, total) => progress.push(done, total) });
    const alone = await sweep({ ...options, batchSize: 1 });
    expect(together.hookPoints).toEqual(alone.hookPoints);
    expect(together.hookPoints.length).toBe(11);
    together.effect.data.forEach((v, i) => void expect(v).toBeCloseTo(alone.effect.data[i]!, 4));
    expect(progress).toEqual([8, 22, 16, 22, 19, 22, 22, 22]);
  });

  it("patches attention probabilities, whose rows are of items and heads", async () => {
    const result = await sweep({ at: ["up_blocks.1.attentions.0.**.probs"], windows: [[0, 4]] });
    expect(result.hookPoints.length).toBe(2);
    expect(result.effect.data.every((v) => Number.isFinite(v) && v !== 0)).toBe(true);
  });

  it("feeds a source's heads to the rows of the patched item alone", () => {
    const point: HookPoint = {
      path: "attn2.probs",
      kind: "attention",
      value: "p",
      axes: ["batch*head", "query", "key"],
      shape: [undefined, 1, 1],
    };
    const tensor = float32([...Array(8).keys()], [2, 2, 1, 2, 1, 1]);
    const activation = { hookPoint: point, axes: ["step", "branch", "item", "head", "query", "key"] as const, tensor };
    const edit = patchRows(
      point,
      { activation, branches: ["uncond", "cond"] },
      { item: 1, branch: "cond", call: () => ({ index: 1, patched: true }) },
    );
    const context = { step: 1, branches: ["uncond", "uncond", "cond", "cond"] as const, items: [0, 1, 0, 1] };
    const { values, rows, mask } = edit.feeds(point, context);
    expect([...(values!.data as Float32Array)]).toEqual([4, 5, 6, 7]);
    expect([...(rows!.data as BigInt64Array)].map(Number)).toEqual([0, 1, 0, 1, 2, 3, 2, 3]);
    expect([...(mask!.data as Uint8Array)]).toEqual([0, 0, 0, 0, 0, 0, 1, 1]);
  });

  it("judges by any metric of the run, and normalises it", async () => {
    const redness = (run: Generation): number[] =>
      run.items.map((_, i) => {
        const { data } = run.pixels!.row(i).row(0);
        return data.reduce((sum, v) => sum + v, 0) / data.length;
      });
    const result = await sweep({ at: "out_sample", windows: "until", metric: redness });
    expect(result.manifest.metric).toBe("redness");
    expect(result.atSource).toBe(redness(result.source)[0]);
    expect(result.values.data[3]).toBeCloseTo(result.atSource, 6);
    expect(result.effect.data[3]).toBeCloseTo(1, 4);
    expect(result.table().numRows()).toBe(4);
    expect(result.table().get("last step", 2)).toBe(2);
    expect(result.figure().summary).toMatch(/1×4, share of the way to the clean run/);
  });

  describe("with a checkpoint", () => {
    const folder = mkdtempSync(join(tmpdir(), "tweedie-sweep-"));
    afterAll(() => rmSync(folder, { recursive: true }));
    const options = { at: ["mid_block", "up_blocks.0", "up_blocks.1"], windows: 2, batchSize: 2 } as const;

    it("goes on where it was broken off, and gives what an unbroken sweep gives", async () => {
      const checkpoint = join(folder, "broken-off");
      const controller = new AbortController();
      const { runs, metric } = witness();
      const broken = sweep({
        ...options,
        checkpoint,
        metric,
        signal: controller.signal,
        onProgress: (done) => void (done === 4 && controller.abort(new Error("enough"))),
      });
      await expect(broken).rejects.toThrow("enough");
      expect(runs).toHaveLength(4); // the two unpatched ones, and two of four
      const rest = witness();
      const { values } = await sweep({ ...options, checkpoint, metric: rest.metric });
      expect(rest.runs).toHaveLength(4);
      // A witness says how manieth a run was: those of the first sweep, then of the second.
      expect([...values.data]).toEqual([3, 4, 3, 4, 3, 4]);
    });

    it("keeps numbers to the bit, however many hook points share a run", async () => {
      const checkpoint = join(folder, "kept");
      const whole = await sweep({ ...options, checkpoint });
      expect(whole.values.data.some((v) => v !== 0)).toBe(true);
      const again = await sweep({ ...options, checkpoint, batchSize: 1 });
      expect(again.values.data).toEqual(whole.values.data);
      expect((await sweep(options)).values.data).toEqual(whole.values.data);
    });

    it("refuses the cells of another sweep", async () => {
      const checkpoint = join(folder, "other");
      await sweep({ ...options, checkpoint });
      const refused = async (other: Partial<PatchingSweepOptions>, message: RegExp) => {
        const error = await sweep({ ...options, checkpoint, ...other }).catch((e: unknown) => e);
        expect(error).toBeInstanceOf(CheckpointError);
        expect((error as Error).message).toMatch(message);
      };
      await refused({ at: "mid_block" }, /other hook points: .* not \["mid_block"\]/);
      await refused({ windows: "from" }, /other windows/);
      await refused({ direction: "noising" }, /other direction: "denoising", not "noising"/);
      await refused({ guidanceScale: 2 }, /other source\.guidanceScale: 7\.5, not 2;/);
      // What a function does is in no manifest, but the runs end elsewhere.
      const dimmed: DenoiserChange = (denoiser) => async (x, sigma, condition) => {
        const { data, shape } = await denoiser(x, sigma, condition);
        return float32(
          data.map((v) => 0.9 * v),
          shape,
        );
      };
      await refused({ changes: [dimmed] }, /the source run of the sweep in it ends in other latents/);
      await writeCheckpoint(checkpoint, { step: 1, tensors: {}, metadata: {} });
      await refused({}, /got one of a training/);
    });
  });

  it("refuses windows, hook points and runs that make no sense, and stops when told", async () => {
    await expect(sweep({ at: "mid_blok" })).rejects.toThrow(UnknownHookPointError);
    await expect(sweep({ at: "mid_block", windows: [[2, 5]] })).rejects.toThrow(/within 0…4, got \[2, 5\]/);
    await expect(sweep({ at: "timestep" })).rejects.toThrow(/no batch/);
    await expect(sweep({ at: "mid_block", corrupted: clean })).rejects.toThrow(/same latents/);
    const controller = new AbortController();
    const stopped = sweep({
      at: "mid_block",
      signal: controller.signal,
      onProgress: () => controller.abort(new Error("enough")),
    });
    await expect(stopped).rejects.toThrow("enough");
  });
});
