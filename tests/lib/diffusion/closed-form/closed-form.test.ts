import { afterAll, describe, expect, it } from "vitest";
import type { Model } from "../../../../lib/onnx/index.js";
import { closeRuntime, openSession } from "../../../../lib/runtime/index.js";
import { expectFloat32, float32, int64, type Tensor } from "../../../../lib/tensor/index.js";
import { goldenRuns } from "./goldens.js";
import {
  controlNet,
  dit,
  fluxTransformer,
  pixartTransformer,
  sd3Transformer,
  unconditionalUNet,
  unet,
  vaeDecoder,
  vaeEncoder,
} from "./networks.js";
import { clipText, t5Text } from "./text-encoders.js";

afterAll(() => closeRuntime());

/** The outputs of a model; inputs are cast to what it declares, those it does not have are left out. */
async function run(model: Model, given: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
  const feeds = Object.fromEntries(
    model.graph.inputs.map(({ name, dtype }) => [name, dtype === "float32" ? toFloat(given[name]!) : given[name]!]),
  );
  await using session = await openSession(model);
  return session.run(feeds);
}

function toFloat(tensor: Tensor): Tensor<"float32"> {
  return tensor.dtype === "float32"
    ? expectFloat32(tensor, "input")
    : float32(Float32Array.from(tensor.data, Number), tensor.shape);
}

function expectEqual(found: Tensor | undefined, golden: Tensor | undefined): void {
  const [a, b] = [expectFloat32(found!, "found"), expectFloat32(golden!, "golden")];
  expect(a.shape).toEqual(b.shape);
  expect(a.data.reduce((worst, v, i) => Math.max(worst, Math.abs(v - b.data[i]!)), 0)).toBeLessThan(3e-6);
}

const networks: readonly [family: string, name: string, component: string, model: () => Model][] = [
  ["stable-diffusion", "ddim", "unet", unet],
  ["stable-diffusion-inpaint", "9-ddim-1.0", "unet", () => unet({ channels: 9 })],
  ["lcm", "4-steps", "unet", () => unet({ timestepCond: 8 })],
  ["sdxl", "sizes", "unet", () => unet({ states: 20, textEmbeds: 10, timeIds: 6 })],
  ["sdxl-img2img", "refiner-0.3", "unet", () => unet({ states: 12, textEmbeds: 10, timeIds: 5 })],
  ["sd3", "euler", "transformer", sd3Transformer],
  ["flux", "dev", "transformer", fluxTransformer],
  ["flux", "schnell", "transformer", () => fluxTransformer({ guidance: false })],
  ["pixart", "alpha", "transformer", pixartTransformer],
  ["pixart", "sigma", "transformer", () => pixartTransformer({ sizes: false })],
  ["dit", "ddim", "transformer", dit],
  ["pixels", "ddpm", "unet", unconditionalUNet],
  ["pixels", "ddpm-learned-range", "unet", () => unconditionalUNet({ learned: true })],
  ["pixels", "consistency-1", "unet", () => unconditionalUNet({ classes: 10 })],
];

