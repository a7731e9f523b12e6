import { afterAll, describe, expect, it } from "vitest";
import {
  type Activation,
  at,
  type Edit,
  type EditOptions,
  type EditTarget,
  type StepContext,
} from "../../../../lib/hooks/index.js";
import { closeRuntime } from "../../../../lib/runtime/index.js";
import { float32, type Tensor } from "../../../../lib/tensor/index.js";
import { awkward, counted, guided, runUnet, sequences, unet } from "./toys.js";

const model = unet();
const tokens = sequences();

afterAll(async () => {
  await Promise.all([model.release(), tokens.release()]);
  await closeRuntime();
});

type Hit = (row: number, channel: number, place: number) => number;
const everywhere: Hit = () => 1;
/** By how much of itself mid_block lost: 1 where scale 0 reached, 0 where it did not. */
async function reach(options: EditOptions, context: StepContext = guided, x = counted): Promise<number[]> {
  const { activation } = await runUnet(model, x, [at("mid_block").scale(0, options)], { context });
  return Array.from(activation.tensor.data, (v, i) => 1 - v / (-6 * x.data[i]! - 3));
}
const shares = (hit: Hit): number[] => Array.from(counted.data, (_, i) => hit(i >> 3, (i >> 2) & 1, i & 3));
const expectShares = (got: readonly number[], hit: Hit): void =>
  shares(hit).forEach((share, i) => {
    expect(got[i], `share at ${i}`).toBeCloseTo(share, 6);
  });

