import type { Branch, HookedModel } from "../../hooks/index.js";
import { float32, type Picture, Tensor, tensorDigest, toFloat32, zeros } from "../../tensor/index.js";
import { asInput, concatRows, scaled, timestepInput } from "../batches.js";
import type { ModelCall } from "./generation.js";
import { type NetworkInputs, networkInputs } from "./network-inputs.js";
import { pixelsFromPictures } from "./pixels.js";

/** A ControlNet of a pipeline. */
export interface ControlNet {
  readonly network: HookedModel;
  /** `global_pool_conditions`: it was trained to add each residual's mean over space. */
  readonly globalPool?: boolean;
}

/** A picture that the run is to follow, by a ControlNet. */
export interface Control {
  /** Edges, depth, poses… as the ControlNet was trained on: one for all or one per prompt, of the size drawn; pixels [item, 3, y, x] in [0, 1]. */
  readonly image: Picture | readonly Picture[] | Tensor<"float32">;
  /** How much it counts; default 1. */
  readonly scale?: number;
  /** Share of the steps at which it begins, 0…1; default 0. */
  readonly start?: number;
  /** Share of the steps at which it ends; default 1. */
  readonly end?: number;
  /** Default the pipeline's own ControlNet of the same place in the list. */
  readonly network?: HookedModel;
  /** Guess mode: the picture guides by itself. Only the conditional branch follows it, shallow residuals less than deep ones. */
  readonly guess?: boolean;
  /** Whether each residual is its mean over space, as networks with `global_pool_conditions` want it; they also guess. Default what the pipeline's ControlNet was trained with. */
  readonly globalPool?: boolean;
}

/** What a manifest keeps of a control. */
export interface ControlRecord {
  /** SHA-256 of the picture's pixels. */
  readonly image: string;
  readonly scale: number;
  readonly start: number;
  readonly end: number;
  readonly guess?: boolean;
}

/** One run of the denoising network over some rows, [branch × item, …]. */
export interface ControlledCall {
  readonly branches: readonly Branch[];
  readonly input: Tensor<"float32">;
  readonly call: ModelCall;
  /** The rows' share of a condition, by Diffusers' name. */
  readonly condition: (name: string) => Tensor | undefined;
  /** Rows of the run of a tensor that has one per picture. */
  readonly perItem: (tensor: Tensor) => Tensor;
}

interface Placed {
  readonly network: HookedModel | undefined;
  readonly inputs: NetworkInputs | undefined;
  readonly pixels: Tensor<"float32">;
  readonly scale: number;
  readonly start: number;
  readonly end: number;
  readonly guess: boolean;
  readonly globalPool: boolean;
}

/** Where a U-Net adds what ControlNets found, by exporter: `down_block_additional_residuals_3`, `down_block_3`, `mid_block`, … */
const residualInput = /^(?:down_block(?:_additional)?(?:_residuals?)?_(\d+)|mid_block(?:_additional_residual)?)$/;

/**
 * ControlNets at work in a run: at every call they see what the U-Net sees and a picture, and what they find is added
 * to its residuals. Either they are networks of their own, or the U-Net was exported with them inside and takes the
 * pictures itself (`controlnet_conds`).
 * @see Zhang et al. 2023, arXiv:2302.05543
 */
export class Controls {
  readonly #placed: readonly Placed[];
  readonly #unet: NetworkInputs;
  readonly #steps: number;
  readonly #signal: AbortSignal | undefined;

