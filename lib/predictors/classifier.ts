import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { openSession, type Session, type SessionOptions } from "../runtime/index.js";
import { float32, type Tensor } from "../tensor/index.js";
import { joinRows } from "./join-rows.js";

/** One question a classifier answers about a picture. */
export interface ClassifierHead {
  /** Name of the question, and of the graph's output of logits [batch, labels]. */
  readonly name: string;
  readonly labels: readonly string[];
  /** Each label is present or absent on its own; otherwise exactly one of them holds. Default false */
  readonly multiLabel?: boolean;
}

/** What stands in `config.json` beside a classifier's `model.onnx`. */
export interface ClassifierConfig {
  /** Side of the pictures, pixels. */
  readonly image_size: number;
  readonly heads: readonly ClassifierHead[];
}

/** A head's answers for n pictures. */
export interface Classification {
  readonly head: ClassifierHead;
  /** float32 [n, labels] */
  readonly logits: Tensor<"float32">;
  /** float32 [n, labels]: softmax over the labels, or a sigmoid of each where several can hold. */
  readonly probabilities: Tensor<"float32">;
  /** The most probable label of each picture. */
  readonly top: readonly string[];
}

/** The folder does not hold a classifier. */
export class ClassifierFolderError extends Error {
  override readonly name: string = "ClassifierFolderError";
}

/** A picture classifier with one or several heads. `release` it, or declare it with `await using`. */
export class Classifier {
  readonly config: ClassifierConfig;
  readonly session: Session;

  private constructor(config: ClassifierConfig, session: Session) {
    this.config = config;
    this.session = session;
  }

  /**
   * Opens a folder with `model.onnx` (input "images", one output of logits per head) and `config.json`.
   * @throws ClassifierFolderError if the two do not belong together
   */
  static async open(folder: string, options: SessionOptions = {}): Promise<Classifier> {
    const config = parseConfig(await readFile(join(folder, "config.json"), "utf8"), folder);
    const session = await openSession(join(folder, "model.onnx"), options);
    const outputs = new Set(session.outputs.map((o) => o.name));
    const missing = config.heads.filter((head) => !outputs.has(head.name));
    if (missing.length > 0 || !session.inputs.some((input) => input.name === "images")) {
      await session.release();
      throw new ClassifierFolderError(
        `Classifier.open: ${folder}/model.onnx needs an input "images" and an output for each head of config.json; ` +
          `missing: ${missing.map((head) => head.name).join(", ") || "images"}`,
      );
    }
    return new Classifier(config, session);
  }

  /** Names of the heads. */
  get heads(): readonly string[] {
    return this.config.heads.map((head) => head.name);
  }

  /**
   * Answers the questions about pictures.
   * @param images float32 [n, 3, y, x] in −1…1
   * @param options `heads` limits the questions; `batch` pictures run at once, 256 by default
   * @throws RangeError on pictures of another size or a head that is not there
   */
  async classify(
    images: Tensor<"float32">,
    options: { readonly heads?: readonly string[]; readonly batch?: number; readonly signal?: AbortSignal } = {},
  ): Promise<Record<string, Classification>> {
    const heads = (options.heads ?? this.heads).map((name) => this.head(name));
    const outputs = await this.outputs(
      images,
      heads.map((head) => head.name),
      options,
    );
    return Object.fromEntries(heads.map((head) => [head.name, classification(head, outputs[head.name]!)]));
  }

  /** Named outputs of the graph, such as inner features, for all pictures: float32 [n, …]. */
  async outputs(
    images: Tensor<"float32">,
    names: readonly string[],
    { batch = 256, signal }: { readonly batch?: number; readonly signal?: AbortSignal } = {},
  ): Promise<Record<string, Tensor<"float32">>> {
    const [n = 0, , height, width] = images.shape;
    const side = this.config.image_size;
    if (images.shape.length !== 4 || height !== side || width !== side) {
      throw new RangeError(`Classifier: expected images [n, 3, ${side}, ${side}], got ${images}; resize them first`);
    }
    const parts: Record<string, Tensor>[] = [];
    for (let start = 0; start < n; start += batch) {
      const feeds = { images: images.slice(start, Math.min(n, start + batch)) };
      parts.push(await this.session.run(feeds, { fetches: names, ...(signal ? { signal } : {}) }));
    }
    return Object.fromEntries(names.map((name) => [name, joinRows(parts, name)]));
  }

  release(): Promise<void> {
    return this.session.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  private head(name: string): ClassifierHead {
    const found = this.config.heads.find((head) => head.name === name);
    if (found === undefined) throw new RangeError(`Classifier: there is no head "${name}"; it has ${this.heads.join(", ")}`);
    return found;
  }
}

function parseConfig(text: string, folder: string): ClassifierConfig {
  const config = JSON.parse(text) as Partial<ClassifierConfig>;
  const sound =
    Number.isInteger(config.image_size) &&
    Array.isArray(config.heads) &&
    config.heads.every((head) => typeof head.name === "string" && Array.isArray(head.labels) && head.labels.length > 0);
  if (!sound) {
    throw new ClassifierFolderError(`Classifier.open: ${folder}/config.json needs "image_size" and "heads" with name and labels`);
  }
  return config as ClassifierConfig;
}

function classification(head: ClassifierHead, logits: Tensor<"float32">): Classification {
  const width = head.labels.length;
  const data = new Float32Array(logits.size);
  const top: string[] = [];
  for (let row = 0; row < logits.shape[0]!; row++) {
    const values = logits.data.subarray(row * width, (row + 1) * width);
    const out = data.subarray(row * width, (row + 1) * width);
    const max = Math.max(...values);
    values.forEach((x, i) => {
      out[i] = head.multiLabel ? 1 / (1 + Math.exp(-x)) : Math.exp(x - max);
    });
    if (!head.multiLabel) {
      const sum = out.reduce((a, b) => a + b, 0);
      for (let i = 0; i < width; i++) out[i] = out[i]! / sum;
    }
    top.push(head.labels[values.indexOf(max)]!);
  }
  return { head, logits, probabilities: float32(data, logits.shape), top };
}
