import { afterAll, describe, expect, it } from "vitest";
import { type Activation, at, type Edit, type EditTarget, type StepContext } from "../../../../lib/hooks/index.js";
import { closeRuntime, runtimeStats } from "../../../../lib/runtime/index.js";
import { float32, toFloat16, toFloat32, zeros } from "../../../../lib/tensor/index.js";
import { toyUnet } from "../toy-unet.js";
import { awkward, counted, runUnet, unet } from "./toys.js";

const direction = float32([1, -2]);
const mask = float32([0, 1, 0, 0], [2, 2]);
const mid = at("mid_block");
const nowhere = { when: () => false };
const rank1 = { down: float32([1, 1], [1, 2]), up: float32([2, 0], [2, 1]) };

/** One number of an edited activation, worked out by hand. */
type ByHand = (m: number, row: number, channel: number, place: number) => number;

interface KindTests {
  /** Edits that change nothing; the activation of the same run without them is there for those that need one. */
  readonly zero: (own: Activation) => readonly Edit[];
  /** Edits of mid_block with what they make of it, on two pictures without guidance. */
  readonly change: readonly (readonly [Edit, ByHand])[];
}

const places = [0, 1, 2, 3];
const m = (row: number, channel: number, place: number): number => -6 * counted.data[8 * row + 4 * channel + place]! - 3;
const donor: Activation = {
  hookPoint: { path: "mid_block", kind: "module", value: "", axes: ["batch", "channel", "y", "x"] },
  axes: ["item", "channel", "y", "x"],
  tensor: float32(
    Array.from({ length: 16 }, (_, i) => 100 + i),
    [2, 2, 2, 2],
  ),
};

const kinds: Record<keyof EditTarget, KindTests> = {
  ablate: {
    zero: () => [mid.ablate("zero", nowhere), mid.ablate("mean", { channels: [] }), mid.ablate({ resample: 1 }, { items: [] })],
    change: [
      [mid.ablate(), () => 0],
      [mid.ablate("mean"), (_, row, c) => places.reduce((sum, place) => sum + m(row, c, place) / 4, 0)],
      [mid.ablate({ mean: direction }), (_, __, c) => direction.data[c]!],
      [mid.ablate({ resample: 3 }), (_, row, c, place) => m(1 - row, c, place)],
      [mid.ablate({ bank: donor.tensor.slice(1), seed: 3 }), (_, __, c, place) => 108 + 4 * c + place],
    ],
  },
  add: {
    zero: () => [mid.add(direction, 0), mid.add([0, 0], 5), mid.add(direction, 5, { items: [] })],
    change: [
      [mid.add(direction, 3), (v, _, c) => v + 3 * direction.data[c]!],
      [mid.add(mask), (v, _, __, place) => v + (place === 1 ? 1 : 0)],
    ],
  },
  call: {
    zero: () => [
      mid.call(() => undefined),
      mid.call(({ tensor }) => tensor),
      mid.call(({ tensor }) => tensor, { channels: [1], branch: "cond" }),
      mid.call(({ tensor }) => float32(tensor.data.fill(7), tensor.shape), nowhere),
    ],
    change: [
      [
        mid.call(async ({ tensor }) =>
          float32(
            tensor.data.map(Math.sqrt).map((_, i) => i),
            tensor.shape,
          ),
        ),
        (_, r, c, p) => 8 * r + 4 * c + p,
      ],
    ],
  },
  graph: {
    zero: () => [mid.graph((x) => x), mid.graph((x) => x, { channels: [0] }), mid.graph((x) => x.neg(), nowhere)],
    change: [
      [mid.graph((x) => x.neg()), (v) => -v],
      [mid.graph((x) => x.neg(), { items: [1] }), (v, row) => (row === 1 ? -v : v)],
    ],
  },
  lowRank: {
    zero: () => [mid.lowRank(rank1, 0), mid.lowRank({ ...rank1, up: zeros([2, 1]) }), mid.lowRank(rank1, 2, { channels: [] })],
    change: [[mid.lowRank(rank1, 0.5), (v, row, c, place) => (c === 0 ? v + m(row, 0, place) + m(row, 1, place) : v)]],
  },
  patch: {
    zero: (own) => [mid.patch(own), mid.patch(own, { branch: "cond", channels: [0] }), mid.patch(donor, { items: [] })],
    change: [
      [mid.patch(donor), (_, row, c, place) => 100 + 8 * row + 4 * c + place],
      [mid.patch(donor, { item: 1 }), (_, __, c, place) => 108 + 4 * c + place],
    ],
  },
  projectOut: {
    zero: () => [mid.projectOut(direction, 0), mid.projectOut([0, 0]), mid.projectOut(direction, 1, { region: zeros([2, 2]) })],
    change: [
      [mid.projectOut([2, 0]), (v, _, c) => (c === 0 ? 0 : v)],
      [mid.projectOut([0, 3], 0.5), (v, _, c) => (c === 1 ? v / 2 : v)],
      [mid.projectOut(float32([1, 1, 2, 2, 1, 0], [3, 2])), () => 0],
    ],
  },
  replace: {
    zero: () => [
      mid.replace(5, nowhere),
      mid.replace(direction, { region: zeros([4, 4]) }),
      mid.replace(direction, { steps: [] }),
    ],
    change: [
      [mid.replace(direction), (_, __, c) => direction.data[c]!],
      [mid.replace(0.5), () => 0.5],
    ],
  },
  scale: {
    zero: () => [mid.scale(1), mid.scale(3, nowhere), mid.scale(3, { region: zeros([1, 1]) })],
    change: [
      [mid.scale(0), (v) => 0 * v],
      [mid.scale(({ step }) => step - 1), (v) => 2 * v],
    ],
  },
};