  /** @throws RangeError on pictures of another size or number, shares outside 0…1, or a network that takes no control */
  constructor(
    controls: readonly Control[],
    options: {
      readonly unet: HookedModel;
      readonly own: readonly ControlNet[];
      readonly items: number;
      readonly size: readonly [height: number, width: number];
      readonly steps: number;
      readonly signal?: AbortSignal | undefined;
    },
  ) {
    this.#unet = networkInputs(options.unet.inputs);
    this.#steps = options.steps;
    this.#signal = options.signal;
    const within = this.#unet.conditions.has("controlnet_conds");
    const takesResiduals = [...this.#unet.conditions.keys()].some((name) => residualInput.test(name));
    if (controls.length > 0 && !within && !takesResiduals) {
      throw new RangeError(
        "generate: control needs a U-Net exported with inputs for a ControlNet's residuals (down_block_…, mid_block_…); this one has none",
      );
    }
    this.#placed = controls.map((control, i) => {
      const own = control.network === undefined ? options.own[i] : undefined;
      const { image, scale = 1, start = 0, end = 1, network = own?.network, globalPool = own?.globalPool ?? false } = control;
      if (!(start >= 0 && start <= end && end <= 1 && Number.isFinite(scale)))
        throw new RangeError(
          `generate: control ${i} wants 0 ≤ start ≤ end ≤ 1 and a finite scale, got ${start}, ${end}, ${scale}`,
        );
      if (network === undefined && !within)
        throw new RangeError(
          `generate: control ${i} has no ControlNet; the pipeline has ${options.own.length}, give \`network\``,
        );
      const inputs = network && networkInputs(network.inputs);
      return {
        network,
        inputs,
        pixels: controlPixels(image, i, options),
        scale,
        start,
        end,
        guess: control.guess ?? globalPool,
        globalPool,
      };
    });
  }

  /** For the manifest. */
  get records(): readonly ControlRecord[] {
    return this.#placed.map(({ pixels, scale, start, end, guess }) => ({
      image: tensorDigest(pixels),
      scale,
      start,
      end,
      ...(guess && { guess }),
    }));
  }

  /** What the U-Net's inputs for control are to be fed, by name. */
  async feeds(run: ControlledCall): Promise<Record<string, Tensor>> {
    const active = this.#placed.map((control) => ({ ...control, scale: this.#isOn(control, run.call) ? control.scale : 0 }));
    const { conditions } = this.#unet;
    if (conditions.has("controlnet_conds")) {
      const rows = active.map((c) => run.perItem(c.pixels) as Tensor<"float32">);
      const all = new Float32Array(rows.reduce((n, r) => n + r.size, 0));
      rows.forEach((r, i) => void all.set(r.data, i * r.size));
      return {
        controlnet_conds: float32(all, [rows.length, ...(rows[0]?.shape ?? [])]),
        conditioning_scales: float32(active.map((c) => c.scale)),
      };
    }
    const sums: Record<string, Tensor<"float32">> = {};
    for (const control of active) {
      if (control.scale === 0 && Object.keys(sums).length > 0) continue;
      const found = await this.#residuals(control, run);
      found.forEach((residual, i) => {
        const name = [...conditions.keys()].find((key) => indexOf(key, found.length) === i);
        if (name === undefined) throw new RangeError(`the ControlNet gives residual ${i}, for which the U-Net has no input`);
        const sum = sums[name];
        sums[name] = sum
          ? new Tensor(
              "float32",
              sum.data.map((v, k) => v + residual.data[k]!),
              sum.shape,
            )
          : residual;
      });
    }
    return sums;
  }

  #isOn({ start, end }: Placed, { step }: ModelCall): boolean {
    return step / this.#steps >= start && (step + 1) / this.#steps <= end;
  }

  /** Down residuals in their order, the middle one last, scaled. */
  async #residuals(control: Placed, run: ControlledCall): Promise<Tensor<"float32">[]> {
    const { network, inputs, pixels, scale, guess, globalPool } = control;
    const { sample, timestep, conditions } = inputs!;
    const rows = run.input.shape[0]!;
    // The conditional rows stand last.
    const first = guess ? rows - rows / run.branches.length : 0;
    const some = (tensor: Tensor): Tensor => tensor.slice(first);
    const feeds: Record<string, Tensor> = {
      [sample.name]: asInput(some(run.input), sample),
      [timestep.name]: timestepInput(run.call.timestep, timestep, rows - first),
    };
    for (const [name, info] of conditions) {
      let value: Tensor | undefined;
      if (name === "controlnet_cond") value = some(run.perItem(pixels));
      else if (name === "conditioning_scale") value = float32([1], info.shape?.length === 0 ? [] : [1]);
      else value = run.condition(name);
      if (value === undefined) throw new TypeError(`the ControlNet's input ${info.name} is not given by this pipeline`);
      feeds[info.name] = asInput(value.shape[0] === rows ? some(value) : value, info);
    }
    const { outputs } = await network!.run(feeds, this.#signal ? { signal: this.#signal } : {});
    const all = network!.outputs.map(({ name }) => toFloat32(outputs[name]!));
    return all.map((residual, k) => {
      const weight = scale * (guess && !globalPool ? 10 ** (k / Math.max(all.length - 1, 1) - 1) : 1);
      const weighted = scaled(globalPool ? spatialMeans(residual) : residual, weight);
      return first === 0 ? weighted : concatRows([zeros([first, ...weighted.shape.slice(1)]), weighted]);
    });
  }
}

/** Means over y and x, at every place: what broadcasting a [item, channel, 1, 1] would add. */
function spatialMeans({ data, shape }: Tensor<"float32">): Tensor<"float32"> {
  const plane = shape[2]! * shape[3]!;
  const out = new Float32Array(data.length);
  for (let start = 0; start < out.length; start += plane) {
    let sum = 0;
    for (let i = start; i < start + plane; i++) sum += data[i]!;
    out.fill(sum / plane, start, start + plane);
  }
  return new Tensor("float32", out, shape);
}

/** The place of a residual input among a ControlNet's outputs. */
function indexOf(input: string, outputs: number): number | undefined {
  const match = residualInput.exec(input);
  if (match === null) return undefined;
  return match[1] === undefined ? outputs - 1 : Number(match[1]);
}

function controlPixels(
  image: Control["image"],
  index: number,
  { items, size: [height, width] }: { readonly items: number; readonly size: readonly [number, number] },
): Tensor<"float32"> {
  const pixels = image instanceof Tensor ? image : pixelsFromPictures("pixels" in image ? [image] : image);
  const [, , y, x] = pixels.shape;
  if (y !== height || x !== width)
    throw new RangeError(
      `generate: the picture of control ${index} must be ${width}×${height} like the one drawn, got ${x}×${y}`,
    );
  return perItem(pixels, items, `pictures for control ${index}`);
}

/** A tensor with one row per item of one that has one row for all. @throws RangeError on another number of rows */
export function perItem(tensor: Tensor<"float32">, items: number, what: string): Tensor<"float32"> {
  const [count = 0, ...rest] = tensor.shape;
  if (count === items) return tensor;
  if (count !== 1) throw new RangeError(`generate: expected 1 or ${items} ${what}, got ${count}; they are paired one by one`);
  const data = new Float32Array(items * tensor.size);
  for (let i = 0; i < items; i++) data.set(tensor.data, i * tensor.size);
  return new Tensor("float32", data, [items, ...rest]);
}
