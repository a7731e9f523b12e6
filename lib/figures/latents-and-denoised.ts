import { Tensor } from "../tensor/tensor.js";
import type { Figure } from "./figure.js";
import { type FilmPanel, film } from "./film.js";
import { colorAt, signed } from "./palette.js";
import { type Picture, type Pictures, picturesOf } from "./picture.js";
import { expectSteps, type StepSeries, shortStepTexts, stepTexts } from "./stepper.js";
import { numberText, shorten } from "./text.js";

/** What the sampler held and what the network made of it, in sampling order. */
export interface DenoisingTrajectory extends StepSeries {
  /** The noisy state: latents [step, item, channel, y, x], float32, or for each step one (decoded) picture per item. */
  readonly latents: Tensor | readonly Pictures[];
  /** The network's x̂₀, in the same form. */
  readonly denoised: Tensor | readonly Pictures[];
  /** One per item; default its number. */
  readonly names?: readonly string[];
}

export interface LatentsAndDenoisedOptions {
  readonly title?: string;
  /**
   * How latents are shown: "color" mixes the channels by `projection` (default for 4 channels), "channels" draws each channel as
   * a map of its own (default for other numbers of channels).
   */
  readonly view?: "color" | "channels";
  /** Red, green and blue of each channel, [channel][3]; default, for 4 channels, a fixed one that the subtitle states. */
  readonly projection?: readonly (readonly [red: number, green: number, blue: number])[];
  /** The latent value at full colour; default 3, what standard normal noise seldom exceeds. */
  readonly reach?: number;
  /** For pictures given as floats: values shown as black and white; default [0, 1]. */
  readonly range?: readonly [number, number];
  /** Step shown first; default the last. */
  readonly start?: number;
}

/** Orthonormal, so that distances in colour are distances between latents; their common part, the fourth direction, is left out. */
const halves: readonly (readonly [number, number, number])[] = [
  [0.5, 0.5, 0.5],
  [0.5, -0.5, -0.5],
  [-0.5, 0.5, -0.5],
  [-0.5, -0.5, 0.5],
];

/**
 * The noisy state and x̂₀ side by side over the sampling steps, for several items: a film with slider over strips of stills.
 * Latents are shown as they are, in false colours; decoded pictures as pictures.
 * @throws RangeError if shapes or lengths do not fit together; TypeError for latents of another dtype than float32
 */
export function latentsAndDenoised(run: DenoisingTrajectory, options: LatentsAndDenoisedOptions = {}): Figure {
  const { title = "Latents and x̂₀, step by step", start } = options;
  const latents = itemPictures("latents", run.latents, options);
  const denoised = itemPictures("denoised", run.denoised, options);
  const steps = latents.pictures.length;
  expectSteps("latentsAndDenoised", steps, run);
  const items = latents.pictures[0]!.length;
  for (const [name, { pictures }] of Object.entries({ latents, denoised })) {
    const odd = pictures.findIndex((p) => p.length !== items);
    if (pictures.length !== steps || odd >= 0)
      throw new RangeError(
        `latentsAndDenoised: latents are ${steps} steps of ${items} items, but ${name} ${
          odd >= 0 ? `has ${pictures[odd]!.length} items at step ${odd}` : `has ${pictures.length} steps`
        }`,
      );
  }
  const names = run.names ?? Array.from({ length: items }, (_, i) => (items === 1 ? "" : `item ${i}`));
  if (names.length !== items)
    throw new RangeError(`latentsAndDenoised: expected ${items} names, one per item, got ${names.length}`);
  const texts = stepTexts(steps, run);
  const panel = (what: string, name: string, item: number, { pictures }: Shown): FilmPanel => ({
    name: name === "" ? what : `${shorten(name, items === 1 ? 80 : 56)}\n${what}`,
    stripName: name === "" ? what : `${shorten(name, 14)}\n${what}`,
    pictures: pictures.map((step) => step[item]!),
  });
  const notes = [...new Set([latents.note, denoised.note])].filter((note) => note !== "");
  return film({
    title,
    subtitle: notes.length === 0 ? undefined : notes.join(" · "),
    panels: names.flatMap((name, item) => [panel("xₜ", name, item, latents), panel("x̂₀", "", item, denoised)]),
    columns: items === 1 ? 2 : 4,
    texts,
    shortTexts: shortStepTexts(steps, run),
    start,
    summary: `${title}: ${items} items, ${steps} steps, ${texts[0]} to ${texts.at(-1)}`,
  });
}

