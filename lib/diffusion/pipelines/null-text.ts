import { gradient } from "../../autodiff/index.js";
import type { Branch } from "../../hooks/index.js";
import { beginTask, openSession, type Session } from "../../runtime/index.js";
import { Tensor, toFloat32 } from "../../tensor/index.js";
import { preconditioning } from "../adapters.js";
import { asInput, scaled, stacked, timestepInput } from "../batches.js";
import type { Conditioning } from "../conditioning/index.js";
import { scheduleFromConfig } from "../schedules/index.js";
import type { Inversion } from "./inversion.js";
import { networkInputs } from "./network-inputs.js";
import type { Pipeline } from "./pipeline.js";
import { expectStateAlone } from "./start.js";

export interface NullTextOptions {
  /** What the pictures show; default what the inversion was told. */
  readonly prompts?: string | readonly string[];
  /** Scale of the way back; default 7.5. */
  readonly guidanceScale?: number;
  /** Most Adam steps at each level; default 10. */
  readonly iterations?: number;
  /** At the first level; it falls by a hundredth of itself per level. Default 0.1; the paper has 0.01. */
  readonly learningRate?: number;
  /** A level is done when the mean squared error of the latents is below this, and 2e-5 more per level. Default 1e-6; the paper has 1e-5. */
  readonly tolerance?: number;
  readonly signal?: AbortSignal;
  readonly onStep?: (report: { readonly step: number; readonly steps: number; readonly loss: number }) => void;
}

/** Text states of the unconditional branch with which a guided run comes back to the inverted pictures. */
export interface NullText {
  /** [step, item, token, channel]: pass them as `nullText`, with the inversion's noise. */
  readonly states: Tensor<"float32">;
  /** Mean squared error of the latents after each step, and what it is with the empty prompt's states instead. */
  readonly losses: Float64Array;
  readonly unoptimized: Float64Array;
}

/**
 * Null-text inversion: at each level of the way back, the unconditional branch's text states are optimized so that the guided
 * step lands where the inversion passed. The gradient goes through the whole network.
 * @throws RangeError if the inversion is not a `ddim-inverse` one or the network takes no text; UnsupportedOpError if the
 *   network has an operator without a gradient
 * @see Mokady et al. 2022, arXiv:2211.09794, algorithm 1
 */
export async function nullText(pipe: Pipeline, inversion: Inversion, options: NullTextOptions = {}): Promise<NullText> {
  const { sampler, steps, scheduler } = inversion.run.manifest;
  if (sampler !== "ddim-inverse") throw new RangeError(`nullText: it corrects DDIM's way back, got an inversion by ${sampler}`);
  const { guidanceScale = 7.5, iterations = 10, learningRate = 0.1, tolerance = 1e-6, signal } = options;
  expectStateAlone(pipe, "nullText");
  const schedule = scheduleFromConfig(pipe.schedulerConfig, "ddim", scheduler);
  const plan = schedule.plan(steps);
  const prompts = options.prompts ?? inversion.run.items.map((item) => item.prompt);
  const texts = typeof prompts === "string" ? inversion.run.items.map(() => prompts) : prompts;
  const told = { size: inversion.run.manifest.size, guidanceScale, ...(signal && { signal }) };
  const cond = await pipe.conditioner.encode({ ...told, prompts: texts, branch: "cond" });
  const uncond = await pipe.conditioner.encode({ ...told, prompts: texts.map(() => ""), branch: "uncond" });
  const given = uncond.rows.encoder_hidden_states;
  if (given === undefined) throw new RangeError("nullText: this network takes no text states");

  await using network = await DifferentiableNetwork.open(pipe, inversion.latents.shape, given.shape);
  let empty = toFloat32(given).clone();
  const targets = inversion.targets;
  let z = scaled(inversion.noise, plan.initialScale * plan.signal(plan.sigmas[0]!));
  const found: Tensor<"float32">[] = [];
  const losses = new Float64Array(steps);
  const unoptimized = new Float64Array(steps);
  using task = beginTask("nullText", { total: steps, told: options.onStep });
  for (let step = 0; step < steps; step++) {
    const [sigma, sigmaNext] = [plan.sigmas[step]!, plan.sigmas[step + 1]!];
    const timestep = plan.timesteps[step]!;
    const landing = plan.settings.landings?.[step] ?? sigmaNext;
    // z′ = kept·z + slope·ε̃ in states of the training process, and ε̃ is affine in the predictions.
    const kept = plan.signal(landing) / plan.signal(sigma);
    const slope = plan.signal(landing) * (landing - sigma);
    const { ofState, ofPrediction } = preconditioning(schedule.predictionType, plan, sigma);
    const epsilon = (prediction: Tensor<"float32">): Float32Array =>
      prediction.data.map((p, i) => (ofState * z.data[i]!) / plan.signal(sigma) + ofPrediction * p);
    const at = { step, timestep, sigma };
    const towards = epsilon((await network.run(z, at, cond, "cond", signal)).prediction);
    const land = (away: Float32Array): Float32Array =>
      z.data.map((v, i) => kept * v + slope * (away[i]! + guidanceScale * (towards[i]! - away[i]!)));
    const target = targets.row(step).data;
    const adam = new Adam(empty.size);
    const rate = learningRate * (1 - step / 100);
    let landed = z.data;
    let loss = Number.POSITIVE_INFINITY;
    for (let k = 0; k <= iterations; k++) {
      const rows = { ...uncond, rows: { ...uncond.rows, encoder_hidden_states: empty } };
      const { prediction } = await network.run(z, at, rows, "uncond", signal);
      landed = land(epsilon(prediction));
      const error = landed.map((v, i) => v - target[i]!);
      loss = error.reduce((sum, e) => sum + e * e, 0) / error.length;
      if (k === 0) unoptimized[step] = loss;
      if (k === iterations || loss < tolerance + step * 2e-5) break;
      const share = (2 / error.length) * slope * (1 - guidanceScale) * ofPrediction;
      const gradient = await network.pullBack(z, at, rows, scaled(new Tensor("float32", error, z.shape), share), signal);
      empty = new Tensor("float32", adam.step(empty.data, gradient.data, rate), empty.shape);
    }
    z = new Tensor("float32", landed, z.shape);
    losses[step] = loss;
    found.push(empty);
    task.at(step + 1, `loss ${loss.toPrecision(3)}`);
    options.onStep?.({ step, steps, loss });
  }
  return { states: stacked(found), losses, unoptimized };
}

