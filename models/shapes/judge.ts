import { join } from "node:path";
import { loadModel, type Model } from "../../lib/onnx/index.js";
import { Classifier } from "../../lib/predictors/index.js";
import type { SessionOptions } from "../../lib/runtime/index.js";
import type { Tensor } from "../../lib/tensor/index.js";
import { shapesFolder } from "./folder.js";
import { countLabels } from "./questions.js";
import type { Background, Colour, Shape, Size, Texture } from "./scene.js";

/** What the judge sees in a picture. Shape, colour, size and texture mean something where all objects share them. */
export interface Verdict {
  readonly shape: Shape;
  readonly colour: Colour;
  readonly background: Background;
  readonly count: 1 | 2 | 3;
  readonly size: Size;
  readonly texture: Texture;
  /** Coloured shapes that are present, such as "red circle". */
  readonly pairs: readonly string[];
}

/** The classifiers of the embedded world's attributes. They never saw a scene that a generator was trained on. */
export function openJudge(session: SessionOptions = {}): Promise<Classifier> {
  return Classifier.open(join(shapesFolder, "judge"), session);
}

/** The judge's graph, to take gradients through: input "images", an output of logits per question ("colour", "shape", …). */
export function loadJudge(): Promise<Model> {
  return loadModel(join(shapesFolder, "judge", "model.onnx"));
}

/** A classifier of shape that was trained where colour gives the shape away, and looks at colour: something to explain. */
export function openShortcut(session: SessionOptions = {}): Promise<Classifier> {
  return Classifier.open(join(shapesFolder, "shortcut"), session);
}

/** The judge's view of pictures [n, 3, 64, 64] in −1…1. */
export async function judgePictures(judge: Classifier, images: Tensor<"float32">): Promise<Verdict[]> {
  const { shape, colour, background, count, size, texture, pairs } = await judge.classify(images);
  return Array.from({ length: images.shape[0]! }, (_, i) => ({
    shape: shape!.top[i] as Shape,
    colour: colour!.top[i] as Colour,
    background: background!.top[i] as Background,
    count: (countLabels.indexOf(count!.top[i] as (typeof countLabels)[number]) + 1) as Verdict["count"],
    size: size!.top[i] as Size,
    texture: texture!.top[i] as Texture,
    pairs: pairs!.head.labels.filter((_label, label) => pairs!.probabilities.row(i).data[label]! > 0.5),
  }));
}
