import { gradientThrough } from "../../autodiff/index.js";
import type { Model } from "../../onnx/index.js";
import { embed, type GraphBuilder, type Value } from "../../program/index.js";
import { openSession, type Session } from "../../runtime/index.js";
import { expectFloat32, float32, scalar, sizeOf, Tensor } from "../../tensor/index.js";
import { preconditioning } from "../adapters.js";
import { asInput, scaled, timestepInput } from "../batches.js";
import type { Condition, Denoiser } from "../contracts.js";
import { decoded } from "./decoded.js";
import type { DenoiserChange, DenoiserContext } from "./generate-options.js";
import { networkInputs } from "./network-inputs.js";
import type { Pipeline } from "./pipeline.js";

/**
 * log p(y | picture) in a graph: from a picture [item, channel, y, x] and its timestep, float32 [item], to one number per item,
 * or any shape that is summed.
 */
export type LogProbability = (picture: Value, g: GraphBuilder, timestep: Value) => Value;

export interface ClassifierGuidanceOptions {
  /** The weight of the gradient; 1 samples p(x | y) where the classifier is right. */
  readonly scale: number;
  /**
   * What the classifier looks at: `"denoised"` (default), the picture −1…1 decoded from x̂₀, which any classifier of clean pictures
   * understands; or `"state"`, the noisy state of the training process, for classifiers trained on noise.
   */
  readonly sees?: "denoised" | "state";
  /** With `"denoised"`: whether the gradient goes on through the denoising network to the state; default true. Without, x̂₀ itself is moved, which is cheaper. */
  readonly throughNetwork?: boolean;
  /** Timesteps outside which there is no such guidance: low ≤ t ≤ high. */
  readonly timesteps?: readonly [low: number, high: number];
}

/**
 * Guidance by the gradient of a classifier, or of anything else that a graph computes from a picture:
 * x̂₀ + scale·σ²·∇ₓ log p(y | x). Pass the result in `changes` of `generate`. With a text-guided pipeline, the classifier sees
 * the conditional prediction.
 * @param logProbability a program, such as `classifierLogProbability` makes of a classifier
 * @throws UnsupportedOpError at the first step, if an operator on the way has no gradient
 * @see Dhariwal & Nichol 2021, arXiv:2105.05233, §4 (noisy states); Bansal et al. 2023, arXiv:2302.07121 (clean pictures)
 */
export function classifierGuidance(
  pipe: Pipeline,
  logProbability: LogProbability,
  options: ClassifierGuidanceOptions,
): DenoiserChange {
  const { scale, timesteps: [low, high] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] } = options;
  if (!Number.isFinite(scale)) throw new RangeError(`classifierGuidance: scale must be a finite number, got ${scale}`);
  return (denoiser, context) => {
    const gradient = new PictureGradient(pipe, logProbability, context, options);
    /** scale·∇ₓ log p, what is added to the score; undefined where it is not to act. */
    const push = async (x: Tensor<"float32">, sigma: number, condition?: Condition): Promise<Float32Array | undefined> => {
      const t = context.plan.timestepOf(sigma);
      if (sigma === 0 || t < low || t > high) return undefined;
      return (await gradient.at(x, sigma, condition, denoiser)).map((v) => scale * v);
    };
    const added = (values: Tensor<"float32">, push: Float32Array | undefined, factor: number): Tensor<"float32"> =>
      push === undefined
        ? values
        : new Tensor(
            "float32",
            values.data.map((v, i) => v + factor * push[i]!),
            values.shape,
          );
    const guided: Denoiser = async (x, sigma, condition) => {
      const denoised = await denoiser(x, sigma, condition);
      const { variance } = denoised;
      const moved = added(denoised, await push(x, sigma, condition), sigma ** 2);
      return variance ? Object.assign(moved, { variance }) : moved;
    };
    const { epsilon } = denoiser;
    if (epsilon === undefined) return guided;
    return Object.assign(guided, {
      epsilon: async (x: Tensor<"float32">, sigma: number, condition?: Condition) =>
        added(await epsilon(x, sigma, condition), await push(x, sigma, condition), -sigma),
    });
  };
}

/**
 * log p(label | picture) of a classifier's graph.
 * @param classifier an input of pictures [item, 3, y, x] in −1…1, if it was trained on noise a second one of timesteps, and an
 *   output of logits [item, classes]
 * @param label its number among the logits, one for all items or one each
 * @param output name of the logits; default the first output
 */
export function classifierLogProbability(
  classifier: Model,
  label: number | readonly number[],
  output: string = classifier.graph.outputs[0]!.name,
): LogProbability {
  const stored = new Set(classifier.graph.initializers.map((w) => w.name));
  const inputs = classifier.graph.inputs.filter((v) => !stored.has(v.name));
  if (inputs.length !== 1 && inputs.length !== 2)
    throw new RangeError(
      `classifierLogProbability: expected an input of pictures, and at most one of timesteps, got ${inputs.map((v) => v.name).join(", ")}`,
    );
  return (picture, g, timestep) => {
    const feeds = inputs[1] === undefined ? {} : { [inputs[1].name]: timestep };
    const logits = embed(g, classifier, { ...feeds, [inputs[0]!.name]: picture }, "classifier")[output];
    if (logits === undefined) throw new RangeError(`classifierLogProbability: the classifier has no output "${output}"`);
    const [items, classes] = [logits.dim(0), logits.dim(1)];
    const labels = typeof label === "number" ? Array.from({ length: items }, () => label) : label;
    const wrong = labels.find((l) => !Number.isInteger(l) || l < 0 || l >= classes);
    if (labels.length !== items || wrong !== undefined)
      throw new RangeError(
        `classifierLogProbability: labels are ${items} whole numbers 0…${classes - 1}, got ${labels.join(", ")}`,
      );
    const chosen = new Float32Array(items * classes);
    for (const [i, l] of labels.entries()) chosen[i * classes + l] = 1;
    return logits
      .cast("float32")
      .logSoftmax(1)
      .mul(g.constant(float32(chosen, [items, classes])));
  };
}

