import { type ColumnTable, table } from "arquero";
import type { Generation } from "../diffusion/index.js";
import { attentionOverPicture, Displayed, type Figure, type MimeBundle } from "../figures/index.js";
import { float32, Tensor } from "../tensor/index.js";

/** Of the map from 0 to 1, as in Tang et al. 2022. */
const paperThreshold = 0.4;

/** A word of a prompt. Offsets count UTF-16 units: `prompt.slice(start, end)`. */
export interface Word {
  readonly text: string;
  readonly start: number;
  readonly end: number;
  /** Its tokens' places in the sequence that the text encoder sees; the start token is 0. */
  readonly tokens: readonly number[];
}

interface AttentionOfItem {
  readonly prompt: string;
  readonly words: readonly Word[];
  /** [call, token, y, x]: mean over heads and layers, at the latents' size */
  readonly attention: Tensor<"float32">;
}

/** Which picture of the run, and which calls of the network are summed over (default all). */
export interface MapOptions {
  readonly item?: number;
  readonly calls?: readonly [start: number, end: number];
}

/** Cross-attention maps per word of a generation (DAAM). */
export class WordAttention extends Displayed {
  readonly generation: Generation;
  /** Hook points of the attention layers that were averaged. */
  readonly layers: readonly string[];
  readonly #items: readonly AttentionOfItem[];

  constructor(parts: { generation: Generation; layers: readonly string[]; items: readonly AttentionOfItem[] }) {
    super();
    this.generation = parts.generation;
    this.layers = parts.layers;
    this.#items = parts.items;
  }

  /** Words of a picture's prompt, as far as the text encoder had room for them. */
  words(item = 0): readonly Word[] {
    return this.#item(item).words;
  }

  /**
   * Attention to a word at each place, float32 [y, x] at the latents' size: probabilities summed over model calls, mean
   * over layers, heads and the word's tokens.
   * @param word a word or several in a row; where they occur more than once, the mean of all places. Or a word's number.
   * @throws RangeError if the prompt has no such word
   */
  attention(word: string | number, options: MapOptions = {}): Tensor<"float32"> {
    const { attention } = this.#item(options.item ?? 0);
    const [calls, , height, width] = attention.shape as [number, number, number, number];
    const [start, end] = options.calls ?? [0, calls];
    if (!(start >= 0 && start < end && end <= calls))
      throw new RangeError(`WordAttention: calls are [start, end) within 0…${calls}, got [${start}, ${end}]`);
    const tokens = this.#tokens(word, options.item ?? 0);
    const sum = new Float64Array(height * width);
    for (let call = start; call < end; call++) {
      for (const token of tokens) {
        attention
          .row(call)
          .row(token)
          .data.forEach((v, i) => {
            sum[i]! += v / tokens.length;
          });
      }
    }
    return float32(Float32Array.from(sum), [height, width]);
  }

  /** The same from 0 at its least to 1 at its most. */
  map(word: string | number, options: MapOptions = {}): Tensor<"float32"> {
    const { data, shape } = this.attention(word, options);
    const low = data.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
    const span = data.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY) - low;
    return float32(
      data.map((v) => (span === 0 ? 0 : (v - low) / span)),
      shape,
    );
  }

  /** Places where the map reaches a threshold, bool [y, x]; the default is the paper's. */
  mask(
    word: string | number,
    { threshold = paperThreshold, ...options }: MapOptions & { readonly threshold?: number } = {},
  ): Tensor<"bool"> {
    const { data, shape } = this.map(word, options);
    return new Tensor(
      "bool",
      Uint8Array.from(data, (v) => Number(v >= threshold)),
      shape,
    );
  }

  /** One row per word: where its attention is, and how much of the picture its mask covers. */
  table(item = 0): ColumnTable {
    const rows = this.words(item).map((word, i) => {
      const { data, shape } = this.attention(i, { item });
      const width = shape[1]!;
      const total = data.reduce((a, b) => a + b, 0);
      const masked = this.mask(i, { item }).data.reduce((a, b) => a + b, 0);
      return {
        word: word.text,
        share: total / data.length / this.generation.calls.length,
        x: data.reduce((sum, v, k) => sum + v * ((k % width) + 0.5), 0) / total / width,
        y: data.reduce((sum, v, k) => sum + v * (Math.floor(k / width) + 0.5), 0) / total / shape[0]!,
        masked: masked / data.length,
      };
    });
    return table({
      word: rows.map((r) => r.word),
      /** Mean probability that a place attends to the word. */
      attention: rows.map((r) => r.share),
      /** Centre of attention, 0…1 from the left and from the top. */
      x: rows.map((r) => r.x),
      y: rows.map((r) => r.y),
      "area of mask": rows.map((r) => r.masked),
    });
  }

  /**
   * Maps of words over the picture, default of all words, each from 0 to 1, with the outline of its mask.
   * @throws RangeError if the latents were not decoded
   */
  figure(words?: readonly (string | number)[], item = 0): Figure {
    const known = this.words(item);
    const picture = this.generation.images[item];
    if (picture === undefined)
      throw new RangeError("WordAttention.figure: the latents were not decoded; run it with decode: true");
    const shown = words ?? [...known.keys()];
    const named = shown.map((word) => ({
      word: typeof word === "number" ? known[word]!.text : word,
      map: this.map(word, { item }),
    }));
    return attentionOverPicture(
      { picture, words: named },
      {
        title: `Attention per word: “${this.#item(item).prompt}”`,
        subtitle: `${this.layers.length} layers and all heads, ${this.generation.calls.length} model calls`,
        quantity: "attention, least to most",
        threshold: paperThreshold,
      },
    );
  }

  override mimeBundle(): MimeBundle | Promise<MimeBundle> {
    return this.figure().mimeBundle();
  }

  #item(item: number): AttentionOfItem {
    const found = this.#items[item];
    if (found === undefined) throw new RangeError(`WordAttention: item must be 0…${this.#items.length - 1}, got ${item}`);
    return found;
  }

  #tokens(word: string | number, item: number): readonly number[] {
    const words = this.words(item);
    const wanted = typeof word === "number" ? [] : word.toLowerCase().split(/\s+/).filter(Boolean);
    const starts = [...words.keys()].filter((i) =>
      typeof word === "number"
        ? i === word
        : wanted.length > 0 && wanted.every((text, k) => words[i + k]?.text.toLowerCase() === text),
    );
    const tokens = starts.flatMap((i) => words.slice(i, i + Math.max(1, wanted.length)).flatMap((w) => w.tokens));
    if (tokens.length > 0) return tokens;
    throw new RangeError(
      `WordAttention: no word "${word}" in “${this.#item(item).prompt}”; there are ${words.map((w) => w.text).join(", ")}`,
    );
  }
}
