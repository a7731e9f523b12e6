import { describe, expect, it } from "vitest";
import {
  type Denoiser,
  gaussianDenoiser,
  karrasSigmas,
  mixtureDenoiser,
  risingSamplers,
  type SamplerName,
  type SamplerSettings,
  samplerOrder,
  samplers,
  subspaceGaussianDenoiser,
} from "../../../lib/diffusion/index.js";
import { float32, type Tensor } from "../../../lib/tensor/index.js";

const names = Object.keys(samplers) as SamplerName[];

/** Options that make a deterministic sampler of a stochastic one, or one of another order, and that order. */
const orders: readonly (readonly [name: SamplerName, order: number, options: SamplerSettings])[] = [
  ...names.flatMap((name) => (samplerOrder[name] === undefined ? [] : [[name, samplerOrder[name], {}] as const])),
  ["deis", 1, { order: 1 }],
  ["dpmpp-2m", 1, { order: 1 }],
  ["dpmpp-2m", 2, { solverType: "heun" }],
  ["dpmpp-2m", 2, { algorithm: "dpmsolver" }],
  ["dpmpp-2s", 2, { algorithm: "dpmsolver", solverType: "heun" }],
  ["dpmpp-2s", 3, { order: 3, lowerOrderFinal: false }],
  ["dpmpp-2s", 3, { order: 3, lowerOrderFinal: false, solverType: "heun" }],
  ["dpmpp-2s", 3, { order: 3, lowerOrderFinal: false, algorithm: "dpmsolver" }],
  ["dpmpp-sde", 2, { eta: 0 }],
  ["lms", 1, { order: 1 }],
  ["lms", 2, { order: 2 }],
  ["pndm", 2, { rungeKutta: true }],
  ["pndm", 1, { averaged: "v" }],
  ["sa-solver", 1, { tau: () => 0, predictorOrder: 1, correctorOrder: 0 }],
  ["sa-solver", 2, { tau: () => 0 }],
  ["sa-solver", 2, { tau: () => 0, correctorOrder: 0 }],
  ["sa-solver", 2, { tau: () => 0, predictX0: false }],
  ["tcd", 1, { eta: 0 }],
  ["unipc", 2, { order: 1 }],
  ["unipc", 2, { predictX0: false }],
  ["unipc", 2, { variant: "bh1" }],
];

/** The end of a run along Karras levels between `low` and `high`. */
async function ends(
  name: SamplerName,
  denoiser: Denoiser,
  x: Tensor<"float32">,
  { steps, low, high }: { steps: number; low: number; high: number },
  options: SamplerSettings = {},
): Promise<Float32Array> {
  const falling = karrasSigmas(steps + 1, low, high);
  let end = x;
  const sigmas = risingSamplers.has(name) ? falling.toReversed() : falling;
  for await (const step of samplers[name](denoiser, x, sigmas, options)) end = step.x;
  return end.data;
}

describe("the measured order of convergence", () => {
  const mean = [0.5, -1];
  const deviation = [0.7, 0.3];
  const gaussian = gaussianDenoiser(mean, deviation);

  it.each(orders)("of %s on a Gaussian is %d with %o", async (name, declared, options) => {
    const [from, to] = risingSamplers.has(name) ? [0.2, 5] : [5, 0.2];
    const x = float32([4, -3], [1, 2]);
    const exact = mean.map((m, i) => {
      const shrink = Math.sqrt((deviation[i]! ** 2 + to ** 2) / (deviation[i]! ** 2 + from ** 2));
      return m + (x.data[i]! - m) * shrink;
    });
    const errorAt = async (steps: number): Promise<number> => {
      const result = await ends(name, gaussian, x, { steps, low: 0.2, high: 5 }, options);
      return Math.max(...exact.map((value, i) => Math.abs(result[i]! - value)));
    };
    // Float32 x̂₀ hides the errors of third order sooner.
    const steps = declared === 3 ? 24 : 96;
    const order = Math.log2((await errorAt(steps)) / (await errorAt(2 * steps)));
    expect(order).toBeGreaterThan(declared - 0.15);
    expect(order).toBeLessThan(declared + 0.3);
  });

  it.each(orders.filter(([, , options]) => Object.keys(options).length === 0))(
    "of %s on a subspace and on a mixture is %d",
    async (name, declared) => {
      const plane = subspaceGaussianDenoiser({ mean: [1, 2], directions: [[0.6, 0.8]], deviations: [0.7] });
      const mixture = mixtureDenoiser([
        { weight: 2, mean: [1, 0], deviation: 0.4 },
        { weight: 1, mean: [-1, 0.5], deviation: 0.6 },
      ]);
      const x = float32([1.4, -0.9], [1, 2]);
      const run = (denoiser: Denoiser, sampler: SamplerName, steps: number) =>
        ends(sampler, denoiser, x, { steps, low: 0.3, high: 3 });
      for (const denoiser of [plane, mixture]) {
        const inverse = risingSamplers.has(name);
        // A midpoint rule in many steps stands in for the exact flow.
        const exact = await run(denoiser, inverse ? "dpmpp-2m-inverse" : "dpm-2", 4000);
        const errorAt = async (steps: number): Promise<number> => {
          const end = await run(denoiser, name, steps);
          return Math.hypot(...end.map((value, i) => value - exact[i]!));
        };
        const order = Math.log2((await errorAt(48)) / (await errorAt(96)));
        expect(order).toBeGreaterThan(declared - 0.25);
      }
    },
    30_000,
  );
});
