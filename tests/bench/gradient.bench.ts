import { fileURLToPath } from "node:url";
import { gradient as gradientOf } from "../../lib/autodiff/index.js";
import { GraphBuilder, initialize } from "../../lib/program/index.js";
import { openSession } from "../../lib/runtime/index.js";
import { float32, Rng, sizeOf, type Tensor } from "../../lib/tensor/index.js";
import {
  type Bench,
  compared,
  inTurns,
  requireAgreement,
  stackedFeeds,
  threads,
  timed,
  weightTensors,
  withTensorFile,
} from "./bench.js";
import { noTorch, TorchPeer } from "./peers/torch-peer.js";
import { smallUNet } from "./small-unet.js";

const batch = 16;
const picture = [batch, 3, 32, 32];
const rounds = 9;

/** Gradient of Σ output·noise of a loaded U-Net with respect to what its middle block gives, weights constant. */
export const gradient: Bench = {
  name: "gradient",
  async run() {
    const rng = new Rng(0);
    const g = new GraphBuilder();
    const x = g.input("x", "float32", ["batch", 3, 32, 32]);
    const { output, middle } = smallUNet(g, x, g.input("timesteps", "float32", ["batch"]));
    g.output(output, "noise");
    const weights = initialize(g.parameters.values(), rng);
    const model = gradientOf(g.model({ weights }), {
      of: "noise",
      withRespectTo: [middle.name],
      inputShapes: { x: picture, timesteps: [batch] },
      cotangent: true,
    });
    const feeds = {
      x: float32(rng.normals(sizeOf(picture)), picture),
      timesteps: float32(Float32Array.from({ length: batch }, () => rng.int(1000))),
      noise: float32(rng.normals(sizeOf(picture)), picture),
    };
    const { noise, ...inputs } = feeds;
    const wanted = `gradient:${middle.name}`;
    const name = `U-Net gradient with respect to an inner activation, batch ${batch}`;

    // Threads that sleep, like the peer's: in turns, those that spin would disturb the other.
    await using session = await openSession(model, { threads, spinning: false });
    const once = async (): Promise<Tensor<"float32">> => {
      const run = await session.run({ ...inputs, "cotangent:noise": noise }, { fetches: [wanted] });
      return run[wanted] as Tensor<"float32">;
    };
    const norm = Math.sqrt((await once()).data.reduce((sum, v) => sum + v * v, 0));
    if (noTorch !== undefined) return [{ name, ...compared((await inTurns(rounds, { ours: () => timed(once) })).ours) }];
    return await withTensorFile({ ...weightTensors(weights), ...stackedFeeds([feeds]) }, async (file) => {
      const torch = new TorchPeer(fileURLToPath(new URL("peers/small_unet.py", import.meta.url)), [file, threads], threads);
      try {
        const trials = new Map<string, number>();
        for (const variant of ["contiguous", "channels_last"]) {
          const { values } = await torch.ask(`gradient ${variant} 1`);
          requireAgreement(`gradient norms of ${variant}`, [norm], values, 1e-4);
          trials.set(variant, (await torch.ask(`gradient ${variant} 3`)).cpuMs);
        }
        const [fastest] = [...trials].toSorted((a, b) => a[1] - b[1])[0]!;
        await torch.ask(`gradient ${fastest} 1`);
        const { ours, peer } = await inTurns(rounds, {
          ours: () => timed(once),
          peer: () => torch.ask(`gradient ${fastest} 1`),
        });
        return [{ name, ...compared(ours, peer), against: `PyTorch, ${fastest}` }];
      } finally {
        torch.close();
      }
    });
  },
};
