import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { float32, readSafetensors, type Tensor, toFloat32, writeFileAtomic, writeSafetensors } from "../tensor/index.js";
import type { SaeConfig, SaeWeights } from "./variant.js";
import { variantOf } from "./variants/index.js";

/** A folder that does not hold an SAE, or one whose settings this library does not run. */
export class SaeFormatError extends TypeError {
  override readonly name: string = "SaeFormatError";
}

type Settings = Readonly<Record<string, unknown>>;
type Tensors = Readonly<Record<string, Tensor>>;

const files = { settings: "cfg.json", saelens: "sae_weights.safetensors", sparsify: "sae.safetensors" };

/** Writes an SAE as a folder: `sae_weights.safetensors`, then `cfg.json`. */
export async function writeSaeFolder(
  folder: string,
  { config, weights, manifest }: { readonly config: SaeConfig; readonly weights: SaeWeights; readonly manifest?: unknown },
): Promise<void> {
  const { variant, width, features, k, scale } = config;
  const { W_enc, ...rest } = weights;
  await mkdir(folder, { recursive: true });
  await writeSafetensors(join(folder, files.saelens), { ...rest, W_enc: transposed(W_enc) });
  const settings = {
    architecture: variantOf(variant).architecture,
    d_in: width,
    d_sae: features,
    ...(k === undefined ? {} : { k }),
    dtype: "float32",
    device: "cpu",
    apply_b_dec_to_input: true,
    normalize_activations: "none",
    reshape_activations: "none",
    rescale_acts_by_decoder_norm: false,
    metadata: {},
    tweedie: { variant, scale, ...(manifest === undefined ? {} : { manifest }) },
  };
  await writeFileAtomic(join(folder, files.settings), [new TextEncoder().encode(`${JSON.stringify(settings, null, 2)}\n`)]);
}

/** Reads a folder written by `writeSaeFolder`, SAELens (architectures standard, topk, jumprelu) or sparsify. */
export async function readSaeFolder(
  folder: string,
): Promise<{ readonly config: SaeConfig; readonly weights: SaeWeights; readonly manifest?: unknown }> {
  const path = join(folder, files.settings);
  if (!existsSync(path)) throw new SaeFormatError(`loadSae: ${path} does not exist; pass the folder that holds it`);
  const settings = JSON.parse(await readFile(path, "utf8")) as Settings;
  const kind = existsSync(join(folder, files.saelens)) ? "saelens" : "sparsify";
  const weightsPath = join(folder, files[kind]);
  if (!existsSync(weightsPath))
    throw new SaeFormatError(`loadSae: ${folder} has neither ${files.saelens} nor ${files.sparsify}; weights are missing`);
  const { tensors } = readSafetensors(weightsPath);
  const { weights, ...rest } =
    kind === "saelens" ? fromSaelens(settings, tensors, folder) : fromSparsify(settings, tensors, folder);
  const [features, width] = weights.W_dec.shape as [number, number];
  const { manifest } = (settings.tweedie ?? {}) as { manifest?: unknown };
  return { config: { ...rest, width, features }, weights, ...(manifest === undefined ? {} : { manifest }) };
}

type Loaded = Omit<SaeConfig, "width" | "features"> & { readonly weights: SaeWeights };

