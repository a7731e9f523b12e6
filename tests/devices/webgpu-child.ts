// Computes on WebGPU and on the CPU and reports how far apart they are: webgpu.test.ts runs it in an environment with a driver.
import { load } from "../../lib/diffusion/index.js";
import { at } from "../../lib/hooks/index.js";
import { conv2d, groupNorm, silu } from "../../lib/program/index.js";
import {
  closeRuntime,
  type Device,
  openSession,
  type ResidentTensor,
  runtimeStats,
  uploadTensor,
} from "../../lib/runtime/index.js";
import { variants } from "../../lib/sae/index.js";
import { geometricMedian, startWeights } from "../../lib/sae/start-weights.js";
import { trainingSpec } from "../../lib/sae/train-sae.js";
import { float32, int64, Rng, type Tensor } from "../../lib/tensor/index.js";
import { adamw, mseLoss, Trainer, type TrainingSpec } from "../../lib/train/index.js";
import { adder, momentumStep } from "../lib/runtime/tiny-models.js";

const devices: readonly Device[] = ["cpu", "webgpu"];

/** Largest difference over the largest number. */
function apart(got: Tensor, expected: Tensor): number {
  let largest = 0;
  let difference = 0;
  for (let i = 0; i < expected.size; i++) {
    largest = Math.max(largest, Math.abs(Number(expected.data[i])));
    difference = Math.max(difference, Math.abs(Number(got.data[i]) - Number(expected.data[i])));
  }
  return difference / largest;
}

/** The same on both devices, compared tensor by tensor. */
async function compare(work: (device: Device) => Promise<Readonly<Record<string, Tensor>>>): Promise<Record<string, number>> {
  const [expected, got] = [await work("cpu"), await work("webgpu")];
  return Object.fromEntries(Object.entries(expected).map(([name, tensor]) => [name, apart(got[name]!, tensor)]));
}

const pipes = new Map(
  await Promise.all(devices.map(async (device) => [device, await load("shapes", { session: { device } })] as const)),
);
const text = await pipes.get("cpu")!.encodePrompt(["a red circle"]);

const forward = (): Promise<Record<string, number>> =>
  compare(async (device) => {
    const { unet } = pipes.get(device)!;
    const sample = float32(new Rng(1).normals(4 * 16 * 16), [1, 4, 16, 16]);
    const { outputs } = await unet.run({ sample, timestep: int64([500], []), encoder_hidden_states: text });
    return outputs;
  });

const generation = (): Promise<Record<string, number>> =>
  compare(async (device) => {
    const pipe = pipes.get(device)!.with(at("mid_block").scale(0.5));
    const options = {
      steps: 2,
      seed: 7,
      guidanceScale: 1,
      capture: ["mid_block", { at: "up_blocks.0", reduce: "mean" }],
    } as const;
    const { latents, pixels, activations, manifest } = await pipe.generate("a red circle", options);
    if (manifest.environment.device !== device) throw new Error(`ran on ${manifest.environment.device}`);
    return { latents, pixels: pixels!, ...Object.fromEntries(Object.entries(activations).map(([name, a]) => [name, a.tensor])) };
  });

async function trained(spec: TrainingSpec, device: Device, x: Tensor, weights: Readonly<Record<string, Tensor>>) {
  const trainer = await Trainer.create(spec, { weights, seed: 1, session: { device } });
  try {
    for (let i = 0; i < 2; i++) await trainer.run([{ x }], [1e-2]);
    return await trainer.weights();
  } finally {
    await trainer.close();
  }
}

const sae = (): Promise<Record<string, number>> =>
  compare((device) => {
    const [batch, width, features] = [64, 16, 48];
    const x = float32(new Rng(2).normals(batch * width), [batch, width]);
    const sizes = { variant: "topk", width, features, k: 4, scale: 1, auxCoefficient: 1 / 32, auxActivation: "relu" } as const;
    const config = { ...sizes, deadAfter: 1e6, sparsityCoefficient: 0, sparsityWarmup: 0 };
    const weights = { ...startWeights(variants.topk, features, geometricMedian(x), new Rng(0)) };
    return trained(trainingSpec(variants.topk, config, batch, { stepsPerRun: 1 }), device, x, weights);
  });

const convolutions = (): Promise<Record<string, number>> =>
  compare((device) => {
    const shape = [2, 4, 8, 8];
    const spec: TrainingSpec = {
      inputs: { x: { dtype: "float32", shape } },
      optimizer: adamw(),
      loss: (g, { x }) => {
        const h = silu(g, "act", groupNorm(g, "norm", conv2d(g, "in", x!, 8, 3), 4));
        return { loss: mseLoss(g, conv2d(g, "out", h, 4, 3), x!) };
      },
    };
    return trained(spec, device, float32(new Rng(3).normals(2 * 4 * 64), shape), {});
  });

/** A state that stays in the device's memory, read, fed to a session on the CPU, and left behind when the runtime ends. */
async function resident(): Promise<Record<string, readonly number[]>> {
  const step = await openSession(momentumStep, { device: "webgpu", resident: ["w_next", "m_next"] });
  const onCpu = await openSession(adder, { device: "cpu" });
  let w = await uploadTensor(float32([1, -2]));
  let m = await uploadTensor(float32([0, 0]));
  const rate = float32([0.5], []);
  for (let i = 0; i < 3; i++) {
    const next = await step.run({ w, m, rate }, { retain: ["w_next", "m_next"] });
    for (const old of [w, m]) old.dispose();
    [w, m] = [next.w_next as ResidentTensor, next.m_next as ResidentTensor];
  }
  const unretained = await step.run({ w, m, rate });
  const sum = await onCpu.run({ a: w, b: w });
  const { residentTensors } = runtimeStats();
  const values = [await w.read(), await m.read(), unretained.w_next!, sum.y!].map((t) => [...(t as Tensor<"float32">).data]);
  await closeRuntime();
  const again = await openSession(adder, { device: "webgpu" });
  const { y } = await again.run({ a: float32([1]), b: float32([2]) });
  return {
    w: values[0]!,
    m: values[1]!,
    next: values[2]!,
    sum: values[3]!,
    held: [residentTensors],
    again: [...(y!.data as Float32Array)],
  };
}

const parts = { forward, generation, sae, convolutions, resident };
const report: Record<string, unknown> = {};
for (const [name, part] of Object.entries(parts)) {
  const start = performance.now();
  report[name] = await part();
  process.stderr.write(`${name} ${(performance.now() - start).toFixed(0)} ms\n`);
}
process.stdout.write(JSON.stringify(report), () => process.exit());
