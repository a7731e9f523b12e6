import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type Progress,
  type RunTrainingOptions,
  runTraining,
  type Trainer,
  type TrainingSpec,
} from "../../../lib/train/index.js";

/** What every recipe is told by the command that runs it. */
export interface RecipeOptions {
  /** Where checkpoints lie while training; they are not kept in the repository. */
  readonly checkpoints: string;
  /** Threads of the runtime; default as many as the process may use. One thread shares a machine best. */
  readonly threads?: number;
  /** Interrupts at the next step, leaving a checkpoint to resume from. */
  readonly signal?: AbortSignal;
}

/** A training that can be started by name: `npm run train -- shapes/<name>`. */
export interface Recipe {
  readonly name: string;
  readonly about: string;
  run(options: RecipeOptions): Promise<void>;
}

/** Repository folder of the embedded model, whether this runs from sources or from the compiled package. */
export const modelFolder: string = fileURLToPath(
  new URL(import.meta.url.includes("/dist/") ? "../../../../models/shapes/" : "../", import.meta.url),
);

/** Trains with a progress line on the terminal and a curve in `logs/<name>.jsonl`, one line every `logEvery` steps. */
export async function trainLogged(
  { signal, threads }: RecipeOptions,
  name: string,
  spec: TrainingSpec,
  options: RunTrainingOptions & { readonly logEvery?: number },
): Promise<Trainer> {
  const logFile = join(modelFolder, "logs", `${name}.jsonl`);
  mkdirSync(dirname(logFile), { recursive: true });
  if (options.checkpoint !== undefined) mkdirSync(dirname(options.checkpoint), { recursive: true });
  if (options.checkpoint === undefined || !existsSync(options.checkpoint)) writeFileSync(logFile, "");
  const every = options.logEvery ?? 20;
  const logged = lastLoggedStep(logFile);
  const sums = new Map<string, number>();
  let counted = 0;
  let ms = 0;
  const onProgress = (p: Progress): void => {
    for (const [key, values] of Object.entries(p.reports))
      sums.set(key, (sums.get(key) ?? 0) + values.reduce((a, b) => a + b, 0));
    const k = Object.values(p.reports)[0]!.length;
    counted += k;
    ms += p.msPerStep * k;
    if (p.step % every < k || p.step >= p.steps) {
      const means = Object.fromEntries([...sums].map(([key, sum]) => [key, Number((sum / counted).toPrecision(5))]));
      if (p.step > logged)
        appendFileSync(
          logFile,
          `${JSON.stringify({ step: p.step, ...means, learningRate: Number(p.learningRate.toPrecision(3)) })}\n`,
        );
      const left = ((p.steps - p.step) * ms) / counted / 60000;
      process.stderr.write(
        `${name} ${p.step}/${p.steps}  ${Object.entries(means)
          .map(([k2, v]) => `${k2} ${v}`)
          .join("  ")}  ${(ms / counted).toFixed(0)} ms/step  ${left.toFixed(1)} min left\n`,
      );
      sums.clear();
      counted = 0;
      ms = 0;
    }
    options.onProgress?.(p);
  };
  return runTraining(spec, {
    ...options,
    onProgress,
    ...(signal === undefined ? {} : { signal }),
    ...(threads === undefined ? {} : { session: { threads } }),
  });
}

function lastLoggedStep(file: string): number {
  const lines = readFileSync(file, "utf8").trim().split("\n");
  const last = lines.at(-1);
  return last ? (JSON.parse(last) as { step: number }).step : 0;
}