function fromSaelens(settings: Settings, tensors: Tensors, folder: string): Loaded {
  const refuse = (key: string, supported: string): never => {
    throw new SaeFormatError(`loadSae: ${folder} has ${key} ${JSON.stringify(settings[key])}; supported: ${supported}`);
  };
  if ((settings.normalize_activations ?? "none") !== "none")
    refuse("normalize_activations", '"none" (fold the scaling factor into the weights before saving)');
  if ((settings.reshape_activations ?? "none") !== "none") refuse("reshape_activations", '"none"');
  const own = (settings.tweedie ?? {}) as { variant?: string; scale?: number };
  // Before version 6, TopK was an activation function of the standard architecture.
  const activation = settings.activation_fn_str ?? settings.activation_fn ?? "relu";
  const architecture = activation === "topk" ? "topk" : (settings.architecture ?? "standard");
  const variant = own.variant ?? { topk: "topk", standard: "relu", jumprelu: "batch-topk" }[architecture as string];
  if (variant === undefined) return refuse("architecture", "topk, standard, jumprelu");
  const k = settings.k ?? (settings.activation_fn_kwargs as Settings | undefined)?.k;

  const tensor = (name: string): Tensor<"float32"> => float32Of(tensors, name, folder);
  let weights: SaeWeights = {
    W_enc: transposed(tensor("W_enc")),
    b_enc: tensor("b_enc"),
    W_dec: tensor("W_dec"),
    b_dec: tensor("b_dec"),
    ...(architecture === "jumprelu" ? { threshold: tensor("threshold") } : {}),
  };
  if (settings.rescale_acts_by_decoder_norm === true) weights = withUnitDecoder(weights);
  if (settings.apply_b_dec_to_input === false) weights = withCentredInput(weights);
  return { variant, scale: own.scale ?? 1, weights, ...(typeof k === "number" ? { k } : {}) };
}

function fromSparsify(settings: Settings, tensors: Tensors, folder: string): Loaded {
  for (const key of ["transcode", "skip_connection"])
    if (settings[key] === true) throw new SaeFormatError(`loadSae: ${folder} has ${key}; only autoencoders are supported`);
  if ((settings.activation ?? "topk") !== "topk")
    throw new SaeFormatError(`loadSae: ${folder} has activation ${JSON.stringify(settings.activation)}; supported: "topk"`);
  const tensor = (name: string): Tensor<"float32"> => float32Of(tensors, name, folder);
  const weights = {
    W_enc: tensor("encoder.weight"),
    b_enc: tensor("encoder.bias"),
    W_dec: tensor("W_dec"),
    b_dec: tensor("b_dec"),
  };
  return { variant: "topk", k: Number(settings.k), scale: 1, weights };
}

function float32Of(tensors: Tensors, name: string, folder: string): Tensor<"float32"> {
  const tensor = tensors[name];
  if (tensor === undefined)
    throw new SaeFormatError(`loadSae: ${folder} has no weight "${name}", only ${Object.keys(tensors).join(", ")}`);
  return toFloat32(tensor);
}

function transposed({ data, shape }: Tensor<"float32">): Tensor<"float32"> {
  const [rows, columns] = shape as [number, number];
  const out = new Float32Array(data.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = data[i * columns + j]!;
  return float32(out, [columns, rows]);
}

/** Codes times the decoder's norms over a decoder of unit rows: what SAELens calls rescaling by the decoder norm. */
function withUnitDecoder({ W_enc, b_enc, W_dec, ...rest }: SaeWeights): SaeWeights {
  const d = W_dec.shape[1]!;
  const norms = Float32Array.from(b_enc.data, (_, f) => Math.hypot(...W_dec.data.subarray(f * d, (f + 1) * d)));
  return {
    ...rest,
    W_enc: float32(
      W_enc.data.map((x, i) => x * norms[Math.floor(i / d)]!),
      W_enc.shape,
    ),
    b_enc: float32(b_enc.data.map((x, f) => x * norms[f]!)),
    W_dec: float32(
      W_dec.data.map((x, i) => x / norms[Math.floor(i / d)]!),
      W_dec.shape,
    ),
  };
}

/** An encoder that sees x itself as one that sees x − b_dec: b_enc + W_enc·b_dec makes up for it. */
function withCentredInput(weights: SaeWeights): SaeWeights {
  const { W_enc, b_enc, b_dec } = weights;
  const d = b_dec.size;
  const shifted = b_enc.data.map((x, f) =>
    W_enc.data.subarray(f * d, (f + 1) * d).reduce((sum, w, i) => sum + w * b_dec.data[i]!, x),
  );
  return { ...weights, b_enc: float32(shifted) };
}
