import { existsSync } from "node:fs";
import { currentSignal } from "../runtime/index.js";
import type { Schedule } from "./schedule.js";
import { type StepFeeds, type StepReports, Trainer, type TrainerOptions } from "./trainer.js";
import type { TrainingSpec } from "./training-graph.js";

/** What is known after a run of the graph. */
export interface Progress {
  /** Steps done. */
  readonly step: number;
  readonly steps: number;
  readonly reports: StepReports;
  readonly msPerStep: number;
  readonly learningRate: number;
}

export interface RunTrainingOptions extends TrainerOptions {
  readonly steps: number;
  readonly learningRate: Schedule;
  /** Data of step `step`, a function of its number alone: then a resumed training sees what the unbroken one saw. */
  batch(step: number): StepFeeds | Promise<StepFeeds>;
  /** Checkpoint file: read if it exists, written every `checkpointEvery` steps and at the end. */
  readonly checkpoint?: string;
  readonly checkpointEvery?: number;
  onProgress?(progress: Progress): void;
  /** Ends the training at the next run boundary, with a checkpoint. */
  readonly signal?: AbortSignal;
}

/**
 * Trains to `steps`, resuming from the checkpoint if there is one. The next data are made while the runtime works.
 * @returns the trainer, to read weights from and to `close`
 * @throws the signal's reason when interrupted, after the checkpoint was written
 */
export async function runTraining(spec: TrainingSpec, options: RunTrainingOptions): Promise<Trainer> {
  const { steps, checkpoint, checkpointEvery = 500, signal = currentSignal() } = options;
  const resume = options.resume ?? (checkpoint !== undefined && existsSync(checkpoint) ? checkpoint : undefined);
  const trainer = await Trainer.create(spec, { ...options, ...(resume === undefined ? {} : { resume }) });
  const k = trainer.stepsPerRun;
  const dataFrom = async (step: number): Promise<StepFeeds[]> => {
    const feeds: StepFeeds[] = [];
    for (let i = 0; i < k; i++) feeds.push(await options.batch(step + i));
    return feeds;
  };
  try {
    let pending = dataFrom(trainer.step);
    let saved = trainer.step;
    while (trainer.step < steps) {
      signal?.throwIfAborted();
      const at = trainer.step;
      const started = performance.now();
      const rates = Array.from({ length: k }, (_, i) => options.learningRate(at + i));
      const feeds = await pending;
      const running = trainer.run(feeds, rates);
      pending = at + k < steps ? dataFrom(at + k) : pending;
      const [reports] = await Promise.all([running, pending]);
      options.onProgress?.({
        step: trainer.step,
        steps,
        reports,
        msPerStep: (performance.now() - started) / k,
        learningRate: rates.at(-1)!,
      });
      if (checkpoint !== undefined && trainer.step - saved >= checkpointEvery) {
        await trainer.save(checkpoint);
        saved = trainer.step;
      }
    }
    if (checkpoint !== undefined && saved !== trainer.step) await trainer.save(checkpoint);
    return trainer;
  } catch (error) {
    if (checkpoint !== undefined && signal?.aborted) await trainer.save(checkpoint);
    await trainer.close();
    throw error;
  }
}
