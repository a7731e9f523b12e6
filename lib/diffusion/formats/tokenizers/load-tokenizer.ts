import { join } from "node:path";
import { ModelFolderError } from "../model-folder-error.js";
import { Tokenizer } from "./clip-tokenizer.js";
import { JsonTokenizer } from "./json-tokenizer.js";
import type { PromptTokenizer } from "./prompt-tokenizer.js";
import { tokenizerJsonOfSentencePiece } from "./sentencepiece.js";
import { parseMerges, parseObject, parseVocab, readInside, required, tokenText } from "./tokenizer-files.js";
import { tokenizerJsonOfWordPieces, type WordPieceSettings } from "./word-pieces.js";

type Json = Readonly<Record<string, unknown>>;

// T5's and BERT's, where a folder says nothing or, as Transformers does for "no limit", 10³⁰.
const defaultMaxLength = 512;

/**
 * Reads a tokenizer folder: CLIP's `vocab.json` and `merges.txt`, a `tokenizer.json`, T5's `spiece.model` or BERT's `vocab.txt`, each with
 * `tokenizer_config.json` and, where present, `special_tokens_map.json`.
 * @throws TypeError (mostly ModelFolderError) if a file is missing, malformed, a link that leads out of the folder, or describes what
 * is not known here
 */
export async function loadTokenizer(folder: string): Promise<PromptTokenizer> {
  const names = [
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "spiece.model",
    "vocab.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
  ];
  const [vocab, merges, tokenizer, spiece, words, config, special] = await Promise.all(
    names.map((name) => readInside(folder, name)),
  );
  const settings = new Settings(
    folder,
    json(config, folder, "tokenizer_config.json"),
    json(special, folder, "special_tokens_map.json"),
  );
  const hasClipFiles = vocab !== undefined && merges !== undefined && settings.isClip;
  if (tokenizer !== undefined && !hasClipFiles) {
    return fromTokenizerJson(parseObject(tokenizer.toString("utf8"), join(folder, "tokenizer.json")), settings);
  }
  if (spiece !== undefined && !hasClipFiles) {
    const file = join(folder, "spiece.model");
    return jsonTokenizer(tokenizerJsonOfSentencePiece(spiece, file), settings, file);
  }
  if (words !== undefined && !hasClipFiles) {
    const file = join(folder, "vocab.txt");
    return jsonTokenizer(tokenizerJsonOfWordPieces(words.toString("utf8"), settings.wordPieces, file), settings, file);
  }
  const pieces = parseVocab(parseObject(required(vocab, folder, "vocab.json"), `${folder}/vocab.json`), `${folder}/vocab.json`);
  const pairs = parseMerges(required(merges, folder, "merges.txt"), folder);
  required(config, folder, "tokenizer_config.json");
  if (!settings.isClip) {
    throw new TypeError(
      `loadTokenizer: expected a CLIPTokenizer, got ${JSON.stringify(settings.kind)} (${folder}); others are read from tokenizer.json`,
    );
  }
  return clipTokenizer(pieces, pairs, settings);
}

/** What the small files of a tokenizer folder say. */
class Settings {
  readonly folder: string;
  readonly #config: Json;
  readonly #special: Json;

  constructor(folder: string, config: Json, special: Json) {
    this.folder = folder;
    this.#config = config;
    this.#special = special;
  }

  get kind(): unknown {
    return this.#config.tokenizer_class;
  }

  get isClip(): boolean {
    return this.kind === undefined || this.kind === "CLIPTokenizer" || this.kind === "CLIPTokenizerFast";
  }

  get padsLeft(): boolean {
    return this.#config.padding_side === "left";
  }

  token(name: string): string | undefined {
    return tokenText(this.#special[name] ?? this.#config[name]);
  }

  /** BERT's settings, with the defaults of its class. */
  get wordPieces(): WordPieceSettings {
    const flag = (name: string, otherwise: boolean): boolean => {
      const value = this.#config[name] ?? otherwise;
      if (typeof value === "boolean") return value;
      throw new ModelFolderError(join(this.folder, "tokenizer_config.json"), `true or false as "${name}"`, JSON.stringify(value));
    };
    const lowers = flag("do_lower_case", true);
    return {
      do_lower_case: lowers,
      tokenize_chinese_chars: flag("tokenize_chinese_chars", true),
      strip_accents: flag("strip_accents", lowers),
      unk_token: this.token("unk_token") ?? "[UNK]",
      cls_token: this.token("cls_token") ?? "[CLS]",
      sep_token: this.token("sep_token") ?? "[SEP]",
      pad_token: this.token("pad_token") ?? "[PAD]",
      mask_token: this.token("mask_token") ?? "[MASK]",
    };
  }

  maxLength(otherwise: number, unlimited?: number): number {
    const length = this.#config.model_max_length ?? otherwise;
    if (unlimited !== undefined && typeof length === "number" && length > 65_536) return unlimited;
    if (typeof length !== "number" || !Number.isSafeInteger(length) || length < 2 || length > 65_536) {
      throw new TypeError(
        `loadTokenizer: model_max_length is a whole number 2…65536, got ${JSON.stringify(length)} (${this.folder})`,
      );
    }
    return length;
  }
}

function json(file: Buffer | undefined, folder: string, name: string): Json {
  return file === undefined ? {} : parseObject(file.toString("utf8"), `${folder}/${name}`);
}

function clipTokenizer(
  vocab: Readonly<Record<string, number>>,
  merges: readonly (readonly [string, string])[],
  settings: Settings,
): Tokenizer {
  const endToken = settings.token("eos_token") ?? "<|endoftext|>";
  return new Tokenizer({
    vocab,
    merges,
    startToken: settings.token("bos_token") ?? "<|startoftext|>",
    endToken,
    padToken: settings.token("pad_token") ?? endToken,
    maxLength: settings.maxLength(77),
  });
}

/** CLIP's byte pairs are told by the mark at a word's end and read as from its own files. */
function fromTokenizerJson(tokenizer: Json, settings: Settings): PromptTokenizer {
  const file = join(settings.folder, "tokenizer.json");
  const model = (tokenizer.model ?? {}) as Json;
  if (model.type !== "BPE" || model.end_of_word_suffix !== "</w>") return jsonTokenizer(tokenizer, settings, file);
  const merges: unknown = model.merges;
  const pairs = Array.isArray(merges) ? merges.map((m: unknown) => (typeof m === "string" ? m.split(" ") : m)) : undefined;
  const isPair = (m: unknown): m is [string, string] =>
    Array.isArray(m) && m.length === 2 && m.every((p) => typeof p === "string");
  if (pairs === undefined || !pairs.every(isPair)) {
    throw new ModelFolderError(
      file,
      "merges of two pieces",
      JSON.stringify(pairs?.find((m) => !isPair(m)) ?? merges) ?? "nothing",
    );
  }
  return clipTokenizer(parseVocab(model.vocab, file), pairs, settings);
}

function jsonTokenizer(tokenizer: Json, settings: Settings, file: string): JsonTokenizer {
  if (settings.padsLeft) {
    throw new ModelFolderError(join(settings.folder, "tokenizer_config.json"), "padding on the right", 'padding_side "left"');
  }
  const padding = (tokenizer.padding ?? {}) as Json;
  return new JsonTokenizer({
    tokenizer,
    padToken: settings.token("pad_token") ?? tokenText(padding.pad_token) ?? "<pad>",
    maxLength: settings.maxLength(defaultMaxLength, defaultMaxLength),
    file,
  });
}
