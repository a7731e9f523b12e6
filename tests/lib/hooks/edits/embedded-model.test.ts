import { afterAll, describe, expect, it } from "vitest";
import { load } from "../../../../lib/diffusion/index.js";
import { at, type Edit } from "../../../../lib/hooks/index.js";
import { closeRuntime } from "../../../../lib/runtime/index.js";

const attention = "up_blocks.1.attentions.0.transformer_blocks.0.attn2";
const pipe = await load("shapes");
afterAll(async () => {
  await pipe.release();
  await closeRuntime();
});

describe("on the embedded model", () => {
  const run = (...edits: Edit[]) =>
    pipe.generate("a red circle", { steps: 1, seed: 7, guidanceScale: 2, decode: false, edits, capture: [`${attention}.probs`] });

  // Cutting a graph takes fusions and layouts from the runtime's optimizer that it finds in the whole one.
  it("callbacks that change nothing change no bit, wherever the graph is cut", async () => {
    const plain = await run();
    for (const pattern of ["down_blocks.0.resnets.0", "mid_block", "up_blocks.2.resnets.0.nonlinearity_2", "up_blocks.*"]) {
      expect((await run(at(pattern).call(() => undefined))).latents.bytes, pattern).toEqual(plain.latents.bytes);
    }
  });
  it("edits that change nothing change no bit, at every kind of hook point", async () => {
    const plain = await run();
    const block = "mid_block.attentions.0.transformer_blocks.0";
    const inside = ["q", "scores", "probs", "z"].map((name) => `${block}.attn2.${name}`);
    for (const pattern of [...inside, "mid_block:in", `${block}.attn2:update`, "down_blocks.0:res0", "sample", "out_sample"]) {
      const edits = [at(pattern).scale(1), at(pattern).replace(3, { items: [1] }), at(pattern).call(({ tensor }) => tensor)];
      expect((await run(...edits)).latents.bytes, pattern).toEqual(plain.latents.bytes);
    }
  });
  it("a run is patched with itself without a change, and words, heads and halves of the picture can be taken out", async () => {
    const plain = await run();
    const probs = plain.activations[`${attention}.probs`]!;
    const edited = async (edit: Edit): Promise<Float32Array> => (await run(edit)).activations[`${attention}.probs`]!.tensor.data;
    expect((await run(at(`${attention}.probs`).patch(probs))).latents.bytes).toEqual(plain.latents.bytes);
    const left = { top: 0, left: 0, bottom: 1, right: 0.5 };
    const limits = { tokens: [2], heads: [1], branch: "cond", region: left } as const;
    const data = await edited(at(`${attention}.probs`).scale(0, limits));
    const [, branches = 0, , heads = 0, queries = 0, keys = 0] = probs.tensor.shape;
    const side = Math.sqrt(queries);
    data.forEach((v, i) => {
      const [key, query] = [i % keys, Math.floor(i / keys) % queries];
      const [head, branch] = [Math.floor(i / (keys * queries)) % heads, Math.floor(i / (keys * queries * heads)) % branches];
      const isTaken = key === 2 && head === 1 && branch === 1 && query % side < side / 2;
      expect(v).toBe(isTaken ? 0 : probs.tensor.data[i]);
    });
  });
});
