import { type Model, opsetOf, type Shape, unfuseAttention, type ValueInfo } from "../onnx/index.js";
import type { Device, SessionOptions } from "../runtime/index.js";
import { bytesPerElement, sizeOf, type Tensor } from "../tensor/index.js";
import type { Activation } from "./activation.js";
import { type Capture, captureKey, type Tap, tap, tapFeeds } from "./capture.js";
import { applyEdits, type EditCall, editFeeds } from "./edits/apply.js";
import type { Edit, StepContext } from "./edits/edit.js";
import type { HookPoint } from "./hook-point.js";
import { type ModuleTree, moduleTree } from "./module-tree.js";
import { type Break, StagedSession } from "./staged-session.js";

export interface Hooks {
  readonly capture?: readonly Capture[];
  /** Applied in order; a later edit of the same activation sees the earlier one's result, captures see the last. */
  readonly edits?: readonly Edit[];
}

export interface HookedRunOptions extends Hooks {
  /** Where the run stands in a trajectory, for edits that depend on it. */
  readonly context?: StepContext;
  /** Model outputs to compute; default all. */
  readonly fetches?: readonly string[];
  /** False leaves the captures out of this run without compiling another variant. */
  readonly record?: boolean;
  readonly signal?: AbortSignal;
}

export interface HookedRun {
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** By hook point path, or by the key asked for. */
  readonly activations: Readonly<Record<string, Activation>>;
}

export interface HookedModelOptions {
  /** Axis lengths of inputs: with them the tree shows concrete shapes. */
  readonly inputShapes?: Readonly<Record<string, Shape>>;
  readonly session?: SessionOptions;
  /** Compiled variants kept open, each with the weights once, packed for its kernels; default 4, of models above 512 MiB one. The one used longest ago is closed first. */
  readonly maxSessions?: number;
}

interface Compiled {
  readonly session: Promise<StagedSession<EditCall>>;
  readonly taps: readonly Tap[];
  /** Runs under way; the session is closed only when there are none. */
  running: number;
  retired: boolean;
}

/**
 * A model that can be captured from and edited while it runs. Each combination of captures and edits is a rewritten
 * graph, compiled once; strengths and directions are inputs of it, so changing them costs nothing. The model
 * itself is never changed.
 */
export class HookedModel {
  readonly model: Model;
  readonly #options: HookedModelOptions;
  readonly #maxSessions: number;
  readonly #compiled = new Map<string, Compiled>();
  #tree: ModuleTree | undefined;
  #released = false;

  constructor(model: Model, options: HookedModelOptions = {}) {
    this.model = model;
    this.#options = options;
    const weightBytes = model.graph.initializers.reduce((sum, w) => sum + bytesPerElement(w.dtype) * sizeOf(w.shape), 0);
    this.#maxSessions = options.maxSessions ?? (weightBytes > 2 ** 29 ? 1 : 4);
  }

  /** Inputs a run must feed; those of edits are fed by themselves. */
  get inputs(): readonly ValueInfo[] {
    return this.model.graph.inputs;
  }

  get outputs(): readonly ValueInfo[] {
    return this.model.graph.outputs;
  }

  /** The modules, with what can be hooked. */
  tree(): ModuleTree {
    const { inputShapes } = this.#options;
    this.#tree ??= moduleTree(this.model.graph, { opset: opsetOf(this.model), ...(inputShapes && { inputShapes }) });
    return this.#tree;
  }

  /**
   * Runs the model, with whatever captures and edits are asked for.
   * @throws UnknownHookPointError before anything runs, if a pattern names nothing
   */
  async run(feeds: Readonly<Record<string, Tensor>>, options: HookedRunOptions = {}): Promise<HookedRun> {
    const { edits = [], signal } = options;
    const { context: told = { step: 0 } } = options;
    const rows = feeds[this.inputs[0]?.name ?? ""]?.shape[0] ?? 1;
    const context = told.branches === undefined ? { items: Array.from({ length: rows }, (_, i) => i), ...told } : told;
    const compiled = this.#compile(options);
    compiled.running++;
    try {
      const session = await compiled.session;
      const names = options.fetches ?? this.outputs.map((o) => o.name);
      const taps = options.record === false ? [] : compiled.taps;
      const results = await session.run(
        { ...feeds, ...this.editFeeds(edits, context), ...tapFeeds(compiled.taps, context) },
        {
          fetches: [...names, ...taps.map((t) => t.output)],
          answer: async ({ edit, hookPoint }, value) => {
            const tensor = value as Tensor<"float32">;
            return (await edits[edit]!.call!({ hookPoint, axes: hookPoint.axes, tensor }, context)) ?? tensor;
          },
          ...(signal && { signal }),
        },
      );
      const outputs = Object.fromEntries(names.map((name) => [name, results[name]!]));
      const activations: Record<string, Activation> = {};
      for (const { key, output, hookPoint, axes, branch } of taps)
        activations[key] = { hookPoint, axes, tensor: results[output]!, ...(branch && { branch }) };
      return { outputs, activations };
    } finally {
      compiled.running--;
      await this.#closeRetired(compiled);
    }
  }

