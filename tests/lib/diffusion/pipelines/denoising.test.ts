import { afterAll, describe, expect, it } from "vitest";
import { denoise, scheduleFromConfig } from "../../../../lib/diffusion/index.js";
import { at, UnknownHookPointError } from "../../../../lib/hooks/index.js";
import { closeRuntime } from "../../../../lib/runtime/index.js";
import { float32, type Picture, torchRandn } from "../../../../lib/tensor/index.js";
import { toyPipeline } from "../../activations/toy-pipeline.js";

const pipe = toyPipeline();
const picture = (shade: number): Picture => ({
  pixels: Uint8Array.from({ length: 48 }, (_, i) => (shade * i) % 256),
  width: 4,
  height: 4,
  channels: 3,
});
const pictures = [picture(5), picture(9), picture(13)];

afterAll(async () => {
  await pipe.release();
  await closeRuntime();
});

describe("denoise", () => {
  it("noises pictures as training did and asks the network once per timestep", async () => {
    const timesteps = [700, 20.5];
    const run = await denoise(pipe, pictures, { timesteps, seeds: [3, 4, 5], capture: ["down_blocks.0"], batchSize: 2 });
    const { noise } = scheduleFromConfig(pipe.schedulerConfig);
    expect([...run.sigmas]).toEqual(timesteps.map((t) => noise.sigmaAt(t)));
    expect(run.noise.row(1).data).toEqual(torchRandn(4, [1, 2, 4, 4]).data);
    expect(run.eps.shape).toEqual([2, 3, 2, 4, 4]);
    expect(run.branches).toEqual(["cond"]);
    // The toy predicts a tenth of its input √ᾱ·x₀ + √(1−ᾱ)·ε, and its first block passes that input on.
    const { tensor, axes } = run.activations["down_blocks.0"]!;
    expect(axes).toEqual(["step", "branch", "item", "channel", "y", "x"]);
    for (const [step, sigma] of run.sigmas.entries()) {
      const signal = 1 / Math.sqrt(1 + sigma ** 2);
      for (let i = 0; i < 3 * 32; i++) {
        const [item, rest] = [Math.floor(i / 32), i % 32];
        const input = signal * (run.latents.data[i]! + sigma * run.noise.data[i]!);
        expect(tensor.data[(step * 3 + item) * 48 + rest]).toBeCloseTo(input, 5);
        expect(run.eps.data[step * 96 + i]).toBeCloseTo(0.1 * input, 5);
        expect(run.denoised.data[step * 96 + i]).toBeCloseTo(
          run.latents.data[i]! + sigma * (run.noise.data[i]! - 0.1 * input),
          4,
        );
      }
    }
  });

  it("starts from the noise that generate has for the same seed", async () => {
    const { noise } = await denoise(pipe, pictures.slice(0, 1), { timesteps: [999], seeds: [8] });
    const { latents, sigmas } = await pipe.generate("red", { seed: 8, steps: 1, edits: [at("out_sample").scale(0)] });
    // With ε̂ = 0 the only step keeps the start, σ·ε on the variance-preserving scale of the last level.
    const start = Math.sqrt(1 + sigmas[0]! ** 2) / Math.sqrt(1 + sigmas[1]! ** 2);
    latents.data.forEach((v, i) => {
      expect(v).toBeCloseTo(start * noise.data[i]!, 4);
    });
  });

  it("takes latents as they are, and edits of the view and of the call", async () => {
    const latents = await pipe.encodeImage(pictures);
    const plain = await denoise(pipe, pictures, { timesteps: [300] });
    expect((await denoise(pipe, { latents }, { timesteps: [300] })).eps.data).toEqual(plain.eps.data);
    const edited = await denoise(
      pipe.with(at("down_blocks.0").scale(2)),
      { latents },
      {
        timesteps: [300],
        edits: [at("out_sample").scale(3)],
      },
    );
    edited.eps.data.forEach((v, i) => {
      expect(v).toBeCloseTo(6 * plain.eps.data[i]!, 4);
    });
  });

  it("says what does not fit", async () => {
    const refused = (options: object): Promise<unknown> => denoise(pipe, pictures, { timesteps: [1], ...options });
    await expect(refused({ timesteps: [1000] })).rejects.toThrow(/0…999, the trained ones, got 1000/);
    await expect(refused({ timesteps: [] })).rejects.toThrow(/got none/);
    await expect(refused({ seeds: [1] })).rejects.toThrow(/expected 3 seeds, one per picture, got 1/);
    await expect(refused({ prompts: ["red", "blue"] })).rejects.toThrow(/expected 3 prompts/);
    await expect(refused({ capture: ["nowhere"] })).rejects.toThrow(UnknownHookPointError);
    await expect(denoise(pipe, [], { timesteps: [1] })).rejects.toThrow(/at least one picture/);
    await expect(denoise(pipe, float32(new Float32Array(16), [1, 1, 4, 4]), { timesteps: [1] })).rejects.toThrow(RangeError);
    const control = new AbortController();
    control.abort(new Error("enough"));
    await expect(refused({ signal: control.signal })).rejects.toThrow("enough");
  });
});
