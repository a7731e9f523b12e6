import { Displayed, type Figure, type HtmlBlock, inversionError, type MimeBundle, table } from "../../figures/index.js";
import { beginTask } from "../../runtime/index.js";
import { float32, type Tensor } from "../../tensor/index.js";
import { type InvertOptions, invert } from "./inversion.js";
import type { Pipeline } from "./pipeline.js";
import type { ImageInput } from "./start.js";

export interface InversionErrorsOptions extends Omit<InvertOptions, "steps" | "guidanceScale" | "onStep"> {
  /** Default 10, 20, 50. */
  readonly steps?: readonly number[];
  /** Of the way back, default 1, 3, 7.5; the way there is unguided unless `guidedInversion`. */
  readonly guidanceScales?: readonly number[];
  /** Whether the climb is guided as the way back is; default false. */
  readonly guidedInversion?: boolean;
  /** Called after each pair of steps and scale. */
  readonly onProgress?: (done: number, all: number) => void;
}

/** How far pictures come back from their inversion: one entry per number of steps, then per scale. */
export class InversionErrors extends Displayed {
  readonly steps: readonly number[];
  readonly guidanceScales: readonly number[];
  /** ‖z′ − z‖ / ‖z‖ of the latents, [steps, scale, item]. */
  readonly latentError: Float64Array;
  /** Peak signal-to-noise ratio of the decoded pictures against the decoded latents, dB, [steps, scale, item]. */
  readonly psnr: Float64Array;
  readonly items: number;

  constructor(parts: Pick<InversionErrors, "steps" | "guidanceScales" | "latentError" | "psnr" | "items">) {
    super();
    this.steps = parts.steps;
    this.guidanceScales = parts.guidanceScales;
    this.latentError = parts.latentError;
    this.psnr = parts.psnr;
    this.items = parts.items;
  }

  /** Mean over pictures of a measure at a number of steps and a scale, by their indices. */
  mean(measure: "latentError" | "psnr", step: number, scale: number): number {
    const start = (step * this.guidanceScales.length + scale) * this.items;
    return this[measure].subarray(start, start + this.items).reduce((sum, v) => sum + v, 0) / this.items;
  }

  table(): HtmlBlock {
    const pairs = this.steps.flatMap((_, i) => this.guidanceScales.map((_, j) => [i, j] as const));
    return table(
      {
        steps: pairs.map(([i]) => this.steps[i]!),
        "guidance scale": pairs.map(([, j]) => this.guidanceScales[j]!),
        "latent error": pairs.map(([i, j]) => this.mean("latentError", i, j)),
        "PSNR, dB": pairs.map(([i, j]) => this.mean("psnr", i, j)),
      },
      { title: `Inversion error, mean of ${this.items} picture${this.items === 1 ? "" : "s"}` },
    );
  }

  /** The error over the steps, a curve per guidance scale, from the least to the greatest of the pictures. */
  figure(): Figure {
    const { steps, guidanceScales, items, latentError } = this;
    const of = (choose: (errors: Float64Array) => number): Tensor<"float32"> =>
      float32(
        guidanceScales.flatMap((_, j) =>
          steps.map((_, i) => {
            const start = (i * guidanceScales.length + j) * items;
            return choose(latentError.subarray(start, start + items));
          }),
        ),
        [guidanceScales.length, steps.length],
      );
    return inversionError({
      steps,
      guidanceScales,
      error: of((errors) => errors.reduce((sum, e) => sum + e, 0) / errors.length),
      ...(items > 1 && { low: of((errors) => Math.min(...errors)), high: of((errors) => Math.max(...errors)) }),
    });
  }

  override mimeBundle(): MimeBundle | Promise<MimeBundle> {
    return this.figure().mimeBundle();
  }
}

/** Inverts pictures and draws them again, for every number of steps and guidance scale. */
export async function inversionErrors(
  pipe: Pipeline,
  images: ImageInput,
  options: InversionErrorsOptions = {},
): Promise<InversionErrors> {
  const { steps = [10, 20, 50], guidanceScales = [1, 3, 7.5], guidedInversion = false, onProgress, ...rest } = options;
  const latents = "latents" in images ? images.latents : await pipe.encodeImage(images);
  const reference = await pipe.decode(latents);
  const latentError: number[] = [];
  const psnr: number[] = [];
  let done = 0;
  const total = steps.length * guidanceScales.length;
  using task = beginTask("inversionErrors", { total, unit: "settings", told: onProgress });
  for (const count of steps) {
    let climb = guidedInversion ? undefined : await invert(pipe, { latents }, { ...rest, steps: count });
    for (const guidanceScale of guidanceScales) {
      if (guidedInversion) climb = await invert(pipe, { latents }, { ...rest, steps: count, guidanceScale });
      const again = await climb!.reconstruct(undefined, { guidanceScale, ...(rest.signal && { signal: rest.signal }) });
      for (let item = 0; item < latents.shape[0]!; item++) {
        const [original, final] = [latents.row(item), again.finalLatents.row(item)];
        latentError.push(distance(final, original) / Math.sqrt(original.data.reduce((sum, v) => sum + v * v, 0)));
        const pixels = reference.row(item);
        psnr.push(-10 * Math.log10(distance(again.pixels!.row(item), pixels) ** 2 / pixels.size));
      }
      task.at(++done);
      onProgress?.(done, total);
    }
  }
  return new InversionErrors({
    steps,
    guidanceScales,
    latentError: Float64Array.from(latentError),
    psnr: Float64Array.from(psnr),
    items: latents.shape[0]!,
  });
}

function distance(a: Tensor<"float32">, b: Tensor<"float32">): number {
  return Math.sqrt(a.data.reduce((sum, v, i) => sum + (v - b.data[i]!) ** 2, 0));
}
