import { join } from "node:path";
import { loadTokenizer, type PromptTokenizer } from "../diffusion/formats/tokenizers/index.js";
import { openSession, type Session, type SessionOptions } from "../runtime/index.js";
import { float32, type Tensor } from "../tensor/index.js";
import { joinRows } from "./join-rows.js";

export interface ContrastiveEncoderOptions {
  /** Default: the folder's own `tokenizer/`. */
  readonly tokenizer?: PromptTokenizer;
  readonly session?: SessionOptions;
}

export interface EncodeBatchOptions {
  /** Rows run at once; 256 by default. */
  readonly batch?: number;
  readonly signal?: AbortSignal;
}

/**
 * Pictures and sentences in one space, where what belongs together lies close: embeddings of length 1.
 * `release` it, or declare it with `await using`.
 * @see Radford et al. 2021, arXiv:2103.00020
 */
export class ContrastiveEncoder {
  readonly tokenizer: PromptTokenizer;
  private readonly image: Session;
  private readonly text: Session;

  private constructor(tokenizer: PromptTokenizer, image: Session, text: Session) {
    this.tokenizer = tokenizer;
    this.image = image;
    this.text = text;
  }

  /**
   * Opens a folder with `image/model.onnx` ("images" → "image_embeds") and `text/model.onnx` ("input_ids" → "text_embeds").
   * @throws RuntimeError if one of them cannot be opened
   */
  static async open(folder: string, options: ContrastiveEncoderOptions = {}): Promise<ContrastiveEncoder> {
    const tokenizer = options.tokenizer ?? (await loadTokenizer(join(folder, "tokenizer")));
    const image = await openSession(join(folder, "image", "model.onnx"), options.session);
    try {
      return new ContrastiveEncoder(tokenizer, image, await openSession(join(folder, "text", "model.onnx"), options.session));
    } catch (error) {
      await image.release();
      throw error;
    }
  }

  /** @param images float32 [n, 3, y, x] in −1…1 @returns float32 [n, width], rows of length 1 */
  encodeImages(images: Tensor<"float32">, options: EncodeBatchOptions = {}): Promise<Tensor<"float32">> {
    return embed(this.image, "images", images, "image_embeds", options);
  }

  /** @returns float32 [n, width], rows of length 1 @throws RangeError on a sentence of too many tokens */
  encodeTexts(texts: readonly string[], options: EncodeBatchOptions = {}): Promise<Tensor<"float32">> {
    return embed(this.text, "input_ids", this.tokenizer.encodeBatch([...texts]), "text_embeds", options);
  }

  async release(): Promise<void> {
    await Promise.all([this.image.release(), this.text.release()]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

async function embed(
  session: Session,
  input: string,
  rows: Tensor,
  output: string,
  { batch = 256, signal }: EncodeBatchOptions,
): Promise<Tensor<"float32">> {
  const parts: Record<string, Tensor>[] = [];
  for (let start = 0; start < rows.shape[0]!; start += batch) {
    const feeds = { [input]: rows.slice(start, Math.min(rows.shape[0]!, start + batch)) };
    parts.push(await session.run(feeds, { fetches: [output], ...(signal ? { signal } : {}) }));
  }
  return joinRows(parts, output);
}

/** Dot products of all rows, cosines for embeddings of length 1: [n, width] and [m, width] → [n, m]. */
export function similarities(a: Tensor<"float32">, b: Tensor<"float32">): Tensor<"float32"> {
  const [n, width] = a.shape as [number, number];
  const [m, other] = b.shape as [number, number];
  if (a.shape.length !== 2 || b.shape.length !== 2 || width !== other) {
    throw new RangeError(`similarities: expected rows of one width, got ${a} and ${b}`);
  }
  const out = new Float32Array(n * m);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < m; j++) {
      let sum = 0;
      for (let k = 0; k < width; k++) sum += a.data[i * width + k]! * b.data[j * width + k]!;
      out[i * m + j] = sum;
    }
  return float32(out, [n, m]);
}
