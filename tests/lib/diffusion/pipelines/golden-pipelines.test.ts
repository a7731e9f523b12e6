import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Control,
  denoise,
  type GenerateOptions,
  type Generation,
  invert,
  loadTokenizer,
  Pipeline,
  type PromptTokenizer,
} from "../../../../lib/diffusion/index.js";
import { HookedModel } from "../../../../lib/hooks/index.js";
import { closeRuntime } from "../../../../lib/runtime/index.js";
import { float32, type Tensor, zeros } from "../../../../lib/tensor/index.js";
import { type GoldenRun, goldenRuns } from "../closed-form/goldens.js";
import { controlNet, unet, vaeDecoder, vaeEncoder } from "../closed-form/networks.js";
import { clipText } from "../closed-form/text-encoders.js";

let tokenizer: PromptTokenizer;
beforeAll(async () => {
  tokenizer = await loadTokenizer(fileURLToPath(new URL("../../../golden/clip-tokenizer", import.meta.url)));
});
afterAll(() => closeRuntime());

/** Stable Diffusion over networks in closed form, with the scheduler of a run of Diffusers. */
function pipelineOf(run: GoldenRun, { channels = 4, controls = 0 } = {}): Pipeline {
  return new Pipeline({
    pipelineClass: run.pipeline,
    digest: run.name,
    network: new HookedModel(unet({ channels, control: controls > 0 })),
    networkChannels: channels,
    textEncoder: new HookedModel(clipText()),
    tokenizer,
    vaeEncoder: new HookedModel(vaeEncoder()),
    vaeDecoder: new HookedModel(vaeDecoder()),
    controlNets: Array.from({ length: controls }, (_, i) => ({ network: new HookedModel(controlNet(i)) })),
    latentSpace: { channels: 4, size: 8, factor: 2, scale: 0.18215, shift: 0 },
    schedulerConfig: run.scheduler,
  });
}

/** A run's arguments as ours are called. */
function optionsOf({ call, seed }: GoldenRun): GenerateOptions {
  const given = <T>(name: string): T | undefined => call[name] as T | undefined;
  return {
    steps: given<number>("num_inference_steps")!,
    guidanceScale: given<number>("guidance_scale")!,
    seed,
    ...(call.guidance_rescale !== undefined && { guidanceRescale: given<number>("guidance_rescale")! }),
    ...(call.negative_prompt !== undefined && { negativePrompt: given<string>("negative_prompt")! }),
    ...(call.strength !== undefined && { strength: given<number>("strength")! }),
    ...(call.eta !== undefined && { eta: given<number>("eta")! }),
    ...(call.height !== undefined && { height: given<number>("height")!, width: given<number>("width")! }),
    decode: call.output_type === "np",
  };
}

/** Diffusers' Euler keeps x₀ + σε; ours is the state of the training process, as the others have it. */
function statesAsIn({ scheduler }: GoldenRun, { latents, sigmas }: Generation): Tensor<"float32"> {
  if (!scheduler._class_name.startsWith("Euler")) return latents;
  const perStep = latents.size / latents.shape[0]!;
  return float32(
    latents.data.map((v, i) => v * Math.sqrt(1 + sigmas[Math.floor(i / perStep) + 1]! ** 2)),
    latents.shape,
  );
}

/** Every step's latents within what float32 allows, 5e-5 of the largest, and the picture where there is one. */
function expectGolden(found: Generation, golden: GoldenRun): void {
  // Diffusers' PNDM takes its first step in two halves, each an entry of its own.
  const halves = golden.scheduler._class_name === "PNDMScheduler" ? 1 : 0;
  const timesteps = golden.timesteps.toSpliced(1, halves);
  expect([...found.timesteps]).toEqual(timesteps.map((t) => expect.closeTo(t, 3)));
  expectNear(statesAsIn(golden, found), golden.float32("steps").slice(halves), 5e-5);
  if (!golden.has("picture")) return;
  const picture = golden.float32("picture").data;
  const { data, shape } = found.pixels!;
  const plane = shape[2]! * shape[3]!;
  const worst = picture.reduce((w, v, i) => Math.max(w, Math.abs(v - data[(i % 3) * plane + Math.floor(i / 3)]!)), 0);
  expect(worst).toBeLessThan(1e-5);
}

function expectNear(found: Tensor<"float32">, golden: Tensor<"float32">, share: number): void {
  expect(found.size).toBe(golden.size);
  const largest = golden.data.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  const worst = golden.data.reduce((m, v, i) => Math.max(m, Math.abs(v - found.data[i]!)), 0);
  expect(worst / largest).toBeLessThan(share);
}

