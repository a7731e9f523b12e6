import {
  activationMaps,
  attentionOverPicture,
  attributionOverPicture,
  barsWithIntervals,
  confusionMatrix,
  type Displayable,
  denoisedOverTime,
  embeddingScatter,
  errorCurves,
  featureCard,
  heatmap,
  imageGrid,
  inversionError,
  latentsAndDenoised,
  lossCurve,
  type ModuleNode,
  moduleTree,
  noiseSchedule,
  type Picture,
  patchingHeatmap,
  saeHealth,
  samplerComparison,
  scheduleComparison,
  steeringComparison,
  table,
} from "../../../lib/figures/index.js";
import { Rng } from "../../../lib/tensor/random.js";
import { Tensor } from "../../../lib/tensor/tensor.js";

const colors: Readonly<Record<string, readonly [number, number, number]>> = {
  red: [214, 60, 52],
  green: [60, 160, 75],
  blue: [52, 90, 200],
  yellow: [235, 200, 60],
};

/** A disc or a square on a plain ground, with noise of the given strength (0…1) mixed in. */
export function scene(
  color: string,
  shape: "disc" | "square",
  at: readonly [number, number],
  noise = 0,
  rng: Rng = new Rng(1),
): Picture {
  const size = 32;
  const pixels = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const dx = x - at[0];
      const dy = y - at[1];
      const inside = shape === "disc" ? dx * dx + dy * dy < 49 : Math.abs(dx) < 7 && Math.abs(dy) < 7;
      const base = inside ? colors[color]! : [232, 232, 226];
      for (let k = 0; k < 3; k++) {
        const value = (1 - noise) * base[k]! + noise * (noise > 0 ? 127 + 80 * rng.normal() : 0);
        pixels[(y * size + x) * 3 + k] = Math.min(255, Math.max(0, value));
      }
    }
  }
  return { pixels, width: size, height: size, channels: 3 };
}

/** A float map [h, w] with one bump. */
export function bump(size: number, cx: number, cy: number, height: number, offset = 0): Tensor<"float32"> {
  const data = new Float32Array(size * size);
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++)
      data[y * size + x] = offset + height * Math.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (0.04 * size * size));
  return new Tensor("float32", data, [size, size]);
}

function maps(channels: number, size: number, signed: boolean): Tensor<"float32"> {
  const rng = new Rng(7);
  const data = new Float32Array(channels * size * size);
  for (let c = 0; c < channels; c++) {
    const map = bump(size, rng.int(size), rng.int(size), (signed && c % 2 === 1 ? -1 : 1) * (1 + c / 10));
    data.set(map.data, c * size * size);
  }
  return new Tensor("float32", data, [channels, size, size]);
}

const words = Object.keys(colors);
const shapes = ["disc", "square"] as const;

function gallery(n: number): Picture[] {
  const rng = new Rng(3);
  return Array.from({ length: n }, (_, i) => scene(words[i % 4]!, shapes[(i >> 2) % 2]!, [9 + rng.int(14), 9 + rng.int(14)]));
}

function embedding(n: number): { points: Tensor<"float32">; labels: string[]; pictures: Picture[]; texts: string[] } {
  const rng = new Rng(11);
  const pictures = gallery(n);
  const labels = pictures.map((_, i) => `${words[i % 4]} ${shapes[(i >> 2) % 2]}`);
  const data = Float32Array.from({ length: 2 * n }, (_, j) => {
    const k = Math.floor(j / 2) % 8;
    return (j % 2 === 0 ? Math.cos : Math.sin)((k * Math.PI) / 4) * 6 + rng.normal();
  });
  return { points: new Tensor("float32", data, [n, 2]), labels, pictures, texts: labels.map((l, i) => `#${i} a ${l}`) };
}

function losses(seed: number, floor: number): Float32Array {
  const rng = new Rng(seed);
  return Float32Array.from({ length: 2000 }, (_, i) => (floor + 0.9 * Math.exp(-i / 180)) * Math.exp(0.15 * rng.normal()));
}

const unet: ModuleNode = {
  name: "unet",
  kind: "UNet2DConditionModel",
  parameters: 2_184_323,
  shape: ["batch", 4, 16, 16],
  children: ["down_blocks.0", "mid_block", "up_blocks.0"].map((name) => ({
    name,
    kind: name === "mid_block" ? "UNetMidBlock2DCrossAttn" : "CrossAttnBlock2D",
    parameters: 612_300,
    shape: ["batch", 128, 8, 8],
    hookPoint: name,
    children: [
      {
        name: "resnets.0",
        kind: "ResnetBlock2D",
        parameters: 312_000,
        shape: ["batch", 128, 8, 8],
        hookPoint: `${name}.resnets.0`,
        children: [
          { name: "conv1", kind: "Conv", parameters: 147_584, shape: ["batch", 128, 8, 8], hookPoint: `${name}.resnets.0.conv1` },
          { name: "nonlinearity", kind: "SiLU", shape: ["batch", 128, 8, 8] },
        ],
      },
      {
        name: "attentions.0",
        kind: "Transformer2DModel",
        parameters: 300_300,
        shape: ["batch", 128, 8, 8],
        hookPoint: `${name}.attentions.0`,
      },
    ],
  })),
};

