import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type GenerateOptions, type LoadOptions, load, type Pipeline, pipelineClasses } from "../../../../lib/diffusion/index.js";
import { closeRuntime } from "../../../../lib/runtime/index.js";
import { float32, toFloat32 } from "../../../../lib/tensor/index.js";
import { callOptions, expectGolden, report } from "../closed-form/expect-golden.js";
import { type WrittenFolder, writeFolder } from "../closed-form/folder.js";
import { type GoldenRun, goldenRuns } from "../closed-form/goldens.js";
import * as nets from "../closed-form/networks.js";
import { clipText, t5Text } from "../closed-form/text-encoders.js";

const clip = { tokenizer: "clip" } as const;
const vaeConfig = { latent_channels: 4, block_out_channels: [4, 8], scaling_factor: 0.18215 };
const vae = (scaling = 0.18215, shift?: number): WrittenFolder["networks"] => ({
  vae_decoder: {
    model: nets.vaeDecoder(scaling),
    config: { ...vaeConfig, scaling_factor: scaling, ...(shift && { shift_factor: shift }) },
  },
});
const encoder: WrittenFolder["networks"] = { vae_encoder: { model: nets.vaeEncoder(), config: {} } };
const unetConfig = { in_channels: 4, sample_size: 8, cross_attention_dim: 8 };

const temporary: string[] = [];
const pipelines: Pipeline[] = [];
/** A folder written and opened. */
async function opened(written: WrittenFolder, options: LoadOptions = {}): Promise<Pipeline> {
  const folder = await mkdtemp(join(tmpdir(), "tweedie-family-"));
  temporary.push(folder);
  await writeFolder(folder, written);
  const pipe = await load(folder, { session: { threads: 1 }, ...options });
  pipelines.push(pipe);
  return pipe;
}

afterAll(async () => {
  if (process.env.TWEEDIE_REPORT)
    console.log(report.map((r) => `${r.case}: ${r.error.toExponential(1)} of ${r.values}`).join("\n"));
  await Promise.all(pipelines.map((pipe) => pipe.release()));
  await closeRuntime();
  await Promise.all(temporary.map((folder) => rm(folder, { recursive: true })));
});

it("every class that opens has a run of Diffusers to hold it to", () => {
  const families = readdirSync(new URL("../../../golden/pipelines/", import.meta.url)).filter((file) => file.endsWith(".json"));
  const held = families.flatMap((file) => Object.values(goldenRuns(file.slice(0, -5))).map((run) => run.pipeline));
  expect(Object.keys(pipelineClasses).filter((name) => !held.includes(name))).toEqual([]);
});

/** Holds every case of a family to its golden, each in a folder of its own. */
function holds(
  family: string,
  names: readonly string[],
  folderOf: (golden: GoldenRun) => WrittenFolder,
  more: GenerateOptions = {},
): void {
  const runs = goldenRuns(family);
  describe(`${family} equals Diffusers'`, () => {
    it.each(names)("%s", async (name) => {
      const golden = runs[name]!;
      const { original_inference_steps: original } = golden.call;
      await expectGolden(await opened(folderOf(golden)), golden, {
        ...(original !== undefined && { scheduler: { original_inference_steps: original } }),
        ...more,
      });
    });
  });
}

/** A ControlNet's folder. */
const control = (i: number, inputs: nets.UNetInputs, config: object = {}): WrittenFolder["networks"] => ({
  [i === 0 ? "controlnet" : `controlnet_${i}`]: { model: nets.controlNet(i, inputs), config },
});
const sdxlInputs = { states: 20, textEmbeds: 10, timeIds: 6 };

const stableDiffusion = ({ pipeline, scheduler }: GoldenRun, unet: nets.UNetInputs = {}, config: object = {}): WrittenFolder => ({
  index: { _class_name: pipeline },
  networks: {
    unet: { model: nets.unet(unet), config: { ...unetConfig, ...config } },
    text_encoder: { model: clipText({ hiddenStates: false }), config: {} },
    ...vae(),
  },
  tokenizers: clip,
  scheduler,
});

holds(
  "stable-diffusion",
  [
    "ddim",
    "ddim-rescale",
    "ddim-eta",
    "pndm",
    "euler",
    "dpm-karras",
    "ddim-v-zero-snr-rescale",
    "ddim-clip-skip-1",
    "ddim-clip-skip-2",
    "ddim-no-guidance",
    "ddim-no-negative",
    "euler-batch",
    "ddim-truncated",
  ],
  (golden) => stableDiffusion(golden),
);

