import type { GenerateOptions, Pipeline } from "../../lib/diffusion/pipelines/index.js";
import { type Proportion, proportionOf } from "../../lib/evaluate/index.js";
import type { Classifier, ContrastiveEncoder } from "../../lib/predictors/index.js";
import { encodePng, float32, type Tensor } from "../../lib/tensor/index.js";
import { type Asked, parseCaption } from "./caption.js";
import { zeroShot } from "./clip.js";
import { exampleAt } from "./dataset.js";
import { renderBatch } from "./render.js";
import type { SceneOptions } from "./scene.js";
import { type Score, type Shares, scorePictures, sharesOf } from "./score.js";

/** Spread of a measure over n pictures. */
export interface Quantiles {
  readonly n: number;
  readonly mean: number;
  readonly min: number;
  readonly p05: number;
  readonly median: number;
}

/** What metrics.json holds. */
export interface EvaluationMetrics {
  /** SHA-256 of the pipeline. */
  readonly model: string;
  readonly sampling: { readonly steps: number; readonly guidanceScale: number; readonly scheduler: string };
  readonly single: Shares & { readonly prompts: number };
  /** The contrastive encoder's zero-shot view of the same pictures. */
  readonly single_second_opinion: Readonly<Record<string, Proportion>>;
  readonly count: Shares & { readonly prompts: number };
  readonly pairs_seen: Shares & { readonly prompts: number };
  readonly pairs_held_out: Shares & { readonly prompts: number };
  readonly reconstruction_psnr_db: Quantiles;
}

const seed = 601;

/** The first `n` different captions of a stream of test scenes. */
export function testPrompts(n: number, scene: SceneOptions): string[] {
  const prompts = new Set<string>();
  for (let index = 0; prompts.size < n && index < 100 * n; index++)
    prompts.add(exampleAt(seed, index, { split: "test", scene }).caption);
  return [...prompts];
}

/** Peak signal-to-noise ratio of each reconstruction [n, 3, y, x] in [0, 1], dB. */
export function psnrs(pixels: Tensor<"float32">, truth: Tensor<"float32">): number[] {
  return Array.from({ length: pixels.shape[0]! }, (_, i) => {
    const a = pixels.row(i).data;
    const b = truth.row(i).data;
    const squared = a.reduce((sum, value, p) => sum + (value - b[p]!) ** 2, 0);
    return -10 * Math.log10(squared / a.length);
  });
}

function quantiles(values: readonly number[]): Quantiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (q: number): number => Number(sorted[Math.round(q * (sorted.length - 1))]!.toFixed(2));
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { n: values.length, mean: Number(mean.toFixed(2)), min: at(0), p05: at(0.05), median: at(0.5) };
}

/** What is evaluated: a pipeline, or whatever else draws captions and encodes pictures. */
export type Subject = Pick<Pipeline, "encodeImage" | "decode" | "digest" | "schedulerConfig"> & {
  generate(
    prompts: readonly string[],
    options: Sampling & Pick<GenerateOptions, "seeds" | "batchSize">,
  ): Promise<{ readonly pixels: Tensor<"float32"> | undefined }>;
};

/** Who looks at the pictures. */
export interface Judges {
  readonly judge: Classifier;
  readonly clip: ContrastiveEncoder;
}

export interface Sampling {
  readonly steps: number;
  readonly guidanceScale: number;
}

interface Judged {
  readonly pixels: Tensor<"float32">;
  readonly shares: Shares;
}

/** Pixels [0, 1] as the judges take them. */
function centred(pixels: Tensor<"float32">): Tensor<"float32"> {
  return float32(
    pixels.data.map((value) => 2 * value - 1),
    pixels.shape,
  );
}

async function generateAndJudge(
  pipe: Subject,
  { judge }: Judges,
  prompts: readonly string[],
  sampling: Sampling,
): Promise<Judged> {
  const parts: Tensor<"float32">[] = [];
  const scores: Score[] = [];
  // A generation keeps its whole trajectory: many pictures at once would cost memory and gain nothing.
  for (let start = 0; start < prompts.length; start += 96) {
    const some = prompts.slice(start, start + 96);
    const { pixels } = await pipe.generate(some, { ...sampling, seeds: some.map((_, i) => 10_000 + start + i), batchSize: 32 });
    if (pixels === undefined) throw new TypeError("evaluate: expected pictures, got latents only; generate with decode");
    const images = centred(pixels);
    scores.push(...(await scorePictures(judge, images, some)));
    parts.push(pixels);
  }
  return { pixels: below(parts), shares: sharesOf(scores) };
}

