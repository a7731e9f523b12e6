import { fileURLToPath } from "node:url";
import { GraphBuilder, initialize } from "../../lib/program/index.js";
import { float32, Rng, sizeOf, type Tensor } from "../../lib/tensor/index.js";
import { adamw, mseLoss, type StepFeeds, Trainer, type TrainingSpec } from "../../lib/train/index.js";
import {
  type Bench,
  compared,
  inTurns,
  type Measurement,
  requireAgreement,
  stackedFeeds,
  type Turn,
  threads,
  timed,
  weightTensors,
  withTensorFile,
} from "./bench.js";
import { noTorch, TorchPeer } from "./peers/torch-peer.js";
import { smallUNet } from "./small-unet.js";

const batch = 64;
const picture = [batch, 3, 32, 32];
const stepsPerTurn = 2;
const rounds = 5;
const learningRate = 1e-3;

/** How PyTorch may lay out pictures; the faster one plays. */
const variants = ["contiguous", "channels_last"] as const;

const spec: TrainingSpec = {
  inputs: {
    x: { dtype: "float32", shape: picture },
    timesteps: { dtype: "float32", shape: [batch] },
    noise: { dtype: "float32", shape: picture },
  },
  optimizer: adamw(),
  stepsPerRun: stepsPerTurn,
  loss: (g, { x, timesteps, noise }) => ({ loss: mseLoss(g, smallUNet(g, x!, timesteps!).output, noise!) }),
};

/** Weights and the data of `stepsPerTurn` steps. */
function start(): { weights: Record<string, Tensor>; feeds: StepFeeds[]; parameters: number } {
  const rng = new Rng(0);
  const g = new GraphBuilder();
  smallUNet(g, g.input("x", "float32", picture), g.input("timesteps", "float32", [batch]));
  const feeds = Array.from({ length: stepsPerTurn }, () => ({
    x: float32(rng.normals(sizeOf(picture)), picture),
    timesteps: float32(Float32Array.from({ length: batch }, () => rng.int(1000))),
    noise: float32(rng.normals(sizeOf(picture)), picture),
  }));
  const parameters = [...g.parameters.values()];
  return { weights: initialize(parameters, rng), feeds, parameters: parameters.reduce((n, p) => n + sizeOf(p.shape), 0) };
}

/** A training step of a U-Net on 32×32×3 pictures, batch 64: forward, reverse, Adam. */
export const unet: Bench = {
  name: "unet",
  async run() {
    const { weights, feeds, parameters } = start();
    const trainer = await Trainer.create(spec, { weights, session: { threads } });
    const rates = new Array<number>(stepsPerTurn).fill(learningRate);
    const run = async (): Promise<readonly number[]> => [...(await trainer.run(feeds, rates)).loss!];
    const turn = (): Promise<Turn> => timed(run, stepsPerTurn);
    const named = {
      name: `U-Net training step, ${(parameters / 1e6).toFixed(1)} M parameters, 32×32×3, batch ${batch}`,
      wanted: 0.95,
    };
    try {
      const losses = [...(await run()), ...(await run())];
      if (noTorch !== undefined) return [{ ...named, ...compared((await inTurns(rounds, { turn })).turn) }];
      return await withTensorFile({ ...weightTensors(weights), ...stackedFeeds(feeds) }, (file) =>
        race(file, losses, turn, named),
      );
    } finally {
      await trainer.close();
    }
  },
};

async function race(
  file: string,
  losses: readonly number[],
  turn: () => Promise<Turn>,
  named: Pick<Measurement, "name" | "wanted">,
): Promise<Measurement[]> {
  const torch = new TorchPeer(fileURLToPath(new URL("peers/small_unet.py", import.meta.url)), [file, threads], threads);
  try {
    const trials = new Map<(typeof variants)[number], number>();
    for (const variant of variants) {
      const first = await torch.ask(`train ${variant} ${stepsPerTurn}`);
      const second = await torch.ask(`train ${variant} ${losses.length - stepsPerTurn}`);
      requireAgreement(`losses of ${variant}`, losses, [...first.values, ...second.values], 1e-4);
      trials.set(variant, second.cpuMs);
    }
    const [fastest] = [...trials].toSorted((a, b) => a[1] - b[1])[0]!;
    await torch.ask(`train ${fastest} 1`);
    const peer = (): Promise<Turn> => torch.ask(`train ${fastest} ${stepsPerTurn}`);
    const turns = await inTurns(rounds, { ours: turn, peer });
    return [{ ...named, ...compared(turns.ours, turns.peer), against: `PyTorch, ${fastest}` }];
  } finally {
    torch.close();
  }
}
