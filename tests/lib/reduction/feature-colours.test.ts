import { afterAll, expect, it } from "vitest";
import type { Activation, Axis } from "../../../lib/hooks/index.js";
import { featureColours } from "../../../lib/reduction/index.js";
import { closeRuntime } from "../../../lib/runtime/index.js";
import { float32, Rng, type Tensor } from "../../../lib/tensor/index.js";

afterAll(() => closeRuntime());

const axes: readonly Axis[] = ["item", "channel", "y", "x"];
const activation = (tensor: Tensor<"float32">, named = axes): Activation<Tensor<"float32">> => ({
  hookPoint: { path: "block", kind: "module", value: "block", axes: ["batch", "channel", "y", "x"] },
  axes: named,
  tensor,
});

it("draws the first component red, from the places that have least of it to those that have most", async () => {
  // Channels of widths 9, 3, 1 and 0.1: the components are the channels themselves.
  const widths = [3, 9, 1, 0.1];
  const plane = 50 * 40;
  const data = widths.flatMap((width, c) => Array.from(new Rng(c).normals(plane), (z) => width * z));
  const { pictures, pca } = await featureColours(activation(float32(data, [1, 4, 50, 40])));
  expect(pictures.shape).toEqual([1, 3, 50, 40]);
  expect(Math.abs(pca.components.row(0).data[1]!)).toBeGreaterThan(0.99);
  const red = Array.from(pictures.row(0).row(0).data);
  const channel = data.slice(plane, 2 * plane);
  const sorted = channel.toSorted((a, b) => a - b);
  const [low, high] = [sorted[Math.round(0.02 * (plane - 1))]!, sorted[Math.round(0.98 * (plane - 1))]!];
  const expected = channel.map((v) => Math.min(1, Math.max(0, (v - low) / (high - low))));
  const worst = Math.max(...red.map((v, i) => Math.abs(v - expected[i]!)));
  expect(worst).toBeLessThan(0.05);
});

it("refuses activations without places, or with fewer channels than colours", async () => {
  const message = /expected an activation \[item, channel ≥ 3, y, x\]/;
  await expect(featureColours(activation(float32(new Float32Array(8), [1, 2, 2, 2])))).rejects.toThrow(message);
  const folded = activation(float32(new Float32Array(60), [1, 5, 4, 3]), ["item", "head", "query", "key"]);
  await expect(featureColours(folded)).rejects.toThrow(message);
});