holds("stable-diffusion-inpaint", ["4-ddim-0.7", "9-ddim-1.0", "9-euler-0.7"], (golden) => {
  const channels = Number(golden.name[0]);
  const { networks, ...rest } = stableDiffusion(golden, { channels }, { in_channels: channels });
  return { ...rest, networks: { ...networks, ...encoder } };
});

holds("lcm", ["4-steps", "1-step", "original-steps-20", "in-stable-diffusion"], (golden) =>
  stableDiffusion(golden, { timestepCond: 8 }, { time_cond_proj_dim: 8 }),
);
holds("lcm", ["guided-batch"], (golden) => stableDiffusion(golden));
holds("lcm", ["img2img-0.5", "img2img-0.37", "img2img-original-steps-20", "img2img-in-stable-diffusion"], (golden) => {
  const { networks, ...rest } = stableDiffusion(golden, { timestepCond: 8 }, { time_cond_proj_dim: 8 });
  return { ...rest, networks: { ...networks, ...encoder } };
});

holds(
  "latent-diffusion",
  ["ddim", "no-guidance", "pndm"],
  (golden) => {
    const { networks, ...rest } = stableDiffusion(golden);
    const { text_encoder: bert, vae_decoder: vqvae, unet } = networks;
    return { ...rest, networks: { unet: unet!, bert: bert!, vqvae: vqvae! }, tokenizers: { tokenizer: "bert" } };
  },
  { height: 16, width: 24 },
);

holds("instruct-pix2pix", ["ddim", "euler", "no-negative", "no-guidance", "image-guidance-0.5", "batch"], (golden) => {
  const { networks, ...rest } = stableDiffusion(golden, { channels: 8 }, { in_channels: 8 });
  return { ...rest, networks: { ...networks, ...encoder } };
});

const sdxl = ({ name, pipeline, scheduler }: GoldenRun, unet: nets.UNetInputs = {}, index: object = {}): WrittenFolder => {
  const isRefiner = name.startsWith("refiner");
  const width = isRefiner ? 12 : 20;
  return {
    index: {
      _class_name: pipeline,
      force_zeros_for_empty_prompt: name !== "no-zeros",
      ...(isRefiner && { requires_aesthetics_score: true }),
      ...index,
    },
    networks: {
      unet: {
        model: nets.unet({ states: width, textEmbeds: 10, timeIds: isRefiner ? 5 : 6, ...unet }),
        config: { ...unetConfig, in_channels: unet.channels ?? 4, cross_attention_dim: width },
      },
      ...(!isRefiner && { text_encoder: { model: clipText({ hiddenStates: true }), config: {} } }),
      text_encoder_2: {
        model: clipText({ width: 12, layers: 4, phase: 80, projection: 10, hiddenStates: true }),
        config: {},
      },
      ...vae(0.13025),
      ...encoder,
    },
    tokenizers: { ...(!isRefiner && clip), tokenizer_2: "open-clip" },
    scheduler,
  };
};
holds("sdxl-img2img", ["euler-0.5", "dpm-0.3", "turbo-0.5", "refiner-0.3"], (golden) => sdxl(golden));
holds(
  "sdxl-inpaint",
  ["4", "9"].flatMap((channels) => ["ddim-0.7", "ddim-1.0", "euler-0.7", "euler-1.0"].map((name) => `${channels}-${name}`)),
  (golden) => sdxl(golden, { channels: Number(golden.name[0]) }),
);
holds("instruct-pix2pix", ["xl-euler", "xl-rescale", "xl-cosine"], (golden) =>
  sdxl(golden, { channels: 8 }, { is_cosxl_edit: golden.name === "xl-cosine" }),
);
holds(
  "sdxl",
  [
    "euler",
    "dpm-karras-rescale",
    "zeros-for-no-negative",
    "empty-negative",
    "no-zeros",
    "sizes",
    "second-prompt",
    "clip-skip-1",
    "batch",
    "turbo-1",
    "turbo-4",
    "turbo-2-guidance-1",
  ],
  (golden) => sdxl(golden),
);

