import type { Node, Shape } from "../onnx/index.js";
import type { Axis } from "./hook-point.js";

/**
 * Axis names of an activation from its rank and the operator that made it: images are [batch, channel, y, x],
 * sequences [batch, token, channel], vectors [batch, channel]. A one-dimensional convolution keeps channels in front.
 */
export function axesOf(shape: Shape | undefined, producer?: Node): readonly Axis[] {
  if (shape === undefined) return [];
  if (producer?.opType === "Softmax") {
    if (shape.length === 3) return ["batch*head", "query", "key"];
    if (shape.length === 4) return ["batch", "head", "query", "key"];
  }
  switch (shape.length) {
    case 4:
      return ["batch", "channel", "y", "x"];
    case 3:
      return producer?.opType === "Conv" ? ["batch", "channel", "token"] : ["batch", "token", "channel"];
    case 2:
      return ["batch", "channel"];
    case 1:
      return ["batch"];
    default:
      return shape.map((_, i): Axis => (i === 0 ? "batch" : `axis${i}`));
  }
}

/** Axes that count places rather than units: what a spatial mean runs over. */
export function positionAxes(axes: readonly Axis[]): number[] {
  return axes.flatMap((axis, i) => (axis === "y" || axis === "x" || axis === "token" ? [i] : []));
}
