import { fileURLToPath } from "node:url";
import { type SaeTrainingConfig, variants } from "../../lib/sae/index.js";
import { geometricMedian, startWeights } from "../../lib/sae/start-weights.js";
import { trainingSpec } from "../../lib/sae/train-sae.js";
import { float32, Rng } from "../../lib/tensor/index.js";
import { Trainer } from "../../lib/train/index.js";
import { hasTorch, TorchPeer } from "./peers/torch-peer.js";

/** One line of the table of measurements. */
export interface BenchResult {
  readonly name: string;
  /** Median milliseconds. */
  readonly ours: number;
  readonly peer?: number;
  /** ours / peer, the median over rounds in which both took their turn. */
  readonly ratio?: number;
  /** What we want the ratio to be at most. */
  readonly wanted?: number;
  readonly note?: string;
}

const [width, features, k, batch] = [512, 4096, 32, 1024];
const stepsPerTurn = 20;

/**
 * A TopK SAE training step, 512 → 4096, k = 32, 1024 vectors, float32, against PyTorch, tuned: as the formulas are
 * written, and with the decoder as a sum of embeddings. All take turns, so that what else the machine does weighs on all.
 */
export async function bench({ threads = 2, rounds = 5 }: { threads?: number; rounds?: number } = {}): Promise<BenchResult> {
  const name = `SAE TopK step, ${width} → ${features}, k = ${k}, batch ${batch}`;
  const config: SaeTrainingConfig = {
    variant: "topk",
    width,
    features,
    k,
    scale: 1,
    auxCoefficient: 1 / 32,
    auxActivation: "relu",
    deadAfter: 10_000_000,
    sparsityCoefficient: 0,
    sparsityWarmup: 0,
  };
  const rng = new Rng(0);
  const feeds = Array.from({ length: stepsPerTurn }, (_, i) => ({
    x: float32(rng.fork(i).normals(batch * width), [batch, width]),
  }));
  const median0 = geometricMedian(feeds[0]!.x);
  const trainer = await Trainer.create(trainingSpec(variants.topk, config, batch, { stepsPerRun: stepsPerTurn }), {
    weights: { ...startWeights(variants.topk, features, median0, rng.fork("start")) },
    session: { threads },
  });
  const rates = new Array<number>(stepsPerTurn).fill(2e-4);
  const turn = async (): Promise<number> => {
    const started = performance.now();
    await trainer.run(feeds, rates);
    return (performance.now() - started) / stepsPerTurn;
  };
  const torch = hasTorch()
    ? new TorchPeer(fileURLToPath(new URL("peers/sae_step.py", import.meta.url)), [width, features, k, batch, threads], threads)
    : undefined;
  const torchTurn = async (variant: string, steps = stepsPerTurn): Promise<number> =>
    (await torch!.ask(`steps ${variant} ${steps}`)).ms!;
  try {
    await turn();
    const ours: number[] = [];
    const peer: number[] = [];
    if (torch === undefined) {
      for (let i = 0; i < rounds; i++) ours.push(await turn());
      return { name, ours: median(ours), wanted: 0.65, note: "no peer: install python3-torch" };
    }
    const withBags: number[] = [];
    for (const variant of ["dense", "gathered"]) await torchTurn(variant, 4);
    for (let i = 0; i < rounds; i++) {
      ours.push(await turn());
      peer.push(await torchTurn("dense"));
      withBags.push(await torchTurn("gathered"));
    }
    const ratioTo = (other: readonly number[]): number => median(ours.map((ms, i) => ms / other[i]!));
    return {
      name,
      ours: median(ours),
      peer: median(peer),
      ratio: ratioTo(peer),
      wanted: 0.65,
      note: `to PyTorch with embedding_bag as its decoder (${median(withBags).toFixed(0)} ms): ratio ${ratioTo(withBags).toFixed(2)}`,
    };
  } finally {
    torch?.close();
    await trainer.close();
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}
