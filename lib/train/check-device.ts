import { conv2d, GraphBuilder, initialize, linear, scaledDotProduct, type Value } from "../program/index.js";
import { type Device, openSession, type SessionOptions } from "../runtime/index.js";
import { float32, Rng, type Tensor } from "../tensor/index.js";
import { mseLoss } from "./losses.js";
import { sgd } from "./optimizers/index.js";
import { Trainer } from "./trainer.js";
import type { TrainingSpec } from "./training-graph.js";

/** What a device made of a small net, beside the CPU. Errors are the largest difference over the largest number. */
export interface DeviceCheck {
  readonly device: Device;
  readonly forwardError: number;
  /** Of the weights after two training steps whose state stayed on the device. */
  readonly trainingError: number;
  readonly openMs: number;
  /** Median of several runs. */
  readonly runMs: number;
  readonly stepMs: number;
}

const runs = 5;

/**
 * Runs a net of a convolution, attention and matrix products on a device, and trains an autoencoder there. The CPU is
 * compared with itself, without ONNX Runtime's optimizations and on one thread.
 * @throws RuntimeError with the reason if the device does not work
 */
export async function checkDevice(device: Device): Promise<DeviceCheck> {
  const rng = new Rng(0);
  const image = float32(rng.normals(8 * 64), [1, 8, 8, 8]);
  const vectors = float32(rng.normals(64 * 16), [64, 16]);
  const reference: SessionOptions = { device: "cpu", threads: 1, graphOptimizationLevel: "disabled" };
  const expected = await forward(image, reference);
  const got = await forward(image, { device });
  const expectedWeights = await train(vectors, reference);
  const gotWeights = await train(vectors, { device });
  const errors = Object.entries(expectedWeights.weights).map(([name, w]) => relativeError(gotWeights.weights[name]!, w));
  return {
    device,
    forwardError: relativeError(got.output, expected.output),
    trainingError: Math.max(...errors),
    openMs: got.openMs,
    runMs: got.runMs,
    stepMs: gotWeights.stepMs,
  };
}

async function forward(
  image: Tensor,
  session: SessionOptions,
): Promise<{ readonly output: Tensor; readonly openMs: number; readonly runMs: number }> {
  const g = new GraphBuilder({ name: "device check" });
  const width = 16;
  const h = conv2d(g, "conv", g.input("x", "float32", image.shape), width, 3).relu();
  const tokens = h.reshape([0, width, 64]).transpose([0, 2, 1]);
  const [q, k, v] = ["q", "k", "v"].map((name) => linear(g, name, tokens, width)) as [Value, Value, Value];
  g.output(linear(g, "out", scaledDotProduct(q, k, v, 2), 4), "y");
  const start = performance.now();
  await using open = await openSession(g.model({ weights: initialize(g.parameters.values(), new Rng(1)) }), session);
  let output = (await open.run({ x: image })).y!;
  const openMs = performance.now() - start;
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const started = performance.now();
    output = (await open.run({ x: image })).y!;
    times.push(performance.now() - started);
  }
  return { output, openMs, runMs: times.sort((a, b) => a - b)[runs >> 1]! };
}

async function train(
  x: Tensor,
  session: SessionOptions,
): Promise<{ readonly weights: Readonly<Record<string, Tensor>>; readonly stepMs: number }> {
  const spec: TrainingSpec = {
    inputs: { x: { dtype: "float32", shape: x.shape } },
    loss: (g, { x: input }) => {
      const codes = linear(g, "encoder", input!, 32).relu();
      return { loss: mseLoss(g, linear(g, "decoder", codes, 16), input!) };
    },
    optimizer: sgd(),
  };
  const trainer = await Trainer.create(spec, { seed: 1, session });
  try {
    await trainer.run([{ x }], [0.1]);
    const start = performance.now();
    await trainer.run([{ x }], [0.1]);
    return { stepMs: performance.now() - start, weights: await trainer.weights() };
  } finally {
    await trainer.close();
  }
}

function relativeError(got: Tensor, expected: Tensor): number {
  let largest = 0;
  let difference = 0;
  for (let i = 0; i < expected.size; i++) {
    largest = Math.max(largest, Math.abs(Number(expected.data[i])));
    difference = Math.max(difference, Math.abs(Number(got.data[i]) - Number(expected.data[i])));
  }
  return difference / largest;
}