const models = { float32: unet(), float16: unet(toyUnet(18, "float16")) };
const plain: StepContext = { step: 3 };

afterAll(async () => {
  await Promise.all(Object.values(models).map((model) => model.release()));
  await closeRuntime();
});

describe.each(Object.entries(kinds))("%s", (_, { zero, change }) => {
  it.each(["float32", "float16"] as const)(
    "that is zero changes no bit in %s, of −0, NaN and infinity neither",
    async (dtype) => {
      const x = dtype === "float16" ? toFloat16(awkward) : awkward;
      const before = await runUnet(models[dtype], x, []);
      const own: Activation = { ...before.activation, axes: ["batch", "channel", "y", "x"] };
      for (const edit of zero(own)) {
        const after = await runUnet(models[dtype], x, [edit]);
        expect(after.activation.tensor.bytes, edit.label).toEqual(before.activation.tensor.bytes);
        expect(after.output.bytes, edit.label).toEqual(before.output.bytes);
      }
    },
  );

  it.each(["float32", "float16"] as const)(
    "that is not changes activation and output as worked out by hand, in %s",
    async (dtype) => {
      const x = dtype === "float16" ? toFloat16(counted) : counted;
      for (const [edit, byHand] of change) {
        const { activation, output } = await runUnet(models[dtype], x, [edit], { context: plain });
        const expected = Array.from(counted.data, (v, i) => byHand(-6 * v - 3, i >> 3, (i >> 2) & 1, i & 3));
        const rounding = dtype === "float16" ? 1 : 1e-4;
        activation.tensor.data.forEach((v, i) => {
          expect(Math.abs(v - expected[i]!), `${edit.label} at ${i}: ${v} for ${expected[i]}`).toBeLessThan(rounding / 10);
        });
        toFloat32(output).data.forEach((v, i) => {
          expect(Math.abs(v - 10 * (expected[i]! + 2 * counted.data[i]! + 1)), edit.label).toBeLessThan(rounding);
        });
      }
    },
  );
});

describe("edits", () => {
  it("share a session as long as only numbers change", async () => {
    const before = runtimeStats().sessions;
    await using model = unet();
    const numbers = [
      mid.projectOut([1, 0], 0.3, { items: [0], channels: [1], timesteps: [0, 10] }),
      mid.projectOut(float32([1, 2, 3, 4], [2, 2]), 1, { branch: "cond", channels: [0], steps: [3] }),
      mid.lowRank(rank1, 4, { when: () => false, channels: [0, 1] }),
    ];
    for (const edit of numbers) await runUnet(model, counted, [edit]);
    expect(runtimeStats().sessions - before).toBe(1);
  });
  it("of an input follow one another, and captures see the last", async () => {
    const both = [at("sample").add([1, 1]), at("sample").scale(2)];
    const forth = await runUnet(models.float32, counted, both, { at: "sample" });
    expect([...forth.activation.tensor.data]).toEqual([...counted.data].map((v) => 2 * (v + 1)));
    expect([...(forth.output.data as Float32Array)]).toEqual([...counted.data].map((v) => -80 * (v + 1) - 20));
    const back = await runUnet(models.float32, counted, both.toReversed(), { at: "sample" });
    expect([...back.activation.tensor.data]).toEqual([...counted.data].map((v) => 2 * v + 1));
  });
  it("of an output, and of a residual, reach what they should", async () => {
    const outputs = await runUnet(models.float32, counted, [at("out_sample").replace(3), at("out_sample").scale(2)]);
    expect(new Set(outputs.output.data as Float32Array)).toEqual(new Set([6]));
    const residual = await runUnet(models.float32, counted, [at("down_blocks.0:res0").projectOut([1, 0])]);
    // Channel 0 of the residual 2x + 1 is gone, and with it what is made of it: 3·r, −3·r, −3·r + r.
    expect([...(residual.output.data as Float32Array)]).toEqual(
      [...counted.data].map((v, i) => (((i >> 2) & 1) === 0 ? 0 : -40 * v - 20)),
    );
  });
});