describe("limits", () => {
  it("hold an edit to rows: a branch, a picture", async () => {
    expectShares(await reach({ branch: "cond" }), (row) => row);
    expectShares(await reach({ items: [1] }, { step: 0 }), (row) => row);
    expectShares(await reach({ items: [0] }), everywhere); // the one picture's two branches
    const second: StepContext = { ...guided, items: [4, 4] };
    expectShares(await reach({ items: [4], branch: "uncond" }, second), (row) => 1 - row);
    expectShares(await reach({ items: [0] }, second), () => 0);
  });
  it("hold it to steps and timesteps", async () => {
    const cases: [EditOptions, number][] = [
      [{ steps: [2, 3] }, 1],
      [{ steps: [2] }, 0],
      [{ timesteps: [500, 600] }, 1],
      [{ timesteps: [400, 500] }, 1],
      [{ timesteps: [501, 600] }, 0],
      [{ timesteps: { only: [1, 500] } }, 1],
      [{ timesteps: { only: [499, 501] } }, 0],
      [{ when: ({ sigma }) => sigma === undefined }, 1],
      [{ steps: [3], timesteps: [0, 400] }, 0],
    ];
    for (const [options, share] of cases) expectShares(await reach(options), () => share);
  });
  it("let it rise and fall by a table of timesteps, with straight lines between, or by a function", async () => {
    const table = { 900: 0, 400: 1, 100: 0.5 };
    const shareAt = async (timestep: number): Promise<number> => (await reach({ schedule: table }, { ...guided, timestep }))[0]!;
    expect(await shareAt(900)).toBe(0);
    expect(await shareAt(999)).toBe(0);
    expect(await shareAt(400)).toBe(1);
    expect(await shareAt(650)).toBeCloseTo(0.5, 6);
    expect(await shareAt(250)).toBeCloseTo(0.75, 6);
    expect(await shareAt(0)).toBeCloseTo(0.5, 6);
    expectShares(await reach({ schedule: ({ step }) => step / 4, branch: "cond" }), (row) => 0.75 * row);
  });
  it("hold it to channels and to a part of the picture, hard or soft", async () => {
    expectShares(await reach({ channels: [1] }), (_, c) => c);
    expectShares(await reach({ region: { top: 0, left: 0.5, bottom: 1, right: 1 } }), (_, __, place) => place & 1);
    expectShares(await reach({ region: { top: 0.25, left: 0, bottom: 1, right: 0.5 } }), (_, __, p) => [0.5, 0, 1, 0][p]!);
    const mask = float32([1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0.5, 0, 0, 0, 0], [4, 4]); // means of its quarters:
    expectShares(await reach({ region: mask }), (_, __, p) => [0.5, 0.25, 0, 0.125][p]!);
    expectShares(await reach({ region: float32([0.25], [1, 1]) }), () => 0.25);
    const uneven = float32([1, 1, 1, 1, 0, 0, 0, 0, 0], [3, 3]); // two thirds of a cell from one row, one third from the next
    expectShares(await reach({ region: uneven }), (_, __, p) => [8 / 9, 6 / 9, 2 / 9, 0][p]!);
  });
  it("hold together", async () => {
    const all: EditOptions = {
      branch: "cond",
      items: [0],
      steps: [3],
      timesteps: [500, 500],
      when: () => true,
      channels: [0],
      region: float32([0, 1, 0.5, 0], [2, 2]),
      schedule: { 0: 0.5 },
    };
    expectShares(await reach(all), (row, c, p) => (row === 1 && c === 0 ? [0, 0.5, 0.25, 0][p]! : 0));
  });
  it("hold it to tokens, and read rows of tokens as a grid", async () => {
    const sequence = float32(
      Array.from({ length: 16 }, (_, i) => i + 1),
      [2, 4, 2],
    );
    const scores = float32(new Float32Array(48), [2, 2, 4, 3]);
    const run = async (point: string, edit: Edit): Promise<Float32Array> => {
      const { activations } = await tokens.run({ sequence, scores }, { capture: [point], edits: [edit], context: guided });
      return activations[point]!.tensor.data as Float32Array;
    };
    const ff = at("ff");
    expect([...(await run("ff", ff.scale(0, { tokens: [0, 2] })))]).toEqual([
      0, 0, 6, 8, 0, 0, 14, 16, 0, 0, 22, 24, 0, 0, 30, 32,
    ]);
    const right = { top: 0, left: 0.5, bottom: 1, right: 1 };
    expect([...(await run("ff", ff.replace(-1, { region: right, branch: "cond" })))]).toEqual([
      2, 4, 6, 8, 10, 12, 14, 16, 18, 20, -1, -1, 26, 28, -1, -1,
    ]);
    const wide = float32([0, 0, 1, 1], [1, 4]);
    expect([...(await run("ff", ff.replace(-1, { region: wide, channels: [1] })))]).toEqual([
      2, 4, 6, 8, 10, -1, 14, -1, 18, 20, 22, 24, 26, -1, 30, -1,
    ]);
    const probs = await run(
      "attn.probs",
      at("attn.probs").replace(9, { heads: [1], tokens: [2], region: right, branch: "cond" }),
    );
    probs.forEach((p, i) => {
      const [row, head, query, key] = [Math.floor(i / 24), Math.floor(i / 12) % 2, Math.floor(i / 3) % 4, i % 3];
      expect(p).toBeCloseTo(row === 1 && head === 1 && query % 2 === 1 && key === 2 ? 9 : 1 / 3, 6);
    });
  });

  const own: Activation = {
    hookPoint: { path: "mid_block", kind: "module", value: "", axes: [] },
    axes: ["channel", "y", "x"],
    tensor: float32([7, 7, 7, 7, 7, 7, 7, 7], [2, 2, 2]),
  };
  const seven: Record<keyof EditTarget, (options: EditOptions) => Edit> = {
    ablate: (options) => at("mid_block").ablate({ mean: float32([7, 7]) }, options),
    add: (options) => at("mid_block").add([7, 7], 1, options),
    call: (options) =>
      at("mid_block").call(
        ({ tensor }) =>
          float32(
            tensor.data.map(() => 7),
            tensor.shape,
          ),
        options,
      ),
    graph: (options) => at("mid_block").graph((x, g) => g.fullLike(x, 7), options),
    lowRank: (options) =>
      at("mid_block").lowRank({ down: float32([1, 0, 0, 1], [2, 2]), up: float32([1, 0, 0, 1], [2, 2]) }, 1, options),
    patch: (options) => at("mid_block").patch(own, options),
    projectOut: (options) => at("mid_block").projectOut([1, 0], 1, options),
    replace: (options) => at("mid_block").replace(7, options),
    scale: (options) => at("mid_block").scale(7, options),
  };
  it.each(Object.entries(seven))(
    "hold %s: whatever it does, what is not reached keeps every bit, and soft places are mixed",
    async (_, edit) => {
      const plain = (await runUnet(model, awkward, [])).activation.tensor;
      const full = (await runUnet(model, awkward, [edit({})])).activation.tensor;
      const region = float32([1, 0.25, 0, 0], [2, 2]);
      const limited = (await runUnet(model, awkward, [edit({ branch: "cond", channels: [1], region })])).activation.tensor;
      const bits = (tensor: Tensor): Uint32Array => new Uint32Array(tensor.bytes.buffer, tensor.bytes.byteOffset, 16);
      limited.data.forEach((v, i) => {
        const weight = i >> 2 === 3 ? region.data[i & 3]! : 0;
        if (weight === 0) expect(bits(limited)[i], `place ${i}`).toBe(bits(plain)[i]);
        else if (weight === 1) expect(v, `place ${i}`).toBe(full.data[i]);
        else {
          const mixed = 0.75 * plain.data[i]! + 0.25 * full.data[i]!;
          expect(Number.isNaN(mixed) ? Number.isNaN(v) : Math.abs(v - mixed) < 1e-5, `place ${i}: ${v} for ${mixed}`).toBe(true);
        }
      });
    },
  );

  it("say what does not fit", async () => {
    const wrong: [EditOptions, RegExp, StepContext?][] = [
      [{ channels: [2] }, /channels are 0…1, got 2/],
      [{ tokens: [0] }, /no token or key axis .*channel 2, y 2, x 2/],
      [{ heads: [0] }, /no head axis/],
      [{ branch: "cond" }, /guided run/, { step: 0 }],
      [{ timesteps: [0, 1] }, /does not tell them/, { step: 0 }],
      [{ schedule: { 0: 1 } }, /does not tell them/, { step: 0 }],
      [{ schedule: () => Number.NaN }, /finite number, got NaN/],
      [{ region: float32([2], [1, 1]) }, /0…1/],
      [{ region: float32([1, 1]) }, /\[y, x\]/],
      [{ region: { top: 0, left: 0, bottom: 2, right: 1 } }, /0 ≤ top < bottom ≤ 1/],
    ];
    for (const [options, message, context = guided] of wrong) await expect(reach(options, context)).rejects.toThrow(message);
    const feeds = { sequence: float32(new Float32Array(16), [2, 4, 2]), scores: float32(new Float32Array(48), [2, 2, 4, 3]) };
    const square = at("ff").scale(0, { region: float32([1, 1, 1], [3, 1]) });
    await expect(tokens.run(feeds, { edits: [square] })).rejects.toThrow(/no grid of proportions 3:1/);
  });
});
