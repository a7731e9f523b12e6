import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadSae, Sae, type SaeConfig, SaeFormatError, type SaeWeights } from "../../../lib/sae/index.js";
import { float32, Rng, readSafetensors, type Tensor, toFloat16, writeSafetensors } from "../../../lib/tensor/index.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sae-file-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const rng = new Rng(2);
const [d, features] = [5, 9];
const config: SaeConfig = { variant: "topk", width: d, features, k: 3, scale: 0.5 };
const weights: SaeWeights = {
  W_enc: float32(rng.normals(features * d), [features, d]),
  b_enc: float32(rng.normals(features)),
  W_dec: float32(rng.normals(features * d), [features, d]),
  b_dec: float32(rng.normals(d)),
};
const x = float32(rng.normals(6 * d), [6, d]);

function columnsFirst({ data }: Tensor<"float32">): Tensor<"float32"> {
  return float32(
    Float32Array.from({ length: d * features }, (_, i) => data[(i % features) * d + Math.floor(i / features)]!),
    [d, features],
  );
}

async function write(name: string, settings: object, file: string, tensors: Record<string, Tensor>): Promise<string> {
  const path = join(folder, name);
  mkdirSync(path);
  writeFileSync(join(path, "cfg.json"), JSON.stringify(settings));
  await writeSafetensors(join(path, file), tensors);
  return path;
}

const saelensTensors = { ...weights, W_enc: columnsFirst(weights.W_enc) } as Record<string, Tensor>;
async function codesOf(sae: Sae): Promise<number[]> {
  await using open = sae;
  return [...(await open.encode(x)).data];
}
function expectClose(got: readonly number[], expected: readonly number[]): void {
  expect(got.length).toBe(expected.length);
  got.forEach((v, i) => {
    expect(v).toBeCloseTo(expected[i]!, 4);
  });
}

describe("an SAE's folder", () => {
  it("comes back as it was written", async () => {
    const path = join(folder, "own");
    await new Sae(config, weights).save(path);
    const loaded = await loadSae(path);
    expect(loaded.config).toEqual(config);
    for (const name of ["W_enc", "b_enc", "W_dec", "b_dec"] as const)
      expect(loaded.weights[name].data).toEqual(weights[name].data);
  });

  it("has SAELens' names, layout and settings", async () => {
    const path = join(folder, "saelens-layout");
    await new Sae(config, weights).save(path);
    const { tensors } = readSafetensors(join(path, "sae_weights.safetensors"));
    expect(Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, t.shape]))).toEqual({
      W_enc: [d, features],
      b_enc: [features],
      W_dec: [features, d],
      b_dec: [d],
    });
    expect(tensors.W_enc!.data).toEqual(columnsFirst(weights.W_enc).data);
    expect(JSON.parse(readFileSync(join(path, "cfg.json"), "utf8"))).toMatchObject({
      architecture: "topk",
      d_in: d,
      d_sae: features,
      k: 3,
      apply_b_dec_to_input: true,
      normalize_activations: "none",
    });
  });

  it("keeps a threshold, as SAELens' jumprelu", async () => {
    const path = join(folder, "threshold");
    const threshold = float32(new Float32Array(features).fill(0.7));
    await new Sae({ ...config, variant: "batch-topk" }, { ...weights, threshold }).save(path);
    const loaded = await loadSae(path);
    expect(loaded.config.variant).toBe("batch-topk");
    expect(loaded.weights.threshold!.data).toEqual(threshold.data);
    expect(JSON.parse(readFileSync(join(path, "cfg.json"), "utf8")).architecture).toBe("jumprelu");
  });

  it("may be written by sparsify, in half precision too", async () => {
    const tensors = {
      "encoder.weight": weights.W_enc,
      "encoder.bias": weights.b_enc,
      W_dec: toFloat16(weights.W_dec),
      b_dec: weights.b_dec,
    };
    const path = await write(
      "sparsify",
      { d_in: d, k: 3, expansion_factor: 32, num_latents: features },
      "sae.safetensors",
      tensors,
    );
    const loaded = await loadSae(path);
    expect(loaded.config).toMatchObject({ variant: "topk", k: 3, width: d, features });
    expect(await codesOf(loaded)).toEqual(await codesOf(new Sae(config, weights)));
  });

  it("may apply TopK as an activation function, as SAELens did before version 6", async () => {
    const settings = {
      architecture: "standard",
      activation_fn_str: "topk",
      activation_fn_kwargs: { k: 3 },
      d_in: d,
      d_sae: features,
    };
    const loaded = await loadSae(await write("old", settings, "sae_weights.safetensors", saelensTensors));
    expect(loaded.config).toMatchObject({ variant: "topk", k: 3 });
  });

  it("may not subtract b_dec from the input: codes of ReLU(W_enc·x + b_enc)", async () => {
    const settings = { architecture: "standard", apply_b_dec_to_input: false };
    const codes = await codesOf(await loadSae(await write("uncentred", settings, "sae_weights.safetensors", saelensTensors)));
    const expected = Array.from({ length: 6 * features }, (_, i) => {
      const [row, f] = [Math.floor(i / features), i % features];
      let sum = weights.b_enc.data[f]!;
      for (let j = 0; j < d; j++) sum += x.data[row * d + j]! * weights.W_enc.data[f * d + j]!;
      return Math.max(0, sum);
    });
    expectClose(codes, expected);
  });

  it("may rescale codes by the decoder's norms: they come out multiplied, reconstructions the same", async () => {
    const settings = { architecture: "standard", rescale_acts_by_decoder_norm: true };
    await using rescaled = await loadSae(await write("rescaled", settings, "sae_weights.safetensors", saelensTensors));
    await using plain = new Sae({ variant: "relu", width: d, features, scale: 1 }, weights);
    expectClose([...(await rescaled.reconstruct(x)).data], [...(await plain.reconstruct(x)).data]);
    const norms = Array.from({ length: features }, (_, f) => Math.hypot(...weights.W_dec.row(f).data));
    const expected = [...(await plain.encode(x)).data].map((z, i) => z * norms[i % features]!);
    expectClose([...(await rescaled.encode(x)).data], expected);
  });

  it("is refused with the reason when it needs what is not supported", async () => {
    const refused = async (name: string, settings: object, message: RegExp): Promise<void> => {
      const path = await write(name, settings, "sae_weights.safetensors", saelensTensors);
      await expect(loadSae(path)).rejects.toThrow(SaeFormatError);
      await expect(loadSae(path)).rejects.toThrow(message);
    };
    await refused("gated", { architecture: "gated" }, /architecture "gated"; supported: topk, standard, jumprelu/);
    await refused("layer-norm", { normalize_activations: "layer_norm" }, /normalize_activations "layer_norm"/);
    await refused("no-threshold", { architecture: "jumprelu" }, /no weight "threshold", only/);
    await expect(loadSae(join(folder, "nowhere"))).rejects.toThrow(/cfg.json does not exist/);
  });
});
