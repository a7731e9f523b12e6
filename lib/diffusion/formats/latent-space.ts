import type { ValueInfo } from "../../onnx/index.js";
import type { LatentSpace } from "../pipelines/index.js";
import type { DiffusersFolder } from "./diffusers-folder.js";
import type { Family } from "./families.js";
import { countIn, type JsonFile, lengthIn, numberIn, optionalCountIn, optionalNumbersIn, shown } from "./folder-files.js";
import { ModelFolderError } from "./model-folder-error.js";

/** More numbers than this no state has; it would not fit memory many times over. */
const maxStateNumbers = 2 ** 26;

/** The state of a folder's network. */
export interface StateSpace {
  readonly space: LatentSpace;
  /** Channels that the network takes [row, channel, y, x]: more than the latents' where it sees a picture, or a mask and a picture, besides. */
  readonly networkChannels: number;
}

/**
 * The latents of a folder, or its pixels where it has no decoder. What a configuration does not say is told by the
 * network's input, else it is as in Stable Diffusion 1.
 * @throws ModelFolderError if the parts do not fit each other
 */
export function latentSpaceOf(folder: DiffusersFolder, sample: ValueInfo, family: Family): StateSpace {
  const { network, vae_decoder: decoder } = folder.networks;
  const isImage = sample.shape?.length === 4;
  const declared = (axis: number): number | undefined => {
    const length = isImage ? sample.shape?.[axis] : undefined;
    return typeof length === "number" && length > 0 ? length : undefined;
  };
  const packing = (family.packing ?? 1) ** 2;
  const fallback = decoder === undefined ? undefined : 4 * packing;
  const inputs = countIn(network.config, "in_channels", { most: 2 ** 14, otherwise: declared(1) ?? fallback });
  const channels =
    (decoder && optionalCountIn(decoder.config, "latent_channels")) ??
    (decoder ? withoutBeside(inputs, packing, folder) : inputs);
  const fits = folder.kind.edits ? [2 * channels] : [channels * packing, ...(folder.kind.inpaints ? [2 * channels + 1] : [])];
  if (!fits.includes(inputs)) {
    throw new ModelFolderError(
      network.config.file,
      `in_channels ${fits.join(" or ")}, for ${channels} latent_channels of the VAE`,
      String(inputs),
    );
  }
  if (isImage && declared(1) !== undefined && declared(1) !== inputs) {
    throw new ModelFolderError(
      network.model,
      `input ${sample.name} with ${inputs} channels, the configuration's in_channels`,
      shown(sample.shape),
    );
  }
  const size = declared(2) ?? sampleSize(folder, decoder === undefined ? undefined : family.packing ? 128 : 64);
  if (channels * size * size > maxStateNumbers) {
    throw new ModelFolderError(
      network.config.file,
      `a state of at most ${maxStateNumbers} numbers`,
      `${channels}×${size}×${size}`,
    );
  }
  const networkChannels = inputs / packing;
  if (decoder === undefined) {
    return { space: { channels, size, factor: 1, scale: 1, shift: 0, ...family.pixels }, networkChannels };
  }
  const { config } = decoder;
  const factor = 2 ** (lengthIn(config, "block_out_channels", { most: 12, otherwise: 4 }) - 1);
  return { space: { channels, size, factor, ...scalesOf(config, channels) }, networkChannels };
}

/** Latent channels of a VAE that does not tell them: an editing network sees a picture besides, an inpainting one a mask too. */
function withoutBeside(inputs: number, packing: number, { kind }: DiffusersFolder): number {
  if (kind.edits) return Math.ceil(inputs / 2);
  return kind.inpaints && inputs % 2 === 1 && inputs > 1 ? (inputs - 1) / 2 : inputs / packing;
}

/** Height and width that the network was made for, a number or a list of two equal ones. */
function sampleSize({ networks }: DiffusersFolder, otherwise: number | undefined): number {
  const { config } = networks.network;
  const { sample_size: size } = config.values;
  const isSquare = Array.isArray(size) && size.length === 2 && size[0] === size[1];
  const values = isSquare ? { ...config.values, sample_size: size[0] as unknown } : config.values;
  return countIn({ ...config, values }, "sample_size", { most: 2 ** 13, otherwise });
}

/** How latents are scaled; Diffusers' default is for configurations older than the field. */
function scalesOf(config: JsonFile, channels: number): Pick<LatentSpace, "scale" | "shift"> {
  const scale = numberIn(config, "scaling_factor", 0.18215);
  if (scale === 0) throw new ModelFolderError(config.file, 'a number "scaling_factor" other than 0', "0");
  const mean = optionalNumbersIn(config, "latents_mean", channels);
  const deviation = optionalNumbersIn(config, "latents_std", channels);
  if (mean === undefined || deviation === undefined) return { scale, shift: numberIn(config, "shift_factor", 0) };
  if (deviation.includes(0)) throw new ModelFolderError(config.file, 'numbers "latents_std" other than 0', shown(deviation));
  return { scale: deviation.map((d) => scale / d), shift: mean };
}