/** The contrastive encoder's view of single objects, independent of the judge's. */
async function secondOpinion(
  { clip }: Judges,
  pixels: Tensor<"float32">,
  asked: readonly Asked[],
): Promise<Record<string, Proportion>> {
  const images = centred(pixels);
  const shares: Record<string, Proportion> = {};
  for (const factor of ["shape", "colour"] as const) {
    const seen = await zeroShot(clip, images, factor);
    const outcomes = asked.flatMap(({ objects: [object] }, i) =>
      object![factor] === undefined ? [] : [seen[i] === object![factor]],
    );
    shares[factor] = proportionOf(outcomes);
  }
  return shares;
}

/** Reconstruction of test renders through encoder and decoder. */
async function reconstruct(pipe: Subject, n: number): Promise<Quantiles> {
  const values: number[] = [];
  for (let start = 0; start < n; start += 50) {
    const scenes = Array.from({ length: Math.min(50, n - start) }, (_, i) => exampleAt(seed, start + i, { split: "test" }).scene);
    const images = renderBatch(scenes);
    const truth = float32(
      images.data.map((value) => (value + 1) / 2),
      images.shape,
    );
    values.push(...psnrs(await pipe.decode(await pipe.encodeImage(truth), { batchSize: 50 }), truth));
  }
  return quantiles(values);
}

/**
 * Measures the embedded pipeline on prompts of the test split, with the classifiers as judge.
 * @param n prompts of one object; a third as many of each other kind
 */
export async function evaluate(
  pipe: Subject,
  judges: Judges,
  n: number,
  sampling: Sampling,
): Promise<{ metrics: EvaluationMetrics; sheet: Tensor<"float32"> }> {
  const some = Math.ceil(n / 3);
  const singles = testPrompts(n, { kinds: ["single"] });
  const report = (what: string): void => void process.stderr.write(`${what}\n`);
  report(`${n} prompts of one object`);
  const single = await generateAndJudge(pipe, judges, singles, sampling);
  report(`${some} prompts of two and three equal objects`);
  const count = await generateAndJudge(pipe, judges, testPrompts(some, { kinds: ["count"] }), sampling);
  report(`${some} pairs of the training set, ${some} held-out pairs`);
  const seen = await generateAndJudge(pipe, judges, testPrompts(some, { kinds: ["relation"], combinations: "seen" }), sampling);
  const heldOut = await generateAndJudge(
    pipe,
    judges,
    testPrompts(some, { kinds: ["relation"], combinations: "heldOut" }),
    sampling,
  );
  report("reconstructions");
  const metrics: EvaluationMetrics = {
    model: pipe.digest,
    sampling: { ...sampling, scheduler: String(pipe.schedulerConfig._class_name) },
    single: { prompts: singles.length, ...single.shares },
    single_second_opinion: await secondOpinion(judges, single.pixels, singles.map(parseCaption)),
    count: { prompts: some, ...count.shares },
    pairs_seen: { prompts: some, ...seen.shares },
    pairs_held_out: { prompts: some, ...heldOut.shares },
    reconstruction_psnr_db: await reconstruct(pipe, Math.max(500, n)),
  };
  const rows = [single, count, seen, heldOut].map(({ pixels }) => pixels.slice(0, Math.min(sheetColumns, pixels.shape[0]!)));
  const first = single.pixels;
  const more = first.slice(Math.min(sheetColumns, first.shape[0]!), Math.min(3 * sheetColumns, first.shape[0]!));
  return { metrics, sheet: below([rows[0]!, more, rows[1]!, rows[2]!, rows[3]!]) };
}

const sheetColumns = 10;

/** All pictures of several tensors. */
function below(parts: readonly Tensor<"float32">[]): Tensor<"float32"> {
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.size, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.size;
  }
  return float32(data, [data.length / (3 * 64 * 64), 3, 64, 64]);
}

/** Pictures [n, 3, y, x] in [0, 1] side by side, enlarged, as a PNG file. */
export function contactSheet(pixels: Tensor<"float32">, columns: number = sheetColumns, zoom = 2): Uint8Array {
  const [n, , height, width] = pixels.shape as [number, number, number, number];
  const gap = 2;
  const sheetWidth = columns * (zoom * width + gap) + gap;
  const sheetHeight = Math.ceil(n / columns) * (zoom * height + gap) + gap;
  const bytes = new Uint8ClampedArray(sheetWidth * sheetHeight * 3).fill(255);
  for (let i = 0; i < n; i++) {
    const left = gap + (i % columns) * (zoom * width + gap);
    const top = gap + Math.floor(i / columns) * (zoom * height + gap);
    const picture = pixels.row(i).data;
    for (let y = 0; y < zoom * height; y++)
      for (let x = 0; x < zoom * width; x++)
        for (let c = 0; c < 3; c++) {
          const value = picture[(c * height + Math.floor(y / zoom)) * width + Math.floor(x / zoom)]!;
          bytes[((top + y) * sheetWidth + left + x) * 3 + c] = 255 * value;
        }
  }
  return encodePng(bytes, sheetWidth, sheetHeight, 3);
}
