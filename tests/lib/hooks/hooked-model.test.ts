import { afterAll, describe, expect, it } from "vitest";
import { type Activation, at, type Edit, HookedModel, hookedSession, type StepContext } from "../../../lib/hooks/index.js";
import { closeRuntime, runtimeStats } from "../../../lib/runtime/index.js";
import { float32, type Tensor } from "../../../lib/tensor/index.js";
import { toyUnet } from "./toy-unet.js";

// Two rows, two channels, four places: x = 0…15. The last entry is −0, to see that its sign survives.
const x = float32([...Array(15).keys(), -0], [2, 2, 2, 2]);
const shapes = { sample: ["batch", 2, 2, 2] } as const;
const toy = new HookedModel(toyUnet(), { inputShapes: shapes, maxSessions: 2 });
const guided: StepContext = { step: 3, branches: ["uncond", "cond"] };

async function output(edits: readonly Edit[], context: StepContext = guided): Promise<number[]> {
  const { outputs } = await toy.run({ sample: x }, { edits, context });
  return [...(outputs.out_sample as Tensor<"float32">).data];
}
const numbers = (activation: Activation | undefined): number[] => [...((activation as Activation).tensor.data as Float32Array)];
const expected = (f: (x: number, row: number, channel: number, place: number) => number): number[] =>
  [...x.data].map((v, i) => f(v, i >> 3, (i >> 2) & 1, i & 3));

afterAll(async () => {
  await toy.release();
  await closeRuntime();
});

describe("capture", () => {
  it("returns activations with their axes and leaves the output as it is", async () => {
    const { outputs, activations } = await toy.run({ sample: x }, { capture: ["mid_block", "down_blocks.0:res0"] });
    expect(numbers(activations.mid_block)).toEqual(expected((v) => -6 * v - 3));
    expect(activations["down_blocks.0:res0"]?.axes).toEqual(["batch", "channel", "y", "x"]);
    expect([...(outputs.out_sample as Tensor<"float32">).data]).toEqual(expected((v) => -40 * v - 20));
    expect(Object.keys(outputs)).toEqual(["out_sample"]);
  });
  it.each([14, 18])("reduces in the graph at opset %i", async (opset) => {
    const session = await hookedSession(toyUnet(opset), {
      capture: [
        { at: "conv_in", reduce: "mean", as: "mean" },
        { at: "conv_in", reduce: "max", as: "max" },
        { at: "conv_in", reduce: "tokens", as: "vectors" },
        { at: "conv_in", reduce: { tokens: [3] }, as: "corner" },
        { at: "conv_in", reduce: { channels: [1] }, as: "channel" },
        { at: "conv_in", reduce: { name: "sign", axes: ["batch", "channel", "y", "x"], program: (v) => v.sign() }, as: "sign" },
      ],
    });
    const { activations } = await session.run({ sample: x });
    const values = (key: string): unknown => ({
      shape: activations[key]?.tensor.shape,
      data: numbers(activations[key]),
    });
    await session.release();
    expect(values("mean")).toEqual({ shape: [2, 2], data: [3, 11, 19, 19.5] });
    expect(values("max")).toEqual({ shape: [2, 2], data: [6, 14, 22, 28] });
    expect(activations.vectors?.axes).toEqual(["batch", "token", "channel"]);
    expect(values("vectors")).toEqual({ shape: [2, 4, 2], data: [0, 8, 2, 10, 4, 12, 6, 14, 16, 24, 18, 26, 20, 28, 22, -0] });
    expect(values("corner")).toEqual({ shape: [2, 1, 2], data: [6, 14, 22, -0] });
    expect(values("channel")).toEqual({ shape: [2, 1, 2, 2], data: [8, 10, 12, 14, 24, 26, 28, -0] });
    expect(activations.sign?.tensor.shape).toEqual([2, 2, 2, 2]);
  });
  it("sees the edited activation", async () => {
    const { activations } = await toy.run({ sample: x }, { capture: ["mid_block"], edits: [at("mid_block").scale(0.5)] });
    expect(numbers(activations.mid_block)).toEqual(expected((v) => -3 * v - 1.5));
  });
  it("refuses to give two captures one key", async () => {
    await expect(toy.run({ sample: x }, { capture: ["mid_block", { at: "mid_block", reduce: "mean" }] })).rejects.toThrow(/`as`/);
  });
});