const runsOf = (family: string, except: (name: string) => boolean = () => false): GoldenRun[] =>
  Object.values(goldenRuns(family)).filter(({ name }) => !except(name));

describe("Stable Diffusion equals Diffusers", () => {
  // clip_skip is held to its goldens with the conditioners; a batch of one generator draws otherwise.
  it.each(runsOf("stable-diffusion", (name) => /clip-skip|batch/.test(name)))("$name", async (golden) => {
    await using pipe = pipelineOf(golden);
    expectGolden(await pipe.generate(golden.call.prompt as string, optionsOf(golden)), golden);
  });
});

describe("image to image equals Diffusers", () => {
  // Diffusers' PNDM loses its doubled timestep there, so that its states lag a level behind.
  it.each(runsOf("stable-diffusion-img2img", (name) => /batch|latents|pndm/.test(name)))("$name", async (golden) => {
    await using pipe = pipelineOf(golden);
    const options = { ...optionsOf(golden), image: golden.float32("image") };
    expectGolden(await pipe.generate(golden.call.prompt as string, options), golden);
  });
  it("from latents, which are not drawn", async () => {
    const golden = goldenRuns("stable-diffusion-img2img")["ddim-latents-0.6"]!;
    await using pipe = pipelineOf(golden);
    const options = { ...optionsOf(golden), image: { latents: golden.float32("image") } };
    expectGolden(await pipe.generate(golden.call.prompt as string, options), golden);
  });
});

describe("inpainting equals Diffusers", () => {
  it.each(runsOf("stable-diffusion-inpaint"))("$name", async (golden) => {
    await using pipe = pipelineOf(golden, { channels: Number(golden.name[0]) });
    const options = { ...optionsOf(golden), image: golden.float32("image"), mask: golden.float32("mask") };
    expectGolden(await pipe.generate(golden.call.prompt as string, options), golden);
  });
});

describe("a network that sees a mask", () => {
  it("is not run without one", async () => {
    await using pipe = pipelineOf(goldenRuns("stable-diffusion-inpaint")["9-ddim-1.0"]!, { channels: 9 });
    await expect(pipe.generate("a cat", { steps: 1 })).rejects.toThrow(/sees a picture and a mask; give `image` and `mask`/);
    await expect(denoise(pipe, { latents: zeros([1, 4, 8, 8]) }, { timesteps: [9] })).rejects.toThrow(
      /sees a mask and a picture/,
    );
  });
});

describe("ControlNet equals Diffusers", () => {
  it.each(runsOf("controlnet", (name) => name === "batch" || name.startsWith("inpaint")))("$name", async (golden) => {
    const { call } = golden;
    const images = golden.has("control") ? ["control"] : ["control.0", "control.1"];
    const of = <T>(name: string, i: number): T | undefined =>
      (Array.isArray(call[name]) ? call[name][i] : call[name]) as T | undefined;
    const control = images.map((name, i): Control => {
      const [scale, start, end] = ["controlnet_conditioning_scale", "control_guidance_start", "control_guidance_end"].map((key) =>
        of<number>(key, i),
      );
      return {
        image: golden.float32(name),
        scale: scale ?? (golden.has("image") ? 0.8 : 1),
        ...(start !== undefined && { start }),
        ...(end !== undefined && { end }),
        ...(call.guess_mode === true && { guess: true }),
        ...(golden.name === "global-pool" && { globalPool: true }),
      };
    });
    await using pipe = pipelineOf(golden, { controls: images.length });
    const options = {
      ...optionsOf(golden),
      height: 16,
      width: 24,
      control,
      ...(golden.has("image") && { image: golden.float32("image") }),
    };
    expectGolden(await pipe.generate(call.prompt as string, options), golden);
  });
});

describe("inversion equals Diffusers", () => {
  it.each(["ddim-5", "ddim-10", "ddim-5-guided", "dpm-5"])("%s, there and back", async (name) => {
    const runs = goldenRuns("inversion");
    const [there, back] = [runs[`${name}-there`]!, runs[`${name}-back`]!];
    await using pipe = pipelineOf(back);
    const inversion = await invert(
      pipe,
      { latents: there.float32("start") },
      {
        prompts: there.call.prompt as string,
        steps: there.call.num_inference_steps as number,
        guidanceScale: there.call.guidance_scale as number,
        sampler: name.startsWith("dpm") ? "dpmpp-2m-inverse" : "ddim-inverse",
        fixedPointIterations: 0,
      },
    );
    expectGolden(inversion.run, there);
    expectGolden(await inversion.reconstruct(undefined, { decode: false }), back);
  });
});
