import type { ClassifierHead } from "../../lib/predictors/index.js";
import { backgrounds, colours, type Scene, type SceneObject, shapes, sizes, textures } from "./scene.js";

export const countLabels = ["one", "two", "three"] as const;

/** Every coloured shape, "red circle" … "white ring", shape by shape. */
export const pairLabels: readonly string[] = shapes.flatMap((shape) => colours.map((colour) => `${colour} ${shape}`));

export type Question = "shape" | "colour" | "background" | "count" | "size" | "texture" | "pairs";

/** What the classifiers are asked about a picture. */
export const questions: Readonly<Record<Question, ClassifierHead>> = {
  shape: { name: "shape", labels: shapes },
  colour: { name: "colour", labels: colours },
  background: { name: "background", labels: backgrounds },
  count: { name: "count", labels: countLabels },
  size: { name: "size", labels: sizes },
  texture: { name: "texture", labels: textures },
  pairs: { name: "pairs", labels: pairLabels, multiLabel: true },
};

/**
 * The right answers to a question about a scene, as indices of its labels. Empty where there is none: a scene of a
 * circle and a square has no one shape.
 */
export function answersOf(question: Question, scene: Scene): readonly number[] {
  const { objects } = scene;
  if (question === "background") return [backgrounds.indexOf(scene.background)];
  if (question === "count") return [objects.length - 1];
  if (question === "pairs") return [...new Set(objects.map((o) => pairLabels.indexOf(`${o.colour} ${o.shape}`)))];
  const { labels } = questions[question];
  const labelOf = (object: SceneObject): string => object[question];
  const first = labelOf(objects[0]!);
  return objects.every((object) => labelOf(object) === first) ? [labels.indexOf(first)] : [];
}