/** Latents [step, item, 4, 8, 8] that lose their noise. */
function trajectory(steps: number, items: number, noise: number): Tensor<"float32"> {
  const rng = new Rng(31);
  const data = Float32Array.from({ length: steps * items * 256 }, (_, i) => {
    const step = Math.floor(i / (items * 256));
    const left = noise * (1 - step / (steps - 1));
    return 2 * (1 - left) * Math.sin((i % 256) / 11 + Math.floor(i / 256)) + left * rng.normal();
  });
  return new Tensor("float32", data, [steps, items, 4, 8, 8]);
}

/** Maps [step, 8, 8] of a bump that grows. */
function growing(steps: number, cx: number, cy: number): Tensor<"float32"> {
  const data = new Float32Array(steps * 64);
  for (let s = 0; s < steps; s++) data.set(bump(8, cx, cy, (s + 1) / steps).data, 64 * s);
  return new Tensor("float32", data, [steps, 8, 8]);
}

const blocks = ["down_blocks.1.attentions.0", "mid_block.attentions.0", "up_blocks.1.attentions.1"];
const hookPoints = [...blocks.map((b) => `${b}.transformer_blocks.0.attn2`), "mid_block"];

/** The figures of a run, of its attention and its errors. */
function runFigures(alphas: Float64Array): Record<string, Displayable> {
  const timesteps = [981, 741, 501, 261, 21];
  const sigmas = [12.1, 5.2, 1.9, 0.61, 0.05, 0];
  const names = ["a red disc", "a blue square over a green disc"];
  const steps = [5, 10, 20, 50];
  const errors = Float32Array.from([1, 3].flatMap((scale) => steps.map((n) => (0.4 * scale) / n)));
  const effects = Float32Array.from({ length: 20 }, (_, i) => Math.cos(i / 5));
  const samplerRows = ["ddim", "heun"].map((name, order) => ({
    name,
    pictures: [4, 8, 16].map((n) => scene("red", "disc", [16, 16], 0.8 / n ** (order + 1), new Rng(n))),
    metric: [4, 8, 16].map((n) => 2 / n ** (order + 1)),
  }));
  return {
    latentsAndDenoised: latentsAndDenoised({
      latents: trajectory(5, 2, 1),
      denoised: trajectory(5, 2, 0.3),
      timesteps,
      sigmas,
      names,
    }),
    latentChannels: latentsAndDenoised(
      { latents: trajectory(5, 1, 1), denoised: trajectory(5, 1, 0.3), sigmas },
      { view: "channels", title: "Latent channels" },
    ),
    scheduleComparison: scheduleComparison(
      [
        { name: "scaled linear", alphasCumprod: alphas },
        { name: "by σ", sigmas: alphas.map((_, t) => 0.01 * 1.01 ** t) },
      ],
      [
        { name: "ddim, leading", timesteps: [1, 201, 401, 601, 801] },
        { name: "ddim, trailing", timesteps: [199, 399, 599, 799, 999] },
      ],
    ),
    attentionOverPicture: attentionOverPicture(
      {
        picture: scene("red", "disc", [16, 16]),
        words: [
          { word: "red", map: bump(8, 4, 4, 0.8) },
          { word: "disc", map: bump(8, 3, 4, 0.6, 0.02) },
        ],
      },
      { title: "“a red disc”", subtitle: "mean over heads and layers", threshold: 0.5 },
    ),
    attentionSteps: attentionOverPicture(
      {
        picture: scene("red", "disc", [16, 16]),
        words: [
          { word: "red", map: growing(5, 4, 4) },
          { word: "disc", map: growing(5, 3, 4) },
        ],
        timesteps,
      },
      { scale: "each", threshold: 0.5 },
    ),
    attributionOverPicture: attributionOverPicture(
      {
        picture: scene("red", "disc", [16, 16]),
        maps: [
          { name: "gradient × activation", map: bump(8, 4, 4, 0.8, -0.1) },
          { name: "integrated gradients", map: bump(8, 4, 4, -0.5, 0.1) },
        ],
      },
      { title: "What speaks for “red”", subtitle: "up_blocks.1, t = 481", quantity: "attribution, logits" },
    ),
    patchingHeatmap: patchingHeatmap(
      { hookPoints, timesteps, effect: new Tensor("float32", effects, [4, 5]) },
      { subtitle: "P(red), 32 pairs of prompts" },
    ),
    inversionError: inversionError(
      {
        steps,
        guidanceScales: [1, 3],
        error: new Tensor("float32", errors, [2, 4]),
        low: new Tensor(
          "float32",
          errors.map((e) => 0.9 * e),
          [2, 4],
        ),
        high: new Tensor(
          "float32",
          errors.map((e) => 1.2 * e),
          [2, 4],
        ),
      },
      {
        subtitle: "RMS of pixels, n = 64, 95 % bootstrap intervals",
        floor: { value: 0.006, name: "autoencoder alone" },
      },
    ),
    samplerComparison: samplerComparison(
      { steps: [4, 8, 16], rows: samplerRows, reference: scene("red", "disc", [16, 16]) },
      { title: "“a red disc”", metricLabel: "RMS distance", referenceLabel: "ddim, 250" },
    ),
    errorCurves: errorCurves(
      samplerRows.map(({ name, metric }, order) => ({ name, x: [4, 8, 16].map((n) => n * (order + 1)), error: metric })),
      { title: "Error over network calls", xLabel: "network calls", yLabel: "RMS distance", orders: true },
    ),
  };
}

