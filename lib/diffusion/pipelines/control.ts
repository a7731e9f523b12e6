import type { HookedModel } from "../../hooks/index.js";
import { float32, type Picture, Tensor, tensorDigest, toFloat32 } from "../../tensor/index.js";
import { asInput, timestepInput } from "../batches.js";
import type { ModelCall } from "./generation.js";
import { type NetworkInputs, networkInputs } from "./network-inputs.js";
import { pixelsFromPictures } from "./pixels.js";

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
}

/** What a manifest keeps of a control. */
export interface ControlRecord {
  /** SHA-256 of the picture's pixels. */
  readonly image: string;
  readonly scale: number;
  readonly start: number;
  readonly end: number;
}

/** One run of the denoising network over some rows, [branch × item, …]. */
export interface ControlledCall {
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
      readonly own: readonly HookedModel[];
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
      const { image, scale = 1, start = 0, end = 1, network = options.own[i] } = control;
      if (!(start >= 0 && start <= end && end <= 1 && Number.isFinite(scale)))
        throw new RangeError(
          `generate: control ${i} wants 0 ≤ start ≤ end ≤ 1 and a finite scale, got ${start}, ${end}, ${scale}`,
        );
      if (network === undefined && !within)
        throw new RangeError(
          `generate: control ${i} has no ControlNet; the pipeline has ${options.own.length}, give \`network\``,
        );
      const inputs = network && networkInputs(network.inputs);
      return { network, inputs, pixels: controlPixels(image, i, options), scale, start, end };
    });
  }

  /** For the manifest. */
  get records(): readonly ControlRecord[] {
    return this.#placed.map(({ pixels, scale, start, end }) => ({ image: tensorDigest(pixels), scale, start, end }));
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
  async #residuals({ network, inputs, pixels, scale }: Placed, run: ControlledCall): Promise<Tensor<"float32">[]> {
    const { sample, timestep, conditions } = inputs!;
    const rows = run.input.shape[0]!;
    const feeds: Record<string, Tensor> = {
      [sample.name]: asInput(run.input, sample),
      [timestep.name]: timestepInput(run.call.timestep, timestep, rows),
    };
    for (const [name, info] of conditions) {
      const value =
        name === "controlnet_cond"
          ? run.perItem(pixels)
          : name === "conditioning_scale"
            ? float32([1], info.shape?.length === 0 ? [] : [1])
            : run.condition(name);
      if (value === undefined) throw new TypeError(`the ControlNet's input ${info.name} is not given by this pipeline`);
      feeds[info.name] = asInput(value, info);
    }
    const { outputs } = await network!.run(feeds, this.#signal ? { signal: this.#signal } : {});
    return network!.outputs.map(({ name }) => {
      const { data, shape } = toFloat32(outputs[name]!);
      return new Tensor("float32", scale === 1 ? data : data.map((v) => v * scale), shape);
    });
  }
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
