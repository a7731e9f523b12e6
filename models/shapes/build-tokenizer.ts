// Writes models/shapes/tokenizer, a CLIP tokenizer folder in which every word of the caption grammar is one token:
//   npx tsx models/shapes/build-tokenizer.ts [folder]
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { trainBpe } from "./bpe.js";
import { grammarWords } from "./caption.js";

/** Tokens in a caption, start and end included. */
export const maxTokens = 24;

const startToken = "<|startoftext|>";
const endToken = "<|endoftext|>";

/** The files of the tokenizer folder, by name. */
export function tokenizerFiles(): Record<string, string> {
  const { vocab, merges } = trainBpe(grammarWords);
  const special = (content: string): object => ({ content, lstrip: false, normalized: true, rstrip: false, single_word: false });
  const tokens = {
    bos_token: special(startToken),
    eos_token: special(endToken),
    pad_token: endToken,
    unk_token: special(endToken),
  };
  const typed = (token: object): object => ({ __type: "AddedToken", ...token });
  const config = {
    add_prefix_space: false,
    bos_token: typed(tokens.bos_token),
    clean_up_tokenization_spaces: true,
    do_lower_case: true,
    eos_token: typed(tokens.eos_token),
    errors: "replace",
    model_max_length: maxTokens,
    pad_token: endToken,
    tokenizer_class: "CLIPTokenizer",
    unk_token: typed(tokens.unk_token),
  };
  return {
    "vocab.json": JSON.stringify(vocab),
    "merges.txt": `${["#version: 0.2", ...merges.map((pair) => pair.join(" "))].join("\n")}\n`,
    "tokenizer_config.json": `${JSON.stringify(config, null, 2)}\n`,
    "special_tokens_map.json": `${JSON.stringify(tokens, null, 2)}\n`,
  };
}

/** Writes the tokenizer folder; each file appears whole or not at all. */
export async function writeTokenizer(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries(tokenizerFiles())) {
    const path = join(folder, name);
    await writeFile(`${path}.tmp`, text);
    await rename(`${path}.tmp`, path);
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await writeTokenizer(process.argv[2] ?? fileURLToPath(new URL("tokenizer", import.meta.url)));
}