/** ∇ₓ log p by one graph for each size of state: network, x̂₀, decoder, classifier. */
class PictureGradient {
  readonly #pipe: Pipeline;
  readonly #logProbability: LogProbability;
  readonly #context: DenoiserContext;
  readonly #options: ClassifierGuidanceOptions;
  readonly #sessions = new Map<string, Promise<Session>>();

  constructor(pipe: Pipeline, logProbability: LogProbability, context: DenoiserContext, options: ClassifierGuidanceOptions) {
    this.#pipe = pipe;
    this.#logProbability = logProbability;
    this.#context = context;
    this.#options = options;
  }

  async at(x: Tensor<"float32">, sigma: number, condition: Condition = {}, denoiser: Denoiser): Promise<Float32Array> {
    const { plan, predictionType } = this.#context;
    const { sees = "denoised", throughNetwork = true } = this.#options;
    const session = await this.#session(x.shape, condition);
    const signal = plan.signal(sigma);
    const t = plan.timestepOf(sigma);
    const pictureTimestep = float32(new Float32Array(x.shape[0]!).fill(t));
    if (sees === "state") {
      return (await this.#run(session, { x: scaled(x, signal), pictureTimestep })).map((v) => v * signal);
    }
    if (!throughNetwork) return this.#run(session, { x: await denoiser(x, sigma, condition), pictureTimestep });
    const { input, ofState, ofPrediction } = preconditioning(predictionType, plan, sigma);
    const { sample, timestep, conditions } = networkInputs(this.#pipe.network.inputs);
    const feeds: Record<string, Tensor> = {
      x,
      pictureTimestep,
      input: scalar(input),
      ofState: scalar(1 - sigma * ofState),
      ofPrediction: scalar(-sigma * ofPrediction),
      [timestep.name]: timestepInput(t, timestep, x.shape[0]!),
    };
    for (const [name, info] of conditions)
      if (info !== sample && condition[name]) feeds[info.name] = asInput(condition[name], info);
    const branches = new Array<"cond">(x.shape[0]!).fill("cond");
    const edits = this.#pipe.network.editFeeds(this.#pipe.edits, { step: 0, timestep: t, sigma, branches });
    return this.#run(session, { ...feeds, ...edits });
  }

  async #run(session: Session, feeds: Record<string, Tensor>): Promise<Float32Array> {
    const outputs = await session.run(feeds, { fetches: ["gradient:x"] });
    return expectFloat32(outputs["gradient:x"] as Tensor, "classifierGuidance").data;
  }

  #session(shape: readonly number[], condition: Condition): Promise<Session> {
    const key = shape.join();
    let session = this.#sessions.get(key);
    if (session === undefined) {
      session = openSession(this.#graph(shape, condition), { name: "classifier guidance", spinning: false });
      this.#sessions.set(key, session);
      session.catch(() => this.#sessions.delete(key));
    }
    return session;
  }

  #graph(shape: readonly number[], condition: Condition): Model {
    const { sees = "denoised", throughNetwork = true } = this.#options;
    return gradientThrough((g) => {
      const x = g.input("x", "float32", shape);
      const seen = sees === "state" ? x : decoded(g, this.#pipe, throughNetwork ? this.#denoised(g, x, condition) : x);
      const timestep = g.input("pictureTimestep", "float32", [x.dim(0)]);
      return { of: this.#logProbability(seen, g, timestep).sum(), withRespectTo: { x } };
    });
  }

  /** x̂₀ of the conditional branch as a function of x. */
  #denoised(g: GraphBuilder, x: Value, condition: Condition): Value {
    const { network, edits } = this.#pipe;
    const { sample, timestep, conditions } = networkInputs(network.inputs);
    const items = x.dim(0);
    const [input, ofState, ofPrediction] = ["input", "ofState", "ofPrediction"].map((name) => g.input(name, "float32", []));
    const t = timestepInput(0, timestep, items);
    const feeds: Record<string, Value> = {
      [sample.name]: x.mul(input!),
      [timestep.name]: g.input(timestep.name, t.dtype, t.shape),
    };
    for (const [name, info] of conditions) {
      const value = condition[name];
      if (value === undefined)
        throw new TypeError(`classifierGuidance: the network's input ${info.name} is not given by this pipeline`);
      feeds[info.name] = g.input(info.name, asInput(value, info).dtype, value.shape);
    }
    const model = network.edited(edits);
    for (const info of model.graph.inputs) {
      if (feeds[info.name] === undefined && info.dtype) feeds[info.name] = g.input(info.name, info.dtype, info.shape ?? []);
    }
    const prediction = embed(g, model, feeds, "network")[network.outputs[0]!.name]!.cast("float32");
    // A learned variance stands in the second half of the channels.
    const mean =
      sizeOf(prediction.shape as number[]) === sizeOf(x.shape as number[]) ? prediction : prediction.slice(1, 0, x.dim(1));
    return x.mul(ofState!).add(mean.mul(ofPrediction!));
  }
}