/** Pictures by step and item, and how they were made of the numbers. */
interface Shown {
  readonly pictures: readonly (readonly Picture[])[];
  readonly note: string;
}

function itemPictures(name: string, states: Tensor | readonly Pictures[], options: LatentsAndDenoisedOptions): Shown {
  if (!(states instanceof Tensor)) return { pictures: states.map((step) => picturesOf(step, options.range)), note: "" };
  const [steps, items, channels, height, width] = states.shape as [number, number, number, number, number];
  if (states.shape.length !== 5)
    throw new RangeError(`latentsAndDenoised: expected ${name} [step, item, channel, y, x], got ${states}`);
  if (states.dtype !== "float32")
    throw new TypeError(`latentsAndDenoised: expected float32 ${name}, got ${states}; convert them first`);
  const { projection = channels === 4 ? halves : undefined, reach = 3 } = options;
  const view = options.view ?? (projection === undefined ? "channels" : "color");
  if (view === "color" && projection?.length !== channels)
    throw new RangeError(
      `latentsAndDenoised: ${channels} channels need a projection of ${channels} colours, got ${projection?.length ?? "none"}; or choose view: "channels"`,
    );
  const size = channels * height * width;
  const paint = (values: Float32Array): Picture =>
    view === "color"
      ? falseColor(values, projection!, height, width, reach)
      : channelMosaic(values, channels, height, width, reach);
  const values = states.data as Float32Array;
  const pictures = Array.from({ length: steps }, (_, s) =>
    Array.from({ length: items }, (_, i) => paint(values.subarray((s * items + i) * size, (s * items + i + 1) * size))),
  );
  const ends = `−${numberText(reach)} to ${numberText(reach)}`;
  const mixed =
    projection === halves
      ? "R, G, B = ½ (c₀ + c₁ − c₂ − c₃), ½ (c₀ − c₁ + c₂ − c₃), ½ (c₀ − c₁ − c₂ + c₃)"
      : "channels mixed by the given projection";
  return {
    pictures,
    note: view === "color" ? `latents in false colour: ${mixed}, ${ends}` : `${channels} latent channels, blue to red ${ends}`,
  };
}

/** Channels [c, h, w] mixed into one RGB picture, −reach black and reach white. */
function falseColor(
  values: Float32Array,
  projection: readonly (readonly [number, number, number])[],
  height: number,
  width: number,
  reach: number,
): Picture {
  const plane = height * width;
  const pixels = new Uint8ClampedArray(3 * plane);
  for (let p = 0; p < plane; p++)
    for (let k = 0; k < 3; k++) {
      const mixed = projection.reduce((sum, colors, c) => sum + colors[k]! * values[c * plane + p]!, 0);
      pixels[3 * p + k] = 127.5 * (1 + mixed / reach);
    }
  return { pixels: new Uint8Array(pixels.buffer), width, height, channels: 3 };
}

/** Channels [c, h, w] as maps beside each other, about square, one pixel apart. */
function channelMosaic(values: Float32Array, channels: number, height: number, width: number, reach: number): Picture {
  const columns = Math.ceil(Math.sqrt(channels));
  const rows = Math.ceil(channels / columns);
  const w = columns * (width + 1) - 1;
  const h = rows * (height + 1) - 1;
  const pixels = new Uint8Array(4 * w * h);
  for (let c = 0; c < channels; c++)
    for (let p = 0; p < height * width; p++) {
      const y = Math.floor(c / columns) * (height + 1) + Math.floor(p / width);
      const x = (c % columns) * (width + 1) + (p % width);
      pixels.set(colorAt(signed, 0.5 + values[c * height * width + p]! / (2 * reach)), 4 * (y * w + x));
      pixels[4 * (y * w + x) + 3] = 255;
    }
  return { pixels, width: w, height: h, channels: 4 };
}