  /** The model as edits rewrite it; the inputs that they add are fed by `editFeeds`. For passes that need the graph, such as gradients. */
  edited(edits: readonly Edit[]): Model {
    const callback = edits.find((edit) => edit.call !== undefined);
    if (callback !== undefined)
      throw new TypeError(`HookedModel.edited: "${callback.label}" runs in JavaScript and has no graph`);
    return this.#rewrite([], edits).model;
  }

  /** What edits feed at a place of a trajectory, by input of the model that `edited` gives. */
  editFeeds(edits: readonly Edit[], context: StepContext = { step: 0 }): Record<string, Tensor> {
    return editFeeds(edits, this.#find, context);
  }

  /** Compiles ahead, so that the first run does not wait. @returns the device it will run on */
  async prepare(hooks: Hooks = {}): Promise<Device> {
    return (await this.#compile(hooks).session).device;
  }

  /** Closes every compiled variant after the runs under way. */
  async release(): Promise<void> {
    this.#released = true;
    const all = [...this.#compiled.values()];
    this.#compiled.clear();
    for (const c of all) c.retired = true;
    await Promise.all(all.map((c) => this.#closeRetired(c)));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  #compile({ capture = [], edits = [] }: Hooks): Compiled {
    if (this.#released) throw new TypeError("HookedModel: it was released; load it again");
    const key = JSON.stringify([capture.map(captureKey), edits.map((e) => e.structure)]);
    const known = this.#compiled.get(key);
    if (known !== undefined) {
      this.#compiled.delete(key);
      this.#compiled.set(key, known);
      return known;
    }
    const { model, taps, breaks } = this.#rewrite(capture, edits);
    // Room is made first, so that no more copies of the weights exist than asked for.
    for (const [oldestKey, oldest] of this.#compiled) {
      if (this.#compiled.size < this.#maxSessions) break;
      this.#compiled.delete(oldestKey);
      oldest.retired = true;
      void this.#closeRetired(oldest);
    }
    const compiled: Compiled = {
      session: StagedSession.open(model, breaks, this.#options.session),
      taps,
      running: 0,
      retired: false,
    };
    this.#compiled.set(key, compiled);
    compiled.session.catch(() => this.#compiled.delete(key));
    return compiled;
  }

  async #closeRetired(compiled: Compiled): Promise<void> {
    if (!compiled.retired || compiled.running > 0) return;
    const session = await compiled.session.catch(() => undefined);
    await session?.release();
  }

  readonly #find = (pattern: string): readonly HookPoint[] => this.tree().find(pattern);

  #rewrite(
    capture: readonly Capture[],
    edits: readonly Edit[],
  ): { model: Model; taps: readonly Tap[]; breaks: readonly Break<EditCall>[] } {
    if (capture.length + edits.length === 0) return { model: this.model, taps: [], breaks: [] };
    const opset = opsetOf(this.model);
    const points = [...edits.map((e) => e.pattern), ...capture.map((c) => (typeof c === "string" ? c : c.at))].flatMap(
      this.#find,
    );
    const outputs = points.flatMap((point) => point.unfuse ?? []);
    const { inputShapes } = this.#options;
    const opened = unfuseAttention(this.model.graph, { opset, outputs, ...(inputShapes && { inputShapes }) });
    const edited = applyEdits(opened, edits, this.#find, opset);
    const { graph, taps } = tap(edited.graph, capture, { opset, find: this.#find, current: edited.current });
    return { model: { ...this.model, graph }, taps, breaks: edited.breaks };
  }
}

/** A model opened with fixed captures and edits. */
export interface HookedSession {
  /** @param options strengths come from `edits`, which default to those the session was opened with and must have their structure */
  run(feeds: Readonly<Record<string, Tensor>>, options?: Omit<HookedRunOptions, "capture">): Promise<HookedRun>;
  release(): Promise<void>;
}

/** Opens a model with captures and edits in place. */
export async function hookedSession(model: Model, hooks: Hooks, options: HookedModelOptions = {}): Promise<HookedSession> {
  const hooked = new HookedModel(model, options);
  await hooked.prepare(hooks);
  return {
    run: (feeds, runOptions = {}) => hooked.run(feeds, { ...hooks, ...runOptions }),
    release: () => hooked.release(),
  };
}
