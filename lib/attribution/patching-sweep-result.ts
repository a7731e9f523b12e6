import { type ColumnTable, table } from "arquero";
import type { Generation, GenerationManifest } from "../diffusion/index.js";
import { Displayed, type Figure, type MimeBundle, patchingHeatmap } from "../figures/index.js";
import type { Branch } from "../hooks/index.js";
import { float32, type Tensor } from "../tensor/index.js";

/** Which run's activations go into which: the clean one's into the corrupted one, or the other way round. */
export type PatchingDirection = "denoising" | "noising";

/** Sampler steps from `start` to before `end`. */
export interface StepWindow {
  readonly start: number;
  readonly end: number;
}

/** What is needed to run a sweep again. */
export interface PatchingManifest {
  readonly direction: PatchingDirection;
  readonly branch?: Branch;
  readonly metric: string;
  readonly source: GenerationManifest;
  readonly target: GenerationManifest;
}

interface PatchingParts {
  readonly hookPoints: readonly string[];
  readonly windows: readonly StepWindow[];
  readonly timesteps: Float64Array;
  readonly values: Tensor<"float32">;
  readonly atSource: number;
  readonly atTarget: number;
  readonly source: Generation;
  readonly target: Generation;
  readonly manifest: PatchingManifest;
}

/** What putting one run's activations into another does, by hook point and window of steps. */
export class PatchingSweep extends Displayed {
  readonly hookPoints: readonly string[];
  readonly windows: readonly StepWindow[];
  /** Training timestep of each sampler step. */
  readonly timesteps: Float64Array;
  /** The metric of each patched run, float32 [hook point, window]. */
  readonly values: Tensor<"float32">;
  /** The metric of the run whose activations are used, and of the one they are put into. */
  readonly atSource: number;
  readonly atTarget: number;
  /** The two runs; the source's captured activations come along. */
  readonly source: Generation;
  readonly target: Generation;
  readonly manifest: PatchingManifest;

  constructor(parts: PatchingParts) {
    super();
    this.hookPoints = parts.hookPoints;
    this.windows = parts.windows;
    this.timesteps = parts.timesteps;
    this.values = parts.values;
    this.atSource = parts.atSource;
    this.atTarget = parts.atTarget;
    this.source = parts.source;
    this.target = parts.target;
    this.manifest = parts.manifest;
  }

  /**
   * How far each patch brings the target to the source, (value − atTarget) / (atSource − atTarget), float32
   * [hook point, window]: 0 is no effect, 1 all of it. Not finite where the metric does not tell the two runs apart.
   */
  get effect(): Tensor<"float32"> {
    const span = this.atSource - this.atTarget;
    return float32(
      this.values.data.map((v) => (v - this.atTarget) / span),
      this.values.shape,
    );
  }

  /** One row per cell. */
  table(): ColumnTable {
    const cells = this.hookPoints.flatMap((hookPoint) => this.windows.map((window) => ({ hookPoint, ...window })));
    return table({
      "hook point": cells.map((c) => c.hookPoint),
      "first step": cells.map((c) => c.start),
      "last step": cells.map((c) => c.end - 1),
      timestep: cells.map((c) => this.timesteps[c.start]),
      value: Array.from(this.values.data),
      effect: Array.from(this.effect.data),
    });
  }

  /** Hook point × window as a heat map of the effect. */
  figure(): Figure {
    const { direction, branch, metric } = this.manifest;
    const [source, target] = [this.source.items[0]!, this.target.items[0]!];
    const facts = [`“${source.prompt}” into “${target.prompt}”`, metric, ...(branch === undefined ? [] : [`${branch} branch`])];
    const { said, columns } = this.#columns();
    const { hookPoints, effect } = this;
    return patchingHeatmap(
      { hookPoints, timesteps: columns, effect },
      {
        title: `Activation patching, ${direction}`,
        subtitle: [...facts, ...said].join(" · "),
        quantity: `share of the way to the ${direction === "denoising" ? "clean" : "corrupted"} run`,
        // Patches that lead far away would wash out all that lies between no effect and a whole one.
        reach: 1,
      },
    );
  }

  override mimeBundle(): MimeBundle | Promise<MimeBundle> {
    return this.figure().mimeBundle();
  }

  /** The timestep that stands for each window, and what is to be said of windows of several steps. */
  #columns(): { readonly said: readonly string[]; readonly columns: readonly number[] } {
    const starts = this.windows.map(({ start }) => this.timesteps[start]!);
    if (this.windows.every(({ start, end }) => end === start + 1)) return { said: [], columns: starts };
    if (this.windows.every(({ end }) => end === this.timesteps.length)) {
      return { said: ["patched from the timestep on"], columns: starts };
    }
    if (this.windows.every(({ start }) => start === 0)) {
      return { said: ["patched down to the timestep"], columns: this.windows.map(({ end }) => this.timesteps[end - 1]!) };
    }
    return { said: ["patched in windows that start at the timestep"], columns: starts };
  }
}
