import { beginTask, currentSignal, environment } from "../../runtime/index.js";
import { type Tensor, TorchGenerator, tensorDigest } from "../../tensor/index.js";
import { denoiserFrom } from "../adapters.js";
import { joined, scaled, stacked } from "../batches.js";
import type { Conditioning } from "../conditioning/index.js";
import type { Condition, Denoiser } from "../contracts.js";
import { warnOfTruncation } from "../formats/tokenizers/index.js";
import { risingSamplers, samplers } from "../samplers/index.js";
import { scheduleFromConfig } from "../schedules/index.js";
import { Controls } from "./control.js";
import type { GenerateOptions } from "./generate-options.js";
import { Generation, type GenerationItem } from "./generation.js";
import type { Pipeline } from "./pipeline.js";
import { picturesFromPixels } from "./pixels.js";
import { recipeOf } from "./run-recipe.js";
import { latentSize, startOf, strengthOf } from "./start.js";
import { scheduleRun } from "./state-layout.js";
import { WatchedNetwork } from "./watched-network.js";

/** Prompts to pictures; see `Pipeline.generate`. */
export async function generate(
  pipe: Pipeline,
  prompt: string | readonly string[],
  options: GenerateOptions,
): Promise<Generation> {
  const {
    guidanceScale = pipe.defaults.guidanceScale,
    guidanceRescale = 0,
    eta,
    capture = [],
    batchSize = 8,
    asyrp,
    signal = currentSignal(),
  } = options;
  const items = itemsOf(pipe, prompt, options);
  warnOfTruncation(items, pipe.conditioner.promptTokens ?? 0);
  if (asyrp && (options.sampler ?? "ddim") !== "ddim")
    throw new RangeError(`generate: asyrp is a form of ddim, got sampler "${options.sampler}"; leave one of them out`);
  const schedule = scheduleFromConfig(pipe.schedulerConfig, asyrp ? "ddim" : options.sampler, options.scheduler);
  const { fixedPointIterations } = options;
  const asked = options.steps ?? pipe.defaults.steps;
  const whole = schedule.plan(asked, {
    ...scheduleRun(pipe.layout, asked, latentSize(pipe, options)),
    ...(fixedPointIterations !== undefined && { fixedPointIterations }),
    ...(pipe.strengthChoosesLevels && options.image && { strength: strengthOf(options) }),
  });
  const edits = [...pipe.edits, ...(options.edits ?? [])];
  const hSpaceEdits = asyrp?.edits ?? [];
  // Patterns that name nothing show here, before any work is done.
  const device = await pipe.network.prepare({ capture, edits: [...edits, ...hSpaceEdits] });

  const generators = items.map((item) => new TorchGenerator(item.seed));
  const start = await startOf(pipe, whole, risingSamplers.has(schedule.sampler), generators, options);
  const { plan, x } = start;
  const steps = plan.timesteps.length;
  const { factor } = pipe.latentSpace;
  const size = [x.shape[2]! * factor, x.shape[3]! * factor] as const;
  const controls = controlsOf(pipe, options, { items: items.length, size, steps, signal });
  const untold = options.negativePrompt === undefined;
  const told = { size, guidanceScale, untold, options: options.conditioning ?? {}, ...(signal && { signal }) };
  const branchScale = pipe.conditioner.guidance === "classifier-free" ? guidanceScale : (options.trueCfgScale ?? 1);
  const imageGuidanceScale = imageScaleOf(pipe, options);
  // Brooks et al. sampled with both scales above 1; Diffusers does without guidance below.
  const isGuided = branchScale > 1 && (imageGuidanceScale ?? 1) >= 1;
  const encode = async (prompts: readonly string[], branch: "cond" | "uncond"): Promise<Conditioning> => {
    const { rows, shared } = await pipe.conditioner.encode({ ...told, prompts, branch });
    const own = branch === "cond" ? options.condition : undefined;
    return { rows: { ...rows, ...own }, ...(shared && { shared }) };
  };
  const { nullText } = options;
  const watched = {
    layout: pipe.layout,
    noise: schedule.noise,
    items: items.length,
    cond: await encode(
      items.map((i) => i.prompt),
      "cond",
    ),
    uncond: isGuided
      ? await encode(
          items.map((i) => i.negativePrompt),
          "uncond",
        )
      : undefined,
    uncondAt: nullText && ((step: number): Condition => ({ encoder_hidden_states: nullText.row(step) })),
    beside: start.beside,
    imageGuidanceScale,
    controls,
    guidanceScale: branchScale,
    guidanceRescale,
    guidanceInterval: options.guidanceInterval,
    batchSize,
    signal,
  };
  const network = new WatchedNetwork(pipe.network, {
    ...watched,
    capture,
    captureAt: options.captureAt ?? (() => true),
    recall: options.recall,
    edits: [...edits, ...hSpaceEdits],
  });
  const unedited = asyrp && new WatchedNetwork(pipe.network, { ...watched, capture: [], captureAt: () => false, edits });

  const predicting = denoiserFrom[schedule.predictionType];
  let denoiser: Denoiser = predicting(network.predict, plan);
  for (const change of options.changes ?? []) denoiser = change(denoiser, { plan, predictionType: schedule.predictionType });
  if (unedited) {
    const plain = predicting(unedited.predict, plan);
    denoiser = asymmetric(denoiser, plain, (sigma) => plan.timestepOf(sigma) >= (asyrp?.until ?? 0));
  }
  const latents: Tensor<"float32">[] = [];
  const denoised: Tensor<"float32">[] = [];
  const perItem = x.size / items.length;
  const rng = { normals: () => joined(generators.map((g) => g.randn([perItem]).data)) };
  const run = samplers[schedule.sampler](denoiser, x, plan.sigmas, {
    ...plan.settings,
    condition: network.condition,
    ...(eta !== undefined && { eta }),
    ...(asyrp && { asymmetric: true, ...(asyrp.boostFrom !== undefined && { boostFrom: asyrp.boostFrom }) }),
    ...(start.revise && { revise: start.revise }),
    rng,
    ...(signal && { signal }),
  });
  using task = beginTask("generate", { total: steps, told: options.onStep });
  const started = performance.now();
  for await (const step of run) {
    latents.push(scaled(step.x, plan.signal(step.sigmaNext)));
    denoised.push(step.denoised);
    const done = step.index + 1;
    task.at(done);
    const secondsLeft = ((performance.now() - started) / 1000 / done) * (steps - done);
    await options.onStep?.({ ...step, steps, secondsLeft });
    signal?.throwIfAborted();
    network.step = done;
    if (unedited) unedited.step = done;
  }

  const final = latents.at(-1)!;
  const pixels = (options.decode ?? true) ? await pipe.decode(final, { batchSize, ...(signal && { signal }) }) : undefined;
  return new Generation({
    items,
    pixels,
    images: pixels === undefined ? [] : picturesFromPixels(pixels),
    latents: stacked(latents),
    denoised: stacked(denoised),
    sigmas: plan.sigmas,
    timesteps: plan.timesteps,
    calls: network.calls,
    branches: network.branches,
    activations: network.recorder.activations(),
    recipe: recipeOf(typeof prompt === "string" ? [prompt] : prompt, options, edits),
    manifest: {
      model: pipe.digest,
      pipelineClass: pipe.pipelineClass,
      items,
      sampler: schedule.sampler,
      steps,
      timesteps: [...plan.timesteps],
      guidanceScale,
      guidanceRescale,
      ...(imageGuidanceScale !== undefined && { imageGuidanceScale }),
      ...(options.guidanceInterval && { guidanceInterval: options.guidanceInterval }),
      ...(eta !== undefined && { eta }),
      ...(fixedPointIterations !== undefined && { fixedPointIterations }),
      ...(options.scheduler && { scheduler: options.scheduler }),
      size,
      ...(options.noise && { noise: tensorDigest(options.noise) }),
      ...(options.image && { start: start.record }),
      ...(controls && { controls: controls.records }),
      edits: edits.map((e) => e.label),
      ...(asyrp && { asyrp: { ...asyrp, edits: hSpaceEdits.map((e) => e.label) } }),
      captures: capture.map((c) => (typeof c === "string" ? c : (c.as ?? c.at))),
      environment: environment(device),
    },
  });
}

