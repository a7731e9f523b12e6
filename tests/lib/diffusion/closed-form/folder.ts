import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Model, type SaveModelOptions, saveModel } from "../../../../lib/onnx/index.js";

/** A network of a folder with its configuration. */
export interface WrittenNetwork {
  readonly model: Model;
  readonly config?: object;
  /** Default `model.onnx`. */
  readonly file?: string;
  readonly save?: SaveModelOptions;
}

export interface WrittenFolder {
  readonly index: { readonly _class_name: string; readonly [key: string]: unknown };
  readonly networks: Readonly<Record<string, WrittenNetwork>>;
  /** What each tokenizer folder is copied from. OpenCLIP's is CLIP's but pads with "!", whose id is 0. */
  readonly tokenizers?: Readonly<Record<string, "clip" | "open-clip" | "t5" | "bert">>;
  readonly scheduler: object;
}

const golden = new URL("../../../golden/", import.meta.url);
const clip = new URL("clip-tokenizer/", golden);
const sources = {
  clip,
  "open-clip": clip,
  t5: new URL("pipelines/t5-tokenizer/", golden),
  bert: new URL("pipelines/bert-tokenizer/", golden),
};

/** Writes a pipeline folder as exporters lay it out. */
export async function writeFolder(folder: string, { index, networks, tokenizers = {}, scheduler }: WrittenFolder): Promise<void> {
  await mkdir(join(folder, "scheduler"), { recursive: true });
  await writeJson(join(folder, "model_index.json"), index);
  await writeJson(join(folder, "scheduler", "scheduler_config.json"), scheduler);
  for (const [part, { model, config, file = "model.onnx", save }] of Object.entries(networks)) {
    const path = join(folder, part, file);
    await mkdir(dirname(path), { recursive: true });
    await saveModel(model, path, save);
    if (config) await writeJson(join(folder, part, "config.json"), config);
  }
  for (const [part, kind] of Object.entries(tokenizers)) {
    await cp(fileURLToPath(sources[kind]), join(folder, part), { recursive: true });
    if (kind !== "open-clip") continue;
    for (const [file, more] of [
      ["vocab.json", { "!": 0 }],
      ["tokenizer_config.json", { pad_token: "!" }],
    ] as const) {
      const path = join(folder, part, file);
      await writeJson(path, { ...(JSON.parse(await readFile(path, "utf8")) as object), ...more });
    }
  }
}

export async function writeJson(path: string, value: object): Promise<void> {
  await writeFile(path, JSON.stringify(value));
}
