import { type HookPoint, positionAxes } from "../hooks/index.js";
import type { Value } from "../program/index.js";

/**
 * An activation in a graph as vectors [batch, position, channel], and the way back to its own layout.
 * @throws RangeError if its channels are not `width` many
 */
export function activationVectors(
  x: Value,
  point: HookPoint,
  width: number,
): { readonly vectors: Value; readonly restore: (vectors: Value) => Value } {
  const axes = point.axes.join();
  const channels = point.shape?.[point.axes.indexOf("channel")];
  if (channels !== width) {
    throw new RangeError(
      `edit at ${point.path}: the SAE reads vectors of length ${width}, this activation has ${channels ?? "no"} channels`,
    );
  }
  if (axes === "batch,channel") return { vectors: x.unsqueeze(1), restore: (v) => v.squeeze(1) };
  if (axes === "batch,token,channel") return { vectors: x, restore: (v) => v };
  const places = point.shape!.slice(2) as number[];
  return {
    vectors: x.reshape([0, 0, -1]).transpose([0, 2, 1]),
    restore: (v) => v.transpose([0, 2, 1]).reshape([0, 0, ...places]),
  };
}

/** How many vectors a picture has at a hook point. @throws RangeError if its shape is not known */
export function positionCount(point: HookPoint): number {
  const lengths = positionAxes(point.axes).map((i) => point.shape?.[i]);
  if (lengths.every((d) => typeof d === "number")) return lengths.reduce((a, b) => a * b, 1);
  throw new RangeError(
    `edit at ${point.path}: its shape is not known, [${point.shape?.join(", ")}]; load the model with inputShapes`,
  );
}
