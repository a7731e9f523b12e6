import { fileURLToPath } from "node:url";
import { type SaeTrainingConfig, variants } from "../../lib/sae/index.js";
import { geometricMedian, startWeights } from "../../lib/sae/start-weights.js";
import { trainingSpec } from "../../lib/sae/train-sae.js";
import { float32, Rng } from "../../lib/tensor/index.js";
import { Trainer } from "../../lib/train/index.js";
import {
  type Bench,
  compared,
  inTurns,
  requireAgreement,
  stackedFeeds,
  type Turn,
  threads,
  timed,
  weightTensors,
  withTensorFile,
} from "./bench.js";
import { noTorch, TorchPeer } from "./peers/torch-peer.js";

const [width, features, k, batch] = [512, 4096, 32, 1024];
const stepsPerTurn = 20;
const rounds = 5;

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

/**
 * A TopK SAE training step, 512 → 4096, k = 32, 1024 vectors, float32, against PyTorch in two ways: as the formulas are
 * written, and with the decoder as a sum of embeddings.
 */
export const sae: Bench = {
  name: "sae",
  async run() {
    const name = `SAE TopK step, ${width} → ${features}, k = ${k}, batch ${batch}`;
    const rng = new Rng(0);
    const feeds = Array.from({ length: stepsPerTurn }, (_, i) => ({
      x: float32(rng.fork(i).normals(batch * width), [batch, width]),
    }));
    const weights = { ...startWeights(variants.topk, features, geometricMedian(feeds[0]!.x), rng.fork("start")) };
    const spec = trainingSpec(variants.topk, config, batch, { stepsPerRun: stepsPerTurn });
    const trainer = await Trainer.create(spec, { weights, session: { threads } });
    const rates = new Array<number>(stepsPerTurn).fill(2e-4);
    const run = async (): Promise<readonly number[]> => [...(await trainer.run(feeds, rates)).loss!];
    const turn = (): Promise<Turn> => timed(run, stepsPerTurn);
    try {
      const losses = await run();
      if (noTorch !== undefined) return [{ name, ...compared((await inTurns(rounds, { turn })).turn), wanted: 0.65 }];
      return await withTensorFile({ ...weightTensors(weights), ...stackedFeeds(feeds) }, async (file) => {
        const script = fileURLToPath(new URL("peers/sae_step.py", import.meta.url));
        const torch = new TorchPeer(script, [file, k, threads], threads);
        try {
          for (const variant of ["dense", "gathered"])
            requireAgreement(`losses of ${variant}`, losses, (await torch.ask(`${variant} ${stepsPerTurn}`)).values, 1e-4);
          const { ours, dense, gathered } = await inTurns(rounds, {
            ours: turn,
            dense: () => torch.ask(`dense ${stepsPerTurn}`),
            gathered: () => torch.ask(`gathered ${stepsPerTurn}`),
          });
          return [
            { name, ...compared(ours, dense), against: "PyTorch", wanted: 0.65 },
            { name, ...compared(ours, gathered), against: "PyTorch, embedding_bag as decoder" },
          ];
        } finally {
          torch.close();
        }
      });
    } finally {
      await trainer.close();
    }
  },
};
