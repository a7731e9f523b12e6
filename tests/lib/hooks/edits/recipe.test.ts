import { afterAll, describe, expect, it } from "vitest";
import { ablateFeatures, clampFeatures, scaleFeatures, steer } from "../../../../lib/features/index.js";
import {
  type Activation,
  at,
  type Edit,
  type EditRecipe,
  editFromRecipe,
  registerEditKind,
} from "../../../../lib/hooks/index.js";
import { closeRuntime } from "../../../../lib/runtime/index.js";
import { Sae } from "../../../../lib/sae/index.js";
import { float32 } from "../../../../lib/tensor/index.js";
import { counted, guided, runUnet, unet } from "./toys.js";

const model = unet();
afterAll(async () => {
  await model.release();
  await closeRuntime();
});

const mid = at("mid_block");
const recorded: Activation = {
  hookPoint: { path: "mid_block", kind: "module", value: "", axes: ["batch", "channel", "y", "x"], shape: [undefined, 2, 2, 2] },
  axes: ["step", "branch", "item", "channel", "y", "x"],
  tensor: float32(
    Float32Array.from({ length: 16 }, (_, i) => i + 0.1),
    [1, 2, 1, 2, 2, 2],
  ),
  calls: [{ step: 3, timestep: 500 }],
};
const identity = float32([1, 0, 0, 1], [2, 2]);
const sae = new Sae(
  { variant: "relu", width: 2, features: 2, scale: 1 },
  { W_enc: identity, b_enc: float32([0, 0]), W_dec: identity, b_dec: float32([0, 0]) },
);

const plainEdits: readonly Edit[] = [
  mid.scale(0.3, { branch: "cond", channels: [1], timesteps: [400, 600], schedule: { 0: 0.1, 900: 0.7 } }),
  mid.add([1, -2], 0.1, { region: float32([0, 0.25, 0.5, 1], [2, 2]), items: [0], steps: [3] }),
  mid.add(Float32Array.of(0.1, 0.2)),
  mid.replace(0.1, { timesteps: { only: [500] }, region: { top: 0, left: 0, bottom: 0.5, right: 0.7 } }),
  mid.replace(float32([1, 2])),
  mid.ablate(),
  mid.ablate("mean", { channels: [0] }),
  mid.ablate({ mean: float32([1, 2]) }),
  mid.ablate({ bank: recorded.tensor.reshape([2, 2, 2, 2]), seed: 4 }),
  mid.ablate({ resample: 5 }, { items: [1] }),
  mid.patch(recorded, { from: "cond", branch: "cond" }),
  mid.projectOut(float32([1, 2]), 0.7),
  mid.lowRank({ down: float32([1, 2], [1, 2]), up: float32([3, 0.1], [2, 1]) }, undefined, { channels: [1] }),
  steer(sae, 1, -3, { at: "mid_block", places: float32([0, 1, 1, 0], [2, 2]) }),
  scaleFeatures(sae, [0], 2, { at: "conv_in", branch: "cond" }),
  ablateFeatures(sae, [0, 1], { at: "conv_in" }),
  clampFeatures(sae, [1], 5, { at: "mid_block", region: float32([1, 0, 0, 0], [2, 2]) }),
];

/** What is left of a recipe once it has been written to JSON, its tensors beside it. */
function saved({ tensors, ...rest }: EditRecipe): EditRecipe {
  return { ...JSON.parse(JSON.stringify(rest)), tensors };
}

describe("recipes", () => {
  it.each(plainEdits.map((edit) => [edit.label, edit] as const))("make again: %s", async (_, edit) => {
    const again = editFromRecipe(saved(edit.recipe!));
    // Two pictures, or one with its two branches.
    const context = edit.label.includes("items [1]") ? { step: 3 } : guided;
    const output = async (edits: readonly Edit[]): Promise<Uint8Array> =>
      (await runUnet(model, counted, edits, { context })).output.bytes;
    expect(await output([again])).toEqual(await output([edit]));
    expect(await output([again])).not.toEqual(await output([]));
    expect(again.label).toBe(edit.label);
    expect(saved(again.recipe!)).toEqual(saved(edit.recipe!));
  });
  it("hold plain data and tensors", () => {
    const direction = float32([1, -2]);
    expect(mid.add(direction, 2, { channels: [1] }).recipe).toEqual({
      kind: "add",
      pattern: "mid_block",
      arguments: [{ $tensor: "0" }, 2, { channels: [1] }],
      tensors: { "0": direction },
    });
  });
  it("are not made where a function is part of the edit, and the label says so", () => {
    const edits = [
      mid.scale(({ step }) => step),
      mid.replace(1, { when: () => true }),
      mid.ablate("zero", { schedule: () => 1 }),
      mid.graph((x) => x),
      mid.call(() => undefined),
      scaleFeatures(sae, [0], () => 1, { at: "mid_block" }),
    ];
    for (const { recipe, label } of edits)
      expect([recipe, label]).toEqual([undefined, expect.stringMatching(/holds a function/)]);
  });
  it("know kinds that are registered, and say which they do not know", async () => {
    const recipe: EditRecipe = { kind: "double", pattern: "mid_block", arguments: [3], tensors: {} };
    expect(() => editFromRecipe(recipe)).toThrow(/"double" is no kind of edit; known are ablate, add/);
    registerEditKind("double", (pattern, times: number) => at(pattern).scale(2 ** times));
    const { output } = await runUnet(model, counted, [editFromRecipe(recipe)], { context: guided });
    expect([...(output.data as Float32Array)]).toEqual([...counted.data].map((v) => 10 * (8 * (-6 * v - 3) + 2 * v + 1)));
    expect(() => editFromRecipe({ ...mid.add([1, 2]).recipe!, kind: "toString" })).toThrow(/no kind of edit/);
    const { recipe: whole } = mid.add(float32([1, 2]));
    expect(() => editFromRecipe({ ...whole!, tensors: {} })).toThrow(/tensor "0" is missing/);
  });
});
