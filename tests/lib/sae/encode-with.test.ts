import { afterAll, describe, expect, it } from "vitest";
import { HookedModel } from "../../../lib/hooks/index.js";
import { closeRuntime } from "../../../lib/runtime/index.js";
import { encodeWith, Sae, topCodes } from "../../../lib/sae/index.js";
import { float32, Rng, type Tensor } from "../../../lib/tensor/index.js";
import { toyUnet } from "../hooks/toy-unet.js";

const rng = new Rng(5);
const weights = (...shape: number[]): Tensor<"float32"> => float32(rng.normals(shape.reduce((a, b) => a * b, 1)), shape);
const sae = new Sae(
  { variant: "topk", width: 2, features: 7, k: 3, scale: 1 },
  { W_enc: weights(7, 2), b_enc: weights(7), W_dec: weights(7, 2), b_dec: weights(2) },
);
// Two rows of two channels at 2 × 2 places.
const sample = float32(rng.normals(16), [2, 2, 2, 2]);

afterAll(async () => {
  await sae.close();
  await closeRuntime();
});

describe("encodeWith", () => {
  it.each([14, 18])("captures at opset %i the codes of the captured vectors", async (opset) => {
    await using model = new HookedModel(toyUnet(opset));
    const { outputs: plain } = await model.run({ sample });
    const { outputs, activations } = await model.run(
      { sample },
      {
        capture: [
          { at: "mid_block", reduce: "tokens" },
          { at: "mid_block", reduce: encodeWith(sae), as: "codes" },
          { at: "mid_block", reduce: encodeWith(sae, { top: 2 }), as: "top" },
        ],
      },
    );
    const vectors = activations.mid_block!.tensor as Tensor<"float32">;
    const codes = await sae.encode(vectors.reshape([8, 2]));
    const captured = activations.codes!;
    expect(captured.axes).toEqual(["batch", "token", "feature"]);
    expect(captured.tensor.shape).toEqual([2, 4, 7]);
    const numbers = captured.tensor.data as Float32Array;
    expect(Math.max(...numbers.map((v, i) => Math.abs(v - codes.data[i]!)))).toBeLessThan(1e-6);
    const { values, features } = topCodes(activations.top!);
    expect(values.shape).toEqual([2, 4, 2]);
    for (let row = 0; row < 8; row++) {
      const sorted = [...numbers.subarray(7 * row, 7 * row + 7)].sort((a, b) => b - a);
      expect([...values.data.subarray(2 * row, 2 * row + 2)]).toEqual(sorted.slice(0, 2));
      for (let k = 0; k < 2; k++) expect(numbers[7 * row + features.data[2 * row + k]!]).toBe(values.data[2 * row + k]);
    }
    expect(outputs.out_sample!.bytes).toEqual(plain.out_sample!.bytes);
  });

  it("gives one reduction per SAE, so that captures share their session", () => {
    expect(encodeWith(sae)).toBe(encodeWith(sae));
    expect(encodeWith(sae, { top: 2 })).not.toBe(encodeWith(sae));
  });

  it("says what does not fit", async () => {
    expect(() => encodeWith(sae, { top: 8 })).toThrow(/1…7, got 8/);
    const wide = new Sae(
      { variant: "relu", width: 3, features: 4, scale: 1 },
      { W_enc: weights(4, 3), b_enc: weights(4), W_dec: weights(4, 3), b_dec: weights(3) },
    );
    await using model = new HookedModel(toyUnet());
    await expect(model.run({ sample }, { capture: [{ at: "mid_block", reduce: encodeWith(wide) }] })).rejects.toThrow(
      /reads vectors of length 3, this activation has 2/,
    );
  });
});