/** The pipeline's network, with the gradient of its prediction with respect to its text states. */
class DifferentiableNetwork {
  readonly #pipe: Pipeline;
  readonly #backward: Session;

  private constructor(pipe: Pipeline, session: Session) {
    this.#pipe = pipe;
    this.#backward = session;
  }

  static async open(pipe: Pipeline, latents: readonly number[], text: readonly number[]): Promise<DifferentiableNetwork> {
    const model = pipe.network.edited(pipe.edits);
    const { sample, conditions } = networkInputs(pipe.network.inputs);
    const textInput = conditions.get("encoder_hidden_states")!.name;
    const of = pipe.network.outputs[0]!.name;
    const inputShapes = { [sample.name]: latents, [textInput]: text };
    const differentiated = gradient(model, { of, withRespectTo: [textInput], inputShapes, cotangent: true });
    return new DifferentiableNetwork(pipe, await openSession(differentiated, { name: "null-text gradient", spinning: false }));
  }

  async run(
    z: Tensor<"float32">,
    at: { readonly step: number; readonly timestep: number; readonly sigma: number },
    told: Conditioning,
    branch: Branch,
    signal?: AbortSignal,
  ): Promise<{ prediction: Tensor<"float32"> }> {
    const { network, edits } = this.#pipe;
    const context = { ...at, branches: new Array<Branch>(z.shape[0]!).fill(branch) };
    const { outputs } = await network.run(this.#feeds(z, at.timestep, told), { edits, context, ...(signal && { signal }) });
    return { prediction: toFloat32(outputs[network.outputs[0]!.name]!) };
  }

  async pullBack(
    z: Tensor<"float32">,
    at: { readonly step: number; readonly timestep: number; readonly sigma: number },
    told: Conditioning,
    cotangent: Tensor<"float32">,
    signal?: AbortSignal,
  ): Promise<Tensor<"float32">> {
    const { network, edits } = this.#pipe;
    const [of] = network.outputs;
    const textInput = networkInputs(network.inputs).conditions.get("encoder_hidden_states")!.name;
    const context = { ...at, branches: new Array<Branch>(z.shape[0]!).fill("uncond") };
    const feeds = {
      ...this.#feeds(z, at.timestep, told),
      ...network.editFeeds(edits, context),
      [`cotangent:${of!.name}`]: asInput(cotangent, of!),
    };
    const name = `gradient:${textInput}`;
    const outputs = await this.#backward.run(feeds, { fetches: [name], ...(signal && { signal }) });
    return toFloat32(outputs[name] as Tensor);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#backward.release();
  }

  #feeds(z: Tensor<"float32">, t: number, told: Conditioning): Record<string, Tensor> {
    const { sample, timestep, conditions } = networkInputs(this.#pipe.network.inputs);
    const feeds: Record<string, Tensor> = {
      [sample.name]: asInput(z, sample),
      [timestep.name]: timestepInput(t, timestep, z.shape[0]!),
    };
    for (const [name, info] of conditions) {
      const value = told.rows[name] ?? told.shared?.[name];
      if (value !== undefined) feeds[info.name] = asInput(value, info);
    }
    return feeds;
  }
}

/** @see Kingma & Ba 2014, arXiv:1412.6980 */
class Adam {
  readonly #first: Float64Array;
  readonly #second: Float64Array;
  #count = 0;

  constructor(size: number) {
    this.#first = new Float64Array(size);
    this.#second = new Float64Array(size);
  }

  step(values: Float32Array, gradient: Float32Array, rate: number): Float32Array {
    this.#count++;
    const [c1, c2] = [1 - 0.9 ** this.#count, 1 - 0.999 ** this.#count];
    return values.map((value, i) => {
      const g = gradient[i]!;
      const m = 0.9 * this.#first[i]! + 0.1 * g;
      const v = 0.999 * this.#second[i]! + 0.001 * g * g;
      this.#first[i] = m;
      this.#second[i] = v;
      return value - (rate * (m / c1)) / (Math.sqrt(v / c2) + 1e-8);
    });
  }
}
