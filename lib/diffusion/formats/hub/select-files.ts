import { posix } from "node:path";
import { HubError } from "./hub-error.js";

/** The file of the repository for each path in the folder that `load` is given. */
export type Selection = ReadonlyMap<string, string>;

// Hidden files; PyTorch's weights have indices in JSON; the safety checker is a network that no pipeline here runs.
const unneeded = /(^|\/)\.[^./]|\.index\.json$|^safety_checker\//;
const description = /(\.json|(^|\/)(merges\.txt|vocab\.txt|spiece\.model|tokenizer\.model))$/;
const knownVariants = ["fp32", "fp16", "bf16", "int8", "uint8", "int4", "uint4", "q8", "q4", "q4f16", "bnb4", "quantized"];

/**
 * What a pipeline or a single network needs of a repository, but for external data of its networks: configurations,
 * tokenizers, and of each network one variant, under the plain one's name: `unet/model_fp16.onnx` becomes
 * `unet/model.onnx`. PyTorch's weights are left where they are.
 * @param variant which variant is taken where a network has it; default the plain one, or the only one
 * @throws HubError if there is no network, or none of that variant
 */
export function selectFiles(model: string, paths: Iterable<string>, variant?: string): Selection {
  const selection = new Map<string, string>();
  const networks = new Map<string, Map<string | undefined, string>>();
  const others = new Set<string>();
  for (const path of paths) {
    if (path.endsWith(".onnx") && !unneeded.test(path)) {
      const { target, suffix } = variantOf(path, variant);
      networks.set(target, (networks.get(target) ?? new Map()).set(suffix, path));
    } else if (description.test(path) && !unneeded.test(path)) selection.set(path, path);
    else others.add(posix.extname(path));
  }
  if (networks.size === 0) {
    const weights = [".safetensors", ".bin"].filter((extension) => others.has(extension));
    const found = weights.length > 0 ? `only PyTorch's (${weights.join(", ")})` : "none";
    const fix = `export it with "optimum-cli export onnx --model ${model} folder" and load the folder`;
    throw new HubError("no-model", model, `expected networks in ONNX format, found ${found}; ${fix}`);
  }
  if (variant !== undefined && ![...networks.values()].some((variants) => variants.has(variant))) {
    const all = new Set([...networks.values()].flatMap((variants) => [...variants.keys()]));
    throw new HubError("no-model", model, `has no variant "${variant}"; it has ${named(all)}`);
  }
  for (const [target, variants] of networks) {
    const [only] = variants.size === 1 ? variants.values() : [];
    const chosen = variants.get(variant) ?? variants.get(undefined) ?? only;
    if (chosen === undefined) {
      throw new HubError("no-model", model, `has several variants of ${target}, pass one of ${named(variants.keys())}`);
    }
    selection.set(target, chosen);
  }
  return selection;
}

/** "unet/model_fp16.onnx" → "unet/model.onnx" and "fp16". */
function variantOf(path: string, asked: string | undefined): { target: string; suffix: string | undefined } {
  const suffix = [...knownVariants, ...(asked === undefined ? [] : [asked])].find((name) =>
    ["_", ".", "-"].some((separator) => path.endsWith(`${separator}${name}.onnx`)),
  );
  return { target: suffix === undefined ? path : `${path.slice(0, -`_${suffix}.onnx`.length)}.onnx`, suffix };
}

function named(variants: Iterable<string | undefined>): string {
  return [...variants].map((name) => (name === undefined ? "the plain one" : `"${name}"`)).join(", ");
}

/**
 * The files that a network's external data is in, of those the repository has.
 * @throws HubError if one is missing
 */
export function selectExternalData(
  model: string,
  network: string,
  locations: Iterable<string>,
  has: (path: string) => boolean,
): string[] {
  return [...new Set(locations)].map((location) => {
    const path = posix.join(posix.dirname(network), location);
    if (!has(path))
      throw new HubError("no-model", model, `${network} refers to ${JSON.stringify(location)}, which the repository lacks`);
    return path;
  });
}

/**
 * Refuses paths of which one would take another's place: some systems do not tell names apart by case, and a file cannot
 * be a folder too.
 * @throws HubError
 */
export function expectDistinct(model: string, targets: Iterable<string>): void {
  const paths = [...targets];
  const taken = new Map<string, string>();
  for (const path of paths) {
    const other = taken.get(path.toLowerCase());
    if (other !== undefined)
      throw new HubError("unsafe-path", model, `lists ${other} and ${path}, which some systems hold for one`);
    taken.set(path.toLowerCase(), path);
  }
  for (const path of paths) {
    for (let folder = posix.dirname(path.toLowerCase()); folder !== "."; folder = posix.dirname(folder)) {
      if (taken.has(folder)) throw new HubError("unsafe-path", model, `lists ${folder} as a file and as a folder`);
    }
  }
}
