import type { HookedModel } from "../../hooks/index.js";
import {
  type Conditioner,
  classConditioner,
  clipConditioner,
  fluxConditioner,
  pixartConditioner,
  sd3Conditioner,
  sdxlConditioner,
  type TextEncoder,
  unconditioned,
} from "../conditioning/index.js";
import type { LatentSpace, StateLayout } from "../pipelines/index.js";
import { networkInputs } from "../pipelines/network-inputs.js";
import type { DiffusersFolder } from "./diffusers-folder.js";
import { countIn, flagIn, optionalCountIn, shown } from "./folder-files.js";
import { ModelFolderError } from "./model-folder-error.js";
import type { FamilyName, NetworkPart, TokenizerPart } from "./pipeline-classes.js";
import type { PromptTokenizer } from "./tokenizers/index.js";

/** The parts of a folder, opened. */
export interface OpenedParts {
  readonly folder: DiffusersFolder;
  readonly networks: Readonly<Partial<Record<NetworkPart, HookedModel>>> & { readonly network: HookedModel };
  readonly tokenizers: Readonly<Partial<Record<TokenizerPart, PromptTokenizer>>>;
  readonly space: LatentSpace;
}

/** What the pipelines of a family have in common. */
export interface Family {
  /** Latents per side of a token that the network takes laid out, where it does: its channels are so many squares more. */
  readonly packing?: number;
  conditioner(parts: OpenedParts): Conditioner;
  layout?(folder: DiffusersFolder): StateLayout;
  /** Whether a noised picture's steps are chosen among the levels below it, all of them, and none left out. */
  readonly strengthChoosesLevels?: boolean;
  /** How pixels are scaled, where that is not −1…1. */
  readonly pixels?: Pick<LatentSpace, "scale" | "shift">;
}

/** Default T5 lengths of PixArt, by family. */
const pixart = (maxLength: number): Family => ({
  conditioner: (parts) => pixartConditioner({ ...textEncoder(parts, 1), usesMask: true }, { maxLength }),
});

const stableDiffusion: Family = {
  conditioner: (parts) => clipConditioner(textEncoder(parts, 1), { guidanceWidth: guidanceWidth(parts) }),
};

/** Every family of pipelines. @see https://github.com/huggingface/diffusers, src/diffusers/pipelines */
export const families: Readonly<Record<FamilyName, Family>> = {
  "stable-diffusion": stableDiffusion,
  "latent-consistency": { ...stableDiffusion, strengthChoosesLevels: true },
  "latent-diffusion": { conditioner: (parts) => clipConditioner(textEncoder(parts, 1), { maxLength: 77 }) },
  "stable-diffusion-xl": {
    conditioner: (parts) =>
      sdxlConditioner([...(parts.networks.text_encoder ? [textEncoder(parts, 1)] : []), textEncoder(parts, 2)], {
        guidanceWidth: guidanceWidth(parts),
        zerosForEmptyPrompt: flagIn(parts.folder.index, "force_zeros_for_empty_prompt", true),
        aesthetic: flagIn(parts.folder.index, "requires_aesthetics_score", false),
      }),
  },
  "stable-diffusion-3": {
    conditioner: (parts) =>
      sd3Conditioner([textEncoder(parts, 1), textEncoder(parts, 2)], {
        width: countIn(parts.folder.networks.network.config, "joint_attention_dim", { most: 2 ** 16, otherwise: 4096 }),
        t5: parts.networks.text_encoder_3 && textEncoder(parts, 3),
      }),
    layout: ({ networks }) => ({
      patch: countIn(networks.network.config, "patch_size", { most: 64, otherwise: 2 }),
      packed: false,
      timestepScale: 1,
    }),
  },
  flux: {
    packing: 2,
    conditioner: (parts) =>
      fluxConditioner({
        clip: textEncoder(parts, 1),
        t5: textEncoder(parts, 2),
        guided: flagIn(parts.folder.networks.network.config, "guidance_embeds", takes(parts, "guidance")),
        tokenSize: 2 * parts.space.factor,
      }),
    layout: () => ({
      patch: 2,
      packed: true,
      timestepScale: 1 / 1000,
      levels: (steps) => Array.from({ length: steps }, (_, i) => (steps === 1 ? 1 : 1 + ((1 / steps - 1) * i) / (steps - 1))),
    }),
  },
  "pixart-alpha": pixart(120),
  "pixart-sigma": pixart(300),
  dit: {
    conditioner: ({ folder }) => {
      const classes = countIn(folder.networks.network.config, "num_embeds_ada_norm", { otherwise: 1000 });
      return classConditioner({ classes, labels: labelsOf(folder), nullClass: classes });
    },
  },
  unconditional: { conditioner: unconditional },
  // Its pictures are in 0…1, which are latents (x + 1)/2 of pixels x in −1…1.
  "score-sde": { conditioner: unconditional, pixels: { scale: 0.5, shift: -1 } },
};

/** Told nothing, or a class where the network takes one. */
function unconditional(parts: OpenedParts): Conditioner {
  if (!takes(parts, "class_labels")) return unconditioned;
  const { config } = parts.folder.networks.network;
  return classConditioner({ classes: countIn(config, "num_class_embeds"), labels: labelsOf(parts.folder) });
}

function takes({ networks }: OpenedParts, input: string): boolean {
  return networkInputs(networks.network.inputs).conditions.has(input);
}

function guidanceWidth({ folder }: OpenedParts): number | undefined {
  return optionalCountIn(folder.networks.network.config, "time_cond_proj_dim", { least: 4, most: 2 ** 16 });
}

/** A text encoder with its tokenizer. @throws ModelFolderError if one of the two is there without the other */
function textEncoder({ folder, networks, tokenizers }: OpenedParts, number: 1 | 2 | 3): TextEncoder {
  const suffix = number === 1 ? "" : (`_${number}` as const);
  const network = networks[`text_encoder${suffix}`];
  const tokenizer = tokenizers[`tokenizer${suffix}`];
  if (network === undefined || tokenizer === undefined) {
    const [there, missing] = network ? ["text_encoder", "tokenizer"] : ["tokenizer", "text_encoder"];
    throw new ModelFolderError(folder.path, `${missing}${suffix} beside ${there}${suffix}`, "nothing");
  }
  const { config } = folder.networks[`text_encoder${suffix}`]!;
  return { network, tokenizer, usesMask: flagIn(config, "use_attention_mask", false) };
}

/** Numbers of classes by every name that `id2label` gives them. */
function labelsOf({ index, networks }: DiffusersFolder): Map<string, number> {
  const file = index.values.id2label == null ? networks.network.config : index;
  const table = file.values.id2label ?? {};
  const entries = typeof table === "object" ? Object.entries(table) : [];
  if (typeof table !== "object" || entries.some(([id, label]) => !/^\d{1,9}$/.test(id) || typeof label !== "string")) {
    throw new ModelFolderError(file.file, 'names of classes by number in "id2label"', shown(table));
  }
  return new Map(
    entries.flatMap(([id, label]) => (label as string).split(",").map((name): [string, number] => [name.trim(), Number(id)])),
  );
}