/** One example of every figure, always the same. */
export function exampleFigures(points = 600): Record<string, Displayable> {
  const prompts = shapes.flatMap((s) => words.map((c) => `a ${c} ${s}`));
  const steps = 20;
  const sigma = Float64Array.from({ length: steps }, (_, i) => 14.6 * (1 - i / steps) ** 3);
  const film = Array.from({ length: steps }, (_, i) =>
    scene("red", "disc", [16, 16], 0.7 * (1 - i / (steps - 1)) ** 1.5, new Rng([5, i])),
  );
  const noisy = Array.from({ length: steps }, (_, i) => scene("red", "disc", [16, 16], 1 - i / (steps - 1), new Rng([6, i])));
  const { points: xy, labels, pictures, texts } = embedding(points);
  const rng = new Rng(21);
  const rates = Float64Array.from({ length: 2048 }, (_, i) => (i % 23 === 0 ? 0 : 10 ** (-2.6 + 0.7 * rng.normal())));
  const step = Float64Array.from({ length: 2000 }, (_, i) => i);
  const example = (i: number, activation: number): { picture: Picture; heat: Tensor; activation: number; caption: string } => {
    const at: [number, number] = [9 + ((i * 5) % 14), 9 + ((i * 3) % 14)];
    return {
      picture: scene("red", shapes[i % 2]!, at),
      heat: bump(8, at[0] / 4 - 0.5, at[1] / 4 - 0.5, activation),
      activation,
      caption: `a red ${shapes[i % 2]}`,
    };
  };
  const strengths = [-8, -4, -2, 0, 2, 4, 8];
  const alphas = Float64Array.from({ length: 1000 }, (_, t) => {
    let product = 1;
    for (let s = 0; s <= t; s++) product *= 1 - (Math.sqrt(0.00085) + (s / 999) * (Math.sqrt(0.012) - Math.sqrt(0.00085))) ** 2;
    return product;
  });
  return {
    imageGrid: imageGrid(gallery(8), {
      title: "Generated pictures",
      subtitle: "20 steps of DDIM, guidance 5, seed 7",
      titles: prompts,
    }),
    denoisedOverTime: denoisedOverTime(
      { denoised: film, noisy, sigmas: sigma, timesteps: sigma.map((_, i) => 981 - i * 49) },
      { title: "“a red disc”, step by step" },
    ),
    activationMaps: activationMaps(maps(32, 16, true), { title: "mid_block at t = 481", limit: 24 }),
    activationMapsEach: activationMaps(maps(8, 8, false), {
      title: "Cross-attention of “red”",
      scale: "each",
      titles: prompts,
      quantity: "probability",
    }),
    moduleTree: moduleTree(unet),
    embeddingScatter: embeddingScatter(xy, {
      title: "UMAP of up_blocks.1, t = 481",
      labels,
      pictures,
      texts,
      colorLabel: "what is drawn",
    }),
    embeddingValues: embeddingScatter(xy, {
      title: "Coloured by timestep",
      values: Float32Array.from(labels, (_, i) => i % 50),
      colorLabel: "timestep",
      pictures,
    }),
    lossCurve: lossCurve(
      [
        { name: "train", y: losses(1, 0.05) },
        { name: "held out", y: losses(2, 0.07) },
      ],
      { title: "Training the denoiser", yLabel: "ε-MSE" },
    ),
    saeHealth: saeHealth(
      {
        firingRates: rates,
        tokens: 50_000,
        l0: Float64Array.from({ length: 4000 }, () => Math.max(4, Math.round(28 + 5 * rng.normal()))),
        fvu: 0.112,
        baselines: [
          { name: "mean predictor", fvu: 1 },
          { name: "PCA, 32 components", fvu: 0.41 },
          { name: "random weights", fvu: 0.87 },
          { name: "shuffled data", fvu: 0.78 },
        ],
        loss: { step, value: losses(4, 0.1) },
        dead: { step, share: step.map((s) => 0.3 * Math.exp(-s / 300) + 0.043) },
      },
      { title: "TopK SAE, 2048 features, k = 32" },
    ),
    featureCard: featureCard({
      feature: 1337,
      label: { text: "red", heldOutAuc: 0.987 },
      examples: Array.from({ length: 8 }, (_, i) => example(i, 9.4 - 0.4 * i)),
      deciles: Array.from({ length: 10 }, (_, i) => example(i + 3, 0.6 + 0.9 * i)),
      activations: Float64Array.from({ length: 3000 }, () => Math.abs(2.2 * rng.normal()) + 0.1),
      firingRate: 0.034,
      factors: [...words, ...shapes].map((name, i) => ({
        name: i < 4 ? `colour = ${name}` : `shape = ${name}`,
        auroc: i === 0 ? 0.991 : 0.62 - 0.05 * i,
      })),
    }),
    steeringComparison: steeringComparison(
      {
        strengths,
        rows: [
          { name: "a red disc, seed 7", pictures: strengths.map((s) => scene(s < -3 ? "blue" : "red", "disc", [16, 16])) },
          { name: "a green square, seed 8", pictures: strengths.map((s) => scene(s > 3 ? "red" : "green", "square", [14, 18])) },
        ],
        curves: [
          {
            name: "P(red), classifier",
            mean: [0.02, 0.12, 0.41, 0.52, 0.66, 0.93, 0.97],
            low: [0, 0.06, 0.3, 0.42, 0.55, 0.88, 0.93],
            high: [0.05, 0.2, 0.5, 0.6, 0.75, 0.97, 0.99],
          },
          { name: "P(disc), classifier", mean: [0.5, 0.5, 0.51, 0.5, 0.5, 0.49, 0.46] },
        ],
      },
      {
        title: "Steering feature 1337 “red”",
        subtitle: "n = 64 per strength, 95 % bootstrap intervals",
        strengthLabel: "added strength",
        valueLabel: "probability",
      },
    ),
    noiseSchedule: noiseSchedule(alphas, {
      title: "Stable Diffusion's scaled-linear schedule",
      visited: sigma.map((_, i) => 981 - i * 49),
    }),
    barsWithIntervals: barsWithIntervals(
      ["mid_block", "up_blocks.0", "up_blocks.1"],
      [
        { name: "probe", values: [0.91, 0.95, 0.83].map((mean) => ({ mean, low: mean - 0.03, high: mean + 0.02 })) },
        { name: "shuffled labels", values: [0.26, 0.24, 0.25].map((mean) => ({ mean, low: mean - 0.04, high: mean + 0.04 })) },
      ],
      {
        title: "Colour can be read from every block",
        subtitle: "accuracy, 95 % intervals, n = 1 000",
        valueLabel: "accuracy",
        reference: { value: 0.25, name: "chance" },
        range: [0, 1],
      },
    ),
    heatmap: heatmap(
      new Tensor(
        "float32",
        Float32Array.from({ length: 40 }, (_, i) => Math.sin(i / 3)),
        [4, 10],
      ),
      {
        title: "Block by timestep",
        rows: ["down_blocks.0", "down_blocks.1", "mid_block", "up_blocks.0"],
        columns: Array.from({ length: 10 }, (_, i) => String(981 - 100 * i)),
        xLabel: "timestep",
        yLabel: "block",
        quantity: "Δ accuracy",
      },
    ),
    confusionMatrix: confusionMatrix(
      [
        [49, 1, 0, 0],
        [2, 47, 1, 0],
        [0, 0, 50, 0],
        [0, 1, 3, 46],
      ],
      words,
      { title: "Colour of generated pictures" },
    ),
    ...runFigures(alphas),
    table: table(
      {
        feature: [1337, 12, 401],
        label: ["red", "disc", "left of"],
        "held-out AUC": [0.9874, 0.953, 0.9512],
        "firing rate": [0.034, 0.00004, 0.11],
        dead: [false, false, null],
      },
      { title: "Features by AUC" },
    ),
  };
}
