import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { linear, silu } from "../../../lib/program/index.js";
import { float32, Rng, type Tensor } from "../../../lib/tensor/index.js";
import {
  adamw,
  CheckpointError,
  constantRate,
  mseLoss,
  type RunTrainingOptions,
  readCheckpoint,
  runTraining,
  type TrainingSpec,
  trainingGraph,
} from "../../../lib/train/index.js";

const folder = mkdtempSync(join(tmpdir(), "tweedie-train-"));
afterAll(() => rmSync(folder, { recursive: true }));

const batch = 16;
const spec = (stepsPerRun: number): TrainingSpec => ({
  inputs: { x: { dtype: "float32", shape: [batch, 3] }, y: { dtype: "float32", shape: [batch, 1] } },
  optimizer: adamw({ weightDecay: 0.01 }),
  clipNorm: 1,
  emaDecay: 0.99,
  stepsPerRun,
  loss: (g, { x, y }) => ({ loss: mseLoss(g, linear(g, "b", silu(g, "act", linear(g, "a", x!, 8)), 1), y!) }),
});
const options = (steps: number, checkpoint: string): RunTrainingOptions => ({
  steps,
  checkpoint,
  seed: 3,
  learningRate: constantRate(1e-2),
  batch(step) {
    const x = new Rng([9, step]).normals(batch * 3);
    return {
      x: float32(x, [batch, 3]),
      y: float32(
        Float32Array.from({ length: batch }, (_, i) => x[3 * i]! * x[3 * i + 1]!),
        [batch, 1],
      ),
    };
  },
});

describe("runTraining", () => {
  it("goes on from a checkpoint bit for bit", async () => {
    const whole = join(folder, "whole.safetensors");
    const broken = join(folder, "broken.safetensors");
    await (await runTraining(spec(1), options(10, whole))).close();
    await (await runTraining(spec(1), options(5, broken))).close();
    await (await runTraining(spec(1), options(10, broken))).close();
    expect(readFileSync(broken).equals(readFileSync(whole))).toBe(true);
  });

  it("computes the same in a loop of several steps per run", async () => {
    const [one, five] = [join(folder, "one.safetensors"), join(folder, "five.safetensors")];
    await (await runTraining(spec(1), options(10, one))).close();
    await (await runTraining(spec(5), options(10, five))).close();
    const [a, b] = [await readCheckpoint(one), await readCheckpoint(five)];
    for (const [name, tensor] of Object.entries(a.tensors)) {
      tensor.data.forEach((v, i) => {
        expect(Math.abs(Number(v) - Number(b.tensors[name]!.data[i]))).toBeLessThan(1e-6);
      });
    }
  });

  it("updates parameters laid together as it does one by one", async () => {
    const oneByOne: TrainingSpec = { ...spec(1), project: (_g, _name, weight) => weight };
    const names = (given: TrainingSpec): string[] => trainingGraph(given).slabs.map(({ name }) => name);
    expect(names(spec(1))).toEqual(["packed.matrices", "packed.vectors"]);
    expect(names(oneByOne)).toEqual(["a.weight", "a.bias", "b.weight", "b.bias"]);
    const weightsOf = async (given: TrainingSpec, kind: "weight" | "ema"): Promise<Record<string, Tensor>> => {
      const trainer = await runTraining(given, options(10, join(folder, `${kind}-${names(given).length}.safetensors`)));
      const weights = await trainer.weights(kind);
      await trainer.close();
      return weights;
    };
    for (const kind of ["weight", "ema"] as const) {
      const [together, apart] = [await weightsOf(spec(1), kind), await weightsOf(oneByOne, kind)];
      expect(Object.keys(together).sort()).toEqual(Object.keys(apart).sort());
      for (const [name, tensor] of Object.entries(together)) {
        expect(tensor.shape).toEqual(apart[name]!.shape);
        tensor.data.forEach((v, i) => {
          expect(Math.abs(Number(v) - Number(apart[name]!.data[i]))).toBeLessThan(1e-6);
        });
      }
    }
  });

  it("leaves a checkpoint when interrupted", async () => {
    const path = join(folder, "interrupted.safetensors");
    const stop = new AbortController();
    const onProgress = ({ step }: { step: number }): void => {
      if (step === 4) stop.abort(new Error("enough"));
    };
    await expect(runTraining(spec(1), { ...options(10, path), signal: stop.signal, onProgress })).rejects.toThrow("enough");
    expect((await readCheckpoint(path)).step).toBe(4);
  });

  it("refuses a checkpoint whose numbers were changed", async () => {
    const path = join(folder, "damaged.safetensors");
    await (await runTraining(spec(1), options(2, path))).close();
    const bytes = readFileSync(path);
    bytes[bytes.length - 3]! ^= 1;
    writeFileSync(path, bytes);
    await expect(runTraining(spec(1), options(4, path))).rejects.toThrow(CheckpointError);
  });

  it("learns a product of two numbers", async () => {
    const losses: number[] = [];
    const trainer = await runTraining(spec(10), {
      ...options(600, join(folder, "learns.safetensors")),
      onProgress: ({ reports }) => void losses.push(reports.loss!.at(-1)!),
    });
    await trainer.close();
    expect(losses.at(-1)!).toBeLessThan(0.25 * losses[0]!);
  });
});
