import { afterAll, describe, expect, it } from "vitest";
import { type Activation, at, type PatchOptions, type StepContext, select } from "../../../../lib/hooks/index.js";
import { closeRuntime } from "../../../../lib/runtime/index.js";
import { float32, type Tensor } from "../../../../lib/tensor/index.js";
import { toyPipeline } from "../../activations/toy-pipeline.js";
import { counted, runUnet, unet } from "./toys.js";

/** A recording of mid_block: calls × branches × 2 pictures, every number of a row being 100·call + 10·branch + item. */
function recording(calls: number, branches: number, extra: Partial<Activation> = {}): Activation {
  const rows = Array.from({ length: calls * branches * 2 }, (_, i) => {
    const [call, branch, item] = [Math.floor(i / (2 * branches)), Math.floor(i / 2) % branches, i % 2];
    return new Array<number>(8).fill(100 * call + 10 * branch + item);
  });
  return {
    hookPoint: { path: "mid_block", kind: "module", value: "", axes: ["batch", "channel", "y", "x"] },
    axes: ["step", "branch", "item", "channel", "y", "x"],
    tensor: float32(rows.flat(), [calls, branches, 2, 2, 2, 2]),
    ...extra,
  };
}

const model = unet();
const pipe = toyPipeline();
afterAll(async () => {
  await Promise.all([model.release(), pipe.release()]);
  await closeRuntime();
});

/** The number that each of the two rows was patched with; undefined where it kept its own. */
async function patched(from: Activation, options: PatchOptions, context: StepContext): Promise<(number | undefined)[]> {
  const { activation } = await runUnet(model, counted, [at("mid_block").patch(from, options)], { context });
  return [0, 1].map((row) => {
    const numbers = new Set(activation.tensor.row(row).data);
    return numbers.size === 1 ? [...numbers][0] : undefined;
  });
}

describe("patch", () => {
  const guided: StepContext = { step: 1, timestep: 400, branches: ["uncond", "cond"] };

  it("takes what was recorded at the same call, branch and picture", async () => {
    expect(await patched(recording(3, 2), {}, guided)).toEqual([100, 110]);
    expect(await patched(recording(3, 2), {}, { ...guided, items: [1, 1] })).toEqual([101, 111]);
    expect(await patched(recording(3, 2), {}, { ...guided, call: 2 })).toEqual([200, 210]);
    expect(await patched(recording(3, 1), {}, { step: 2 })).toEqual([200, 201]);
  });
  it("goes by step and timestep where the recording tells its calls", async () => {
    const calls = [
      { step: 1, timestep: 450 },
      { step: 1, timestep: 400 },
      { step: 7, timestep: 100 },
    ];
    expect(await patched(recording(3, 2, { calls }), {}, { ...guided, call: 5 })).toEqual([100, 110]);
    await expect(patched(recording(3, 2, { calls }), {}, { ...guided, timestep: 399 })).rejects.toThrow(/step axis/);
  });
  it("takes a call, branch or picture that is named", async () => {
    expect(await patched(recording(3, 2), { step: 0, from: "cond", item: 1 }, guided)).toEqual([11, 11]);
    expect(await patched(recording(3, 2), { from: "uncond" }, { step: 0 })).toEqual([0, 1]);
    expect(await patched(recording(3, 1), { from: "cond" }, guided)).toEqual([100, 100]);
    expect(await patched(select(recording(3, 2), { step: 2 }), {}, guided)).toEqual([200, 210]);
    expect(await patched(select(recording(3, 2), { step: 2, branch: 0, item: 1 }), {}, guided)).toEqual([201, 201]);
  });
  it("asks nothing of rows that it does not reach", async () => {
    expect(await patched(recording(3, 1), { branch: "cond" }, guided)).toEqual([undefined, 100]);
    expect(await patched(recording(1, 2), { steps: [0] }, guided)).toEqual([undefined, undefined]);
  });
  it("keeps a recording of one branch to that branch, unless it is chosen for others", async () => {
    const uncond: Activation = { ...select(recording(3, 2), { branch: 0 }), branch: "uncond" };
    await expect(patched(uncond, {}, guided)).rejects.toThrow(/only the branch "uncond" was recorded, needed is cond/);
    expect(await patched(uncond, { branch: "uncond" }, guided)).toEqual([100, undefined]);
    expect(await patched(uncond, { from: "uncond" }, guided)).toEqual([100, 100]);
  });
  it("refuses what was not recorded or has another shape", async () => {
    await expect(patched(recording(1, 2), {}, guided)).rejects.toThrow(/step axis only 0 was recorded, needed is 1/);
    await expect(patched(recording(3, 2), {}, { ...guided, items: [2, 2] })).rejects.toThrow(
      /item axis 0…1 was recorded, needed is 2/,
    );
    await expect(patched(recording(3, 1), {}, guided)).rejects.toThrow(/branch axis .* choose with from/);
    await expect(patched(recording(3, 2), {}, { step: 0 })).rejects.toThrow(/branch axis/);
    const unguided = recording(3, 2);
    (unguided.tensor as Tensor<"float32">).data.fill(Number.NaN, 32, 48); // the unconditional branch at call 1
    await expect(patched(unguided, {}, guided)).rejects.toThrow(/guidance interval/);
    expect(await patched(unguided, { branch: "cond" }, guided)).toEqual([undefined, 110]);
    const pooled = recording(3, 2, {
      axes: ["step", "branch", "item", "channel"],
      tensor: float32(new Float32Array(24), [3, 2, 2, 2]),
    });
    await expect(patched(pooled, {}, guided)).rejects.toThrow(
      /recorded was \[channel 2\] per row, its activation is \[batch batch, channel 2/,
    );
  });
  it("follows a pipeline through second-order steps, batches and calls that were not recorded", async () => {
    const options = { steps: 3, guidanceScale: 3, decode: false, sampler: "heun", capture: ["out_sample"] } as const;
    const prompts = ["red", "blue"];
    for (const captureAt of [() => true, ({ step }: { step: number }) => step > 0]) {
      const donor = await pipe.generate(prompts, { ...options, captureAt, seeds: [1, 2], batchSize: 1 });
      const recorded = donor.activations.out_sample!;
      const other = { ...options, captureAt, seeds: [3, 4] };
      const plain = await pipe.generate(prompts, other);
      expect(plain.activations.out_sample!.tensor.bytes).not.toEqual(recorded.tensor.bytes);
      const edits = [at("out_sample").patch(recorded, { when: (context) => captureAt(context) })];
      const patched = await pipe.generate(prompts, { ...other, edits });
      expect(patched.activations.out_sample!.tensor.bytes).toEqual(recorded.tensor.bytes);
    }
  });
});