function itemsOf(
  pipe: Pipeline,
  prompt: string | readonly string[],
  { seed, seeds, negativePrompt = "" }: GenerateOptions,
): GenerationItem[] {
  if (seed !== undefined && seeds !== undefined) throw new RangeError("generate: give seed or seeds, not both");
  const prompts = typeof prompt === "string" ? [prompt] : prompt;
  const all = seeds ?? [seed ?? 0];
  const negatives = typeof negativePrompt === "string" ? [negativePrompt] : negativePrompt;
  const count = Math.max(prompts.length, all.length);
  for (const [name, list] of Object.entries({ prompts, seeds: all, negativePrompts: negatives })) {
    if (list.length !== 1 && list.length !== count) {
      throw new RangeError(`generate: expected 1 or ${count} ${name}, got ${list.length}; they are paired one by one`);
    }
  }
  return Array.from({ length: count }, (_, i): GenerationItem => {
    const text = prompts[i % prompts.length]!;
    const truncated = pipe.conditioner.truncated?.(text);
    return {
      prompt: text,
      negativePrompt: negatives[i % negatives.length]!,
      seed: all[i % all.length]!,
      ...(truncated && { truncated }),
    };
  });
}

/**
 * How much the picture guides that a network sees beside its state, where it sees one; 1.5 as Diffusers has it.
 * @throws RangeError if it is given to a network that sees none
 */
function imageScaleOf(pipe: Pipeline, { imageGuidanceScale }: GenerateOptions): number | undefined {
  if (pipe.seesPicture) return imageGuidanceScale ?? 1.5;
  if (imageGuidanceScale === undefined) return undefined;
  throw new RangeError(
    `generate: imageGuidanceScale is for networks that see a picture beside the state, a ${pipe.pipelineClass} does not; leave it out`,
  );
}

/** ControlNets of a run, if any are asked for or the network cannot do without. */
function controlsOf(
  pipe: Pipeline,
  { control }: GenerateOptions,
  run: {
    readonly items: number;
    readonly size: readonly [number, number];
    readonly steps: number;
    readonly signal: AbortSignal | undefined;
  },
): Controls | undefined {
  if (control === undefined) return undefined;
  const list = "image" in control ? [control] : control;
  return new Controls(list, { unet: pipe.network, own: pipe.controlNets, ...run });
}

/** x̂₀ of the edited network down to a timestep, ε always of the unedited one. */
function asymmetric(edited: Denoiser, plain: Denoiser, isEdited: (sigma: number) => boolean): Denoiser {
  const denoiser: Denoiser = (x, sigma, condition) => (isEdited(sigma) ? edited : plain)(x, sigma, condition);
  return plain.epsilon ? Object.assign(denoiser, { epsilon: plain.epsilon }) : denoiser;
}
