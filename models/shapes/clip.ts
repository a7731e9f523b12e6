import { join } from "node:path";
import { ContrastiveEncoder, similarities } from "../../lib/predictors/index.js";
import type { SessionOptions } from "../../lib/runtime/index.js";
import { float32, type Tensor } from "../../lib/tensor/index.js";
import { shapesTokenizer } from "./dataset.js";
import { shapesFolder } from "./folder.js";
import { colours, type Scene, shapes } from "./scene.js";
import { isTrueOf } from "./truth.js";

/** The embedded world's contrastive encoder: embeddings of 64 numbers for pictures [n, 3, 64, 64] and captions. */
export async function openClip(session: SessionOptions = {}): Promise<ContrastiveEncoder> {
  return ContrastiveEncoder.open(join(shapesFolder, "clip"), { tokenizer: await shapesTokenizer(), session });
}

/**
 * The factor's value whose prompts lie closest to each picture. A value's embedding is the mean over prompts that
 * combine it with every value of the other factor ("a red circle", "a red square", …).
 * @returns one shape or colour per picture
 */
export async function zeroShot(
  encoder: ContrastiveEncoder,
  images: Tensor<"float32">,
  factor: "shape" | "colour",
): Promise<string[]> {
  const values: readonly string[] = factor === "shape" ? shapes : colours;
  const others: readonly string[] = factor === "shape" ? colours : shapes;
  const prompts = values.flatMap((value) =>
    others.map((other) => withArticle(factor === "shape" ? `${other} ${value}` : `${value} ${other}`)),
  );
  const texts = await encoder.encodeTexts(prompts);
  const width = texts.shape[1]!;
  const classes = new Float32Array(values.length * width);
  for (let i = 0; i < texts.size; i++) classes[Math.floor(i / (width * others.length)) * width + (i % width)]! += texts.data[i]!;
  for (let v = 0; v < values.length; v++) {
    const row = classes.subarray(v * width, (v + 1) * width);
    const length = Math.hypot(...row);
    row.forEach((x, i) => {
      row[i] = x / length;
    });
  }
  const scores = similarities(await encoder.encodeImages(images), float32(classes, [values.length, width]));
  return Array.from({ length: images.shape[0]! }, (_, i) => values[bestOf(scores.row(i).data)]!);
}

/** What retrieval found in one gallery, one entry per query. */
export interface Retrieval {
  /** The partner came first. */
  readonly exact: readonly boolean[];
  /** What came first fits the query, whether or not it was its own partner ("a red circle" fits a large red circle). */
  readonly fitting: readonly boolean[];
}

/** Finds each picture's caption among all captions, and each caption's picture among all pictures. */
export async function retrieve(
  encoder: ContrastiveEncoder,
  images: Tensor<"float32">,
  captions: readonly string[],
  scenes: readonly Scene[],
): Promise<{ readonly textOfImage: Retrieval; readonly imageOfText: Retrieval }> {
  const pictures = await encoder.encodeImages(images);
  const texts = await encoder.encodeTexts(captions);
  const captionFound = best(similarities(pictures, texts));
  const pictureFound = best(similarities(texts, pictures));
  return {
    textOfImage: {
      exact: captionFound.map((found, i) => found === i),
      fitting: captionFound.map((found, i) => isTrueOf(captions[found]!, scenes[i]!)),
    },
    imageOfText: {
      exact: pictureFound.map((found, i) => found === i),
      fitting: pictureFound.map((found, i) => isTrueOf(captions[i]!, scenes[found]!)),
    },
  };
}

function best(scores: Tensor<"float32">): number[] {
  return Array.from({ length: scores.shape[0]! }, (_, i) => bestOf(scores.row(i).data));
}

function bestOf(row: Float32Array): number {
  return row.indexOf(Math.max(...row));
}

function withArticle(words: string): string {
  return `${/^[aeiou]/.test(words) ? "an" : "a"} ${words}`;
}