describe("edits", () => {
  const direction = float32([1, -2]);
  const nowhere = { when: () => false };

  it.each([
    ["scale 1", at("conv_in").scale(1)],
    ["add 0", at("conv_in").add(direction, 0)],
    ["replace nowhere", at("conv_in").replace(direction, nowhere)],
    ["zero ablation nowhere", at("conv_in").ablate("zero", nowhere)],
    ["mean ablation nowhere", at("conv_in").ablate("mean", nowhere)],
    ["the identity program", at("conv_in").graph((v) => v)],
  ] as const)("%s changes no bit", async (_, edit) => {
    const plain = await toy.run({ sample: x }, { capture: ["conv_in"] });
    const edited = await toy.run({ sample: x }, { capture: ["conv_in"], edits: [edit] });
    expect(edited.outputs.out_sample?.bytes).toEqual(plain.outputs.out_sample?.bytes);
    expect(edited.activations.conv_in?.tensor.bytes).toEqual(plain.activations.conv_in?.tensor.bytes);
  });
  it("scale multiplies", async () => {
    expect(await output([at("mid_block").scale(0)])).toEqual(expected((v) => 20 * v + 10));
    expect(await output([at("mid_block").scale(2)])).toEqual(expected((v) => -100 * v - 50));
  });
  it("add moves every place along the direction", async () => {
    expect(await output([at("mid_block").add(direction, 3)])).toEqual(expected((v, _, c) => -40 * v - 20 + (c === 0 ? 30 : -60)));
  });
  it("add takes a tensor that broadcasts", async () => {
    const delta = float32([1, 2, 3, 4], [2, 2]);
    expect(await output([at("mid_block").add(delta)])).toEqual(expected((v, _r, _c, place) => -40 * v - 20 + 10 * (place + 1)));
  });
  it("replace puts another tensor in place", async () => {
    expect(await output([at("mid_block").replace(direction)])).toEqual(expected((v, _, c) => 20 * v + 10 + (c === 0 ? 10 : -20)));
  });
  it("ablate removes, or leaves each channel's mean over places", async () => {
    expect(await output([at("mid_block").ablate()])).toEqual(expected((v) => 20 * v + 10));
    const means = [1.5, 5.5, 9.5, 9.75];
    expect(await output([at("mid_block").ablate("mean")])).toEqual(
      expected((v, row, c) => 10 * (-6 * (means[2 * row + c] ?? 0) - 3 + 2 * v + 1)),
    );
  });
  it("a program may do anything", async () => {
    expect(await output([at("mid_block").graph((v) => v.neg())])).toEqual(expected((v) => 80 * v + 40));
  });
  it("an edit of a block's output reaches readers inside later blocks only, one of the input reaches all", async () => {
    expect(await output([at("down_blocks.0:res0").scale(2)])).toEqual(expected((v) => 2 * (-40 * v - 20)));
    expect(await output([at("sample").add([1, 1])])).toEqual(expected((v) => -40 * (v + 1) - 20));
    expect(await output([at("out_sample").scale(2)])).toEqual(expected((v) => -80 * v - 40));
  });
  it("can be held to a branch, to channels, to steps", async () => {
    const touched = (hit: (row: number, c: number) => boolean) =>
      expected((v, row, c) => (hit(row, c) ? 20 * v + 10 : -40 * v - 20));
    expect(await output([at("mid_block").scale(0, { branch: "cond" })])).toEqual(touched((row) => row === 1));
    expect(await output([at("mid_block").ablate("zero", { channels: [1] })])).toEqual(touched((_, c) => c === 1));
    expect(await output([at("mid_block").scale(0, { branch: "uncond", channels: [0] })])).toEqual(
      touched((row, c) => row === 0 && c === 0),
    );
    expect(await output([at("mid_block").scale(0, { when: ({ step }) => step === 3 })])).toEqual(touched(() => true));
    expect(await output([at("mid_block").scale(0, { when: ({ step }) => step > 3 })])).toEqual(touched(() => false));
    expect(await output([at("mid_block").scale(({ step }) => step - 3)])).toEqual(touched(() => true));
  });
  it("apply in order", async () => {
    const both = [at("mid_block").scale(0), at("mid_block").add([1, 1])];
    expect(await output(both)).toEqual(expected((v) => 20 * v + 20));
    expect(await output([...both].reverse())).toEqual(expected((v) => 20 * v + 10));
  });
  it("name what does not fit", async () => {
    await expect(output([at("mid_block").add([1, 2, 3])])).rejects.toThrow(/\[3\] does not broadcast.*channel 2/);
    await expect(output([at("mid_block").scale(0, { channels: [2] })])).rejects.toThrow(/channels are 0…1, got 2/);
    await expect(output([at("mid_block").scale(0, { branch: "cond" })], { step: 0 })).rejects.toThrow(/guided/);
    await expect(output([at("middle").scale(0)])).rejects.toThrow(/hook point "middle"/);
  });
});

describe("HookedModel", () => {
  it("keeps no more sessions than asked, and shares one between strengths", async () => {
    await using model = new HookedModel(toyUnet(), { maxSessions: 2 });
    const before = runtimeStats().sessions;
    for (const s of [0, 1, 2]) await model.run({ sample: x }, { edits: [at("mid_block").scale(s)] });
    expect(runtimeStats().sessions - before).toBe(1);
    await Promise.all(["conv_in", "mid_block", "up_blocks.0"].map((p) => model.run({ sample: x }, { capture: [p] })));
    await model.run({ sample: x });
    expect(runtimeStats().sessions - before).toBeLessThanOrEqual(2);
  });
  it("never changes the model it was given", async () => {
    const model = toyUnet();
    const before = JSON.stringify(model.graph);
    await using hooked = new HookedModel(model);
    await hooked.run({ sample: x }, { capture: ["**"], edits: [at("mid_block").scale(0)] });
    expect(JSON.stringify(model.graph)).toBe(before);
  });
});