holds("dit", ["ddim", "no-guidance", "dpm", "no-variance"], ({ name, scheduler }) => ({
  index: { _class_name: "DiTPipeline", id2label: { 207: "golden retriever", 360: "otter" } },
  networks: {
    transformer: { model: nets.dit(name === "no-variance" ? 4 : 8), config: { in_channels: 4, sample_size: 8 } },
    ...vae(),
  },
  scheduler,
}));

holds(
  "pixels",
  [
    "ddpm-fixed-large-cosine",
    "ddpm-learned-range",
    "ddim",
    "ddim-of-a-ddpm",
    "ddim-eta",
    "consistency-1",
    "consistency-3",
    "edm-euler",
    "edm-euler-classes",
    "edm-dpm",
    "score-sde",
    "score-sde-2-corrections",
    "pndm",
    "pndm-runge-kutta",
    "pndm-of-a-ddpm",
  ],
  ({ name, pipeline, scheduler }) => {
    const classes = name === "consistency-1" || name === "edm-euler-classes" ? 10 : undefined;
    return {
      index: { _class_name: pipeline === "EdmLoop" ? "DDPMPipeline" : pipeline },
      networks: {
        unet: {
          model: nets.unconditionalUNet({ ...(classes && { classes }), learned: name.includes("learned") }),
          config: { in_channels: 3, sample_size: 8, num_class_embeds: classes ?? null },
        },
      },
      scheduler: name.endsWith("of-a-ddpm") ? { ...scheduler, _class_name: "DDPMScheduler" } : scheduler,
    };
  },
);

holds("pixels", ["latent-ddim"], ({ pipeline, scheduler }) => ({
  index: { _class_name: pipeline },
  networks: {
    unet: { model: nets.unconditionalUNet({ channels: 4 }), config: { in_channels: 4, sample_size: 8 } },
    vqvae: vae().vae_decoder!,
  },
  scheduler,
}));

const sd3 = ({ name, pipeline, scheduler }: GoldenRun): WrittenFolder => {
  const hasT5 = name !== "no-t5";
  return {
    index: { _class_name: pipeline },
    networks: {
      transformer: {
        model: nets.sd3Transformer(hasT5 ? 77 + 16 : 2 * 77),
        config: { in_channels: 4, sample_size: 8, patch_size: 2, joint_attention_dim: 20 },
      },
      text_encoder: { model: clipText({ projection: 6, hiddenStates: true }), config: {} },
      text_encoder_2: { model: clipText({ width: 10, layers: 4, phase: 80, projection: 8, hiddenStates: true }), config: {} },
      ...(hasT5 && { text_encoder_3: { model: t5Text(), config: {} } }),
      ...vae(1.5305, 0.0609),
      ...encoder,
    },
    tokenizers: { ...clip, tokenizer_2: "open-clip", ...(hasT5 && { tokenizer_3: "t5" }) },
    scheduler,
  };
};
holds(
  "sd3",
  [
    "euler",
    "no-guidance",
    "no-negative",
    "no-t5",
    "clip-skip-1",
    "prompts-apart",
    "dynamic-shift",
    "img2img-0.5",
    "inpaint-0.7",
    "inpaint-1.0",
  ],
  sd3,
);

const flux = ({ name, pipeline, scheduler }: GoldenRun): WrittenFolder => {
  const guided = name !== "schnell";
  return {
    index: { _class_name: pipeline },
    networks: {
      transformer: { model: nets.fluxTransformer({ guidance: guided }), config: { in_channels: 16, guidance_embeds: guided } },
      text_encoder: { model: clipText({ hiddenStates: false }), config: {} },
      text_encoder_2: { model: t5Text(), config: {} },
      ...vae(0.3611, 0.1159),
      ...encoder,
    },
    tokenizers: { ...clip, tokenizer_2: "t5" },
    scheduler,
  };
};
holds("flux", ["dev", "schnell", "second-prompt", "true-cfg", "batch", "img2img-0.5", "inpaint-0.7", "inpaint-1.0"], flux);

const pixart = ({ name, pipeline, scheduler }: GoldenRun): WrittenFolder => ({
  index: { _class_name: pipeline },
  networks: {
    transformer: {
      model: nets.pixartTransformer({ sizes: name.startsWith("alpha") && name !== "alpha-no-sizes" }),
      config: { in_channels: 4, out_channels: 8, sample_size: 8 },
    },
    text_encoder: { model: t5Text({ tokens: 12, mask: true }), config: {} },
    ...vae(),
  },
  tokenizers: { tokenizer: "t5" },
  scheduler,
});
holds("pixart", ["alpha", "alpha-no-sizes", "alpha-no-guidance", "alpha-batch", "sigma"], pixart);

