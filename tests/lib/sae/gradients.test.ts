import { describe, expect, it } from "vitest";
import { backward } from "../../../lib/autodiff/index.js";
import { GraphBuilder, type Value } from "../../../lib/program/index.js";
import { openSession } from "../../../lib/runtime/index.js";
import { decode, type SaeTrainingConfig, type SaeValues } from "../../../lib/sae/variant.js";
import { topk } from "../../../lib/sae/variants/topk.js";
import { float32, Rng, type Tensor } from "../../../lib/tensor/index.js";
import { mseLoss } from "../../../lib/train/index.js";

const config: SaeTrainingConfig = {
  variant: "topk",
  width: 12,
  features: 40,
  k: 5,
  scale: 1,
  auxCoefficient: 0,
  auxActivation: "relu",
  deadAfter: 100,
  sparsityCoefficient: 0,
  sparsityWarmup: 0,
};
const batch = 16;
const names = ["W_enc", "b_enc", "W_dec", "b_dec"] as const;
const shapes = { W_enc: [40, 12], b_enc: [40], W_dec: [40, 12], b_dec: [12], x: [batch, 12], sinceFired: [40] };

async function gradients(
  loss: (g: GraphBuilder, x: Value, weights: SaeValues, sinceFired: Value) => Value,
  feeds: Record<string, Tensor>,
): Promise<Record<string, Float32Array>> {
  const g = new GraphBuilder();
  const inputs = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, g.input(name, "float32", shape)]));
  const weights = inputs as unknown as SaeValues;
  const total = loss(g, inputs.x!, weights, inputs.sinceFired!.identity());
  g.output(inputs.sinceFired!.sum(), "used");
  backward(
    g,
    total,
    names.map((name) => weights[name]!),
  ).forEach((d, i) => void g.output(d, `d${names[i]!}`));
  await using session = await openSession(g.model(), { threads: 1 });
  const out = await session.run(feeds);
  return Object.fromEntries(names.map((name) => [name, out[`d${name}`]!.data as Float32Array]));
}

describe("the TopK step's own reverse rule", () => {
  it("equals the reverse of the plain formulation, operator by operator", async () => {
    const rng = new Rng(3);
    const feeds = Object.fromEntries(
      Object.entries(shapes).map(([name, shape]) => [name, float32(rng.normals(shape.reduce((a, b) => a * b, 1)), shape)]),
    );
    // so few positive pre-activations in some rows that the ReLU after TopK cuts some of the k
    feeds.b_enc = float32(feeds.b_enc!.data.map((b) => Number(b) - 3) as Float32Array);
    const own = await gradients((g, x, w, sinceFired) => topk.step(g, x, w, { sinceFired }, config).loss, feeds);
    const plain = await gradients((g, x, w) => mseLoss(g, decode(g, topk.encode(g, x, w, config), w), x), feeds);
    for (const name of names) {
      const largest = plain[name]!.reduce((max, v) => Math.max(max, Math.abs(v)), 0);
      expect(largest).toBeGreaterThan(0);
      own[name]!.forEach((v, i) => {
        expect(Math.abs(v - plain[name]![i]!), `${name}[${i}]`).toBeLessThan(2e-6 * largest);
      });
    }
  });
});