describe("networks in closed form", () => {
  it.each(networks)("of %s, %s, give what PyTorch gave", async (family, name, component, model) => {
    const { output, ...inputs } = goldenRuns(family)[name]!.probe(component);
    const built = model();
    const declared = built.graph.inputs.map((input) => input.name);
    expect(Object.keys(inputs).sort()).toEqual(declared.sort());
    expectEqual(Object.values(await run(built, inputs))[0], output);
  });

  it("with a ControlNet give the residuals and add them", async () => {
    const golden = goldenRuns("controlnet").single!;
    const { output, ...inputs } = golden.probe("unet");
    const control = golden.probe("controlnet");
    const found = Object.values(await run(controlNet(), control));
    expect(found).toHaveLength(4);
    for (const [k, residual] of found.entries()) expectEqual(residual, control[`residual.${k}`]);
    const names = ["down_block_0", "down_block_1", "down_block_2", "mid_block"];
    const residuals = Object.fromEntries(names.map((name, k) => [name, found[k]!]));
    expectEqual((await run(unet({ control: true }), { ...inputs, ...residuals })).out_sample, output);
  });

  it("encode and decode pictures", async () => {
    const golden = goldenRuns("stable-diffusion-inpaint")["9-ddim-1.0"]!;
    const picture = golden.float32("image");
    const mask = golden.float32("mask");
    const masked = picture.data.map((v, i) => (mask.data[i % mask.size]! < 0.5 ? 2 * v - 1 : 0));
    const moments = (await run(vaeEncoder(), { sample: float32(masked, picture.shape) })).latent_parameters!;
    const draw = golden.float32("draw.1").data;
    const values = expectFloat32(moments, "moments").data;
    const seen = golden.probe("unet").sample!.data.subarray(5 * 96, 9 * 96);
    for (let i = 0; i < draw.length; i++) {
      expect(seen[i]).toBeCloseTo(0.18215 * (values[i]! + Math.exp(values[i + draw.length]! / 2) * draw[i]!), 5);
    }
    const steps = golden.float32("steps");
    const latents = float32(
      steps.data.subarray(-draw.length).map((v) => v / 0.18215),
      [1, 4, 8, 12],
    );
    const decoded = expectFloat32((await run(vaeDecoder(), { latent_sample: latents })).sample!, "sample").data;
    const shown = golden.float32("picture");
    const [pixels, side] = [shown.data, 16 * 24];
    for (let i = 0; i < pixels.length; i++) {
      const value = decoded[(i % 3) * side + Math.floor(i / 3)]!;
      expect(pixels[i]).toBeCloseTo(Math.min(Math.max(value / 2 + 0.5, 0), 1), 5);
    }
  });
});

/** CLIP's ids of the prompt and of the negative prompt, [2, 77] with the negative first. */
function clipIds(pad: number): Tensor<"int64"> {
  const row = (words: readonly number[]): number[] => [49406, ...words, 49407, ...new Array<number>(75 - words.length).fill(pad)];
  return int64([...row([3306, 1002]), ...row([320, 1125, 539, 320, 2368])], [2, 77]);
}

/** The last axis of a tensor from `start` to `end`. */
function features(tensor: Tensor, start: number, end: number): Tensor<"float32"> {
  const { data, shape } = expectFloat32(tensor, "features");
  const width = shape.at(-1)!;
  return float32(
    data.filter((_, i) => i % width >= start && i % width < end),
    [...shape.slice(0, -1), end - start],
  );
}

describe("text encoders in closed form", () => {
  it("of Stable Diffusion and SDXL give what PyTorch gave", async () => {
    const one = await run(clipText(), { input_ids: clipIds(49407) });
    expectEqual(one.last_hidden_state, goldenRuns("stable-diffusion").ddim!.probe("unet").encoder_hidden_states);
    const two = await run(clipText({ width: 12, layers: 4, phase: 80, projection: 10 }), { input_ids: clipIds(0) });
    const sdxl = goldenRuns("sdxl").euler!.probe("unet");
    expectEqual(one["hidden_states.2"], features(sdxl.encoder_hidden_states!, 0, 8));
    expectEqual(two["hidden_states.3"], features(sdxl.encoder_hidden_states!, 8, 20));
    expectEqual(two.text_embeds, sdxl.text_embeds);
  });

  it("of Flux and PixArt give what PyTorch gave", async () => {
    const flux = goldenRuns("flux").dev!.probe("transformer");
    const ids = [3, 4, 5, 3, 6, 1];
    const padded = (words: readonly number[], n: number): number[] => [...words, ...new Array<number>(n - words.length).fill(0)];
    const t5 = await run(t5Text(), { input_ids: int64(padded(ids, 16), [1, 16]) });
    expectEqual(t5.last_hidden_state, flux.encoder_hidden_states);
    const clip = await run(clipText(), { input_ids: int64([...clipIds(49407).data.subarray(77)].map(Number), [1, 77]) });
    expectEqual(clip.pooler_output, flux.pooled_projections);
    const pixart = goldenRuns("pixart").alpha!.probe("transformer");
    const both = int64([...padded([7, 8, 1], 12), ...padded(ids, 12)], [2, 12]);
    const masked = await run(t5Text({ tokens: 12, mask: true }), {
      input_ids: both,
      attention_mask: pixart.encoder_attention_mask!,
    });
    expectEqual(masked.last_hidden_state, pixart.encoder_hidden_states);
  });
});
