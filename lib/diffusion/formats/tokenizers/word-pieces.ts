import { ModelFolderError } from "../model-folder-error.js";
import { addedToken } from "./added-token.js";

/** How BERT's tokenizer is set in `tokenizer_config.json`, under its names there. */
export interface WordPieceSettings {
  readonly do_lower_case: boolean;
  readonly tokenize_chinese_chars: boolean;
  readonly strip_accents: boolean;
  readonly unk_token: string;
  readonly cls_token: string;
  readonly sep_token: string;
  readonly pad_token: string;
  readonly mask_token: string;
}

/**
 * The contents of BERT's `vocab.txt`, a piece per line, written as a `tokenizer.json`: words split at punctuation, each the longest
 * pieces from its start, between [CLS] and [SEP].
 * @throws ModelFolderError if a special token is not among the pieces
 * @see Devlin et al. 2018, arXiv:1810.04805; Wu et al. 2016, arXiv:1609.08144, §4.1
 */
export function tokenizerJsonOfWordPieces(text: string, settings: WordPieceSettings, file: string): Record<string, unknown> {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  const ids = new Map(lines.map((piece, id) => [piece, id]));
  const { unk_token, cls_token, sep_token, pad_token, mask_token } = settings;
  for (const token of [unk_token, cls_token, sep_token, pad_token]) {
    if (!ids.has(token)) throw new ModelFolderError(file, `the special token "${token}" among the pieces`, "none");
  }
  const specials = [...new Set([pad_token, unk_token, cls_token, sep_token, mask_token])].filter((token) => ids.has(token));
  const around = (token: string): object => ({ SpecialToken: { id: token, type_id: 0 } });
  return {
    added_tokens: specials.map((content) => addedToken(ids.get(content), content)),
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: settings.tokenize_chinese_chars,
      strip_accents: settings.strip_accents,
      lowercase: settings.do_lower_case,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "TemplateProcessing",
      single: [around(cls_token), { Sequence: { id: "A", type_id: 0 } }, around(sep_token)],
    },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token,
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(ids),
    },
    padding: { pad_token },
  };
}
