import { WireReader } from "../../../onnx/codec/wire-reader.js";
import { ModelFormatError } from "../../../onnx/index.js";
import { ModelFolderError } from "../model-folder-error.js";
import { addedToken } from "./added-token.js";

// Fields and values of sentencepiece_model.proto.
const modelField = { pieces: 1, trainer: 2, normalizer: 3 } as const;
const pieceField = { piece: 1, score: 2, type: 3 } as const;
const trainerField = { modelType: 3, unkId: 40, eosId: 42 } as const;
const normalizerField = { name: 1, addDummyPrefix: 3, removeExtraWhitespaces: 4 } as const;
const normalPiece = 1;
const pieceTypes = ["", "normal", "unknown", "control", "user-defined", "unused", "byte"];
const modelTypes = ["", "Unigram", "BPE", "word", "character"];

interface Piece {
  readonly piece: string;
  readonly score: number;
  readonly type: number;
}

/**
 * The contents of `spiece.model`, which T5's older tokenizer folders have alone, written as a `tokenizer.json`.
 * @throws ModelFolderError if it is no Unigram model with T5's normalization
 * @see Kudo & Richardson 2018, arXiv:1808.06226
 */
export function tokenizerJsonOfSentencePiece(bytes: Buffer, file: string): Record<string, unknown> {
  const refuse = (expected: string, found: string): never => {
    throw new ModelFolderError(file, expected, found);
  };
  const pieces: Piece[] = [];
  let trainer: Record<number, number | string> = {};
  let normalizer: Record<number, number | string> = {};
  try {
    const r = new WireReader(bytes, file);
    while (r.next()) {
      if (r.field === modelField.pieces) pieces.push(readPiece(r.message()));
      else if (r.field === modelField.trainer) trainer = readFields(r.message(), trainerField);
      else if (r.field === modelField.normalizer) normalizer = readFields(r.message(), normalizerField);
      else r.unknown();
    }
  } catch (error) {
    if (error instanceof ModelFormatError) return refuse("a SentencePiece model", `damaged bytes (${error.message})`);
    throw error;
  }
  // Defaults are the format's.
  const { [trainerField.modelType]: modelType = 1, [trainerField.unkId]: unkId = 0, [trainerField.eosId]: eosId = 2 } = trainer;
  const { [normalizerField.name]: rule = "" } = normalizer;
  const odd = pieces.find(({ type }) => type > 4);
  const end = pieces[eosId as number]?.piece;
  if (modelType !== 1) return refuse("a Unigram model", `a ${modelTypes[modelType as number]} model`);
  if (odd) return refuse("pieces of text", `the ${pieceTypes[odd.type] ?? "strange"} piece ${JSON.stringify(odd.piece)}`);
  if (end === undefined) return refuse("an end token", `number ${eosId} of ${pieces.length} pieces`);
  if (rule !== "nmt_nfkc" && rule !== "identity") return refuse("the normalization nmt_nfkc or identity", JSON.stringify(rule));
  const squeezed = normalizer[normalizerField.removeExtraWhitespaces] !== 0;
  return {
    added_tokens: pieces.flatMap(({ piece, type }, id) => (type === normalPiece ? [] : addedToken(id, piece, type !== 4))),
    normalizer: {
      type: "Sequence",
      normalizers: [
        ...(rule === "nmt_nfkc" ? [{ type: "Precompiled", precompiled_charsmap: "" }] : []),
        ...(squeezed ? [{ type: "Replace", pattern: { Regex: " {2,}" }, content: " " }] : []),
        ...(squeezed ? [{ type: "Strip", strip_left: true, strip_right: true }] : []),
      ],
    },
    pre_tokenizer: {
      type: "Metaspace",
      replacement: "▁",
      prepend_scheme: normalizer[normalizerField.addDummyPrefix] === 0 ? "never" : "always",
    },
    model: { type: "Unigram", vocab: pieces.map(({ piece, score }) => [piece, score]), unk_id: unkId },
    post_processor: {
      type: "TemplateProcessing",
      single: [{ Sequence: { id: "A", type_id: 0 } }, { SpecialToken: { id: end, type_id: 0 } }],
    },
    decoder: { type: "Metaspace", replacement: "▁" },
  };
}

function readPiece(r: WireReader): Piece {
  let [piece, score, type] = ["", 0, normalPiece as number];
  while (r.next()) {
    if (r.field === pieceField.piece) piece = r.string();
    else if (r.field === pieceField.score) score = r.float();
    else if (r.field === pieceField.type) type = r.int();
    else r.unknown();
  }
  return { piece, score, type };
}

/** The named fields of a message, by number: a name or a whole number each. */
function readFields(r: WireReader, wanted: Readonly<Record<string, number>>): Record<number, number | string> {
  const values: Record<number, number | string> = {};
  const numbers = Object.values(wanted);
  while (r.next()) {
    if (!numbers.includes(r.field)) r.unknown();
    else values[r.field] = r.field === normalizerField.name && wanted === normalizerField ? r.string() : r.int();
  }
  return values;
}