describe("ControlNets in their pipeline's folder equal Diffusers'", () => {
  it.each([
    ["controlnet", "single"],
    ["controlnet", "multi"],
    ["controlnet", "global-pool"],
    ["controlnet", "inpaint-4-0.6"],
    ["controlnet", "inpaint-9-0.6"],
    ["sdxl-controlnet", "single"],
    ["sdxl-controlnet", "guess"],
    ["sdxl-controlnet", "global-pool"],
    ["sdxl-controlnet", "multi"],
    ["sdxl-controlnet", "img2img-0.6"],
    ["sdxl-controlnet", "inpaint-4-0.6"],
    ["sdxl-controlnet", "inpaint-9-0.6"],
  ])("%s, %s", async (family, name) => {
    const golden = goldenRuns(family)[name]!;
    const channels = name.startsWith("inpaint-9") ? 9 : 4;
    const { networks, ...rest } = family.startsWith("sdxl")
      ? sdxl(golden, { control: true, channels })
      : stableDiffusion(golden, { control: true, channels }, { in_channels: channels });
    // What the network was trained with is told by its configuration alone.
    const inputs = family.startsWith("sdxl") ? sdxlInputs : {};
    const own = control(0, inputs, { global_pool_conditions: name === "global-pool" });
    const controlNets = { ...own, ...(name === "multi" && control(1, inputs)) };
    const pipe = await opened({ ...rest, networks: { ...networks, ...encoder, ...controlNets } });
    const { call } = golden;
    const scales = [call.controlnet_conditioning_scale ?? 1].flat() as number[];
    const images = name === "multi" ? ["control.0", "control.1"] : ["control"];
    const controls = images.map((image, i) => ({
      image: golden.float32(image),
      scale: scales[i]!,
      end: (call.control_guidance_end as number | undefined) ?? 1,
      ...(call.guess_mode === true && { guess: true }),
    }));
    await expectGolden(pipe, golden, { control: controls, height: 16, width: 24 });
  });
});

describe("every condition", () => {
  const cases: readonly [
    family: string,
    name: string,
    of: (golden: GoldenRun) => WrittenFolder,
    conditions: readonly string[],
  ][] = [
    ["stable-diffusion", "ddim", (g) => stableDiffusion(g), ["encoder_hidden_states"]],
    ["sdxl", "euler", (g) => sdxl(g), ["encoder_hidden_states", "text_embeds", "time_ids"]],
    [
      "lcm",
      "4-steps",
      (g) => stableDiffusion(g, { timestepCond: 8 }, { time_cond_proj_dim: 8 }),
      ["encoder_hidden_states", "timestep_cond"],
    ],
    ["sd3", "euler", sd3, ["encoder_hidden_states", "pooled_projections"]],
    ["flux", "dev", flux, ["encoder_hidden_states", "pooled_projections", "guidance"]],
    ["pixart", "alpha", pixart, ["encoder_hidden_states", "encoder_attention_mask", "resolution", "aspect_ratio"]],
  ];
  it.each(cases)("of %s reaches the network", async (family, name, of, conditions) => {
    const golden = goldenRuns(family)[name]!;
    const pipe = await opened(of(golden));
    const { prompt, options } = callOptions(golden);
    const quick = { ...options, steps: 1, guidanceScale: 1, decode: false };
    const told = { branch: "cond", size: [16, 24], guidanceScale: 1, options: options.conditioning ?? {} } as const;
    const { rows } = await pipe.conditioner.encode({ ...told, prompts: prompt });
    const plain = await pipe.generate(prompt, quick);
    expect(Object.keys(rows).sort()).toEqual([...conditions].sort());
    for (const condition of conditions) {
      const value = toFloat32(rows[condition]!);
      const other = float32(
        value.data.map((v, i) => (i === 0 ? 1 - v : v)),
        value.shape,
      );
      const changed = await pipe.generate(prompt, { ...quick, condition: { [condition]: other } });
      expect(changed.latents.data, condition).not.toEqual(plain.latents.data);
    }
  });
});
