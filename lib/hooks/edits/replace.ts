import type { GraphBuilder, Value } from "../../program/index.js";
import { scalar, type Tensor } from "../../tensor/index.js";
import type { Edit } from "./edit.js";
import { type Input, limitedEdit } from "./limited-edit.js";
import type { EditOptions } from "./limits.js";
import { aligned, operand, tensorText } from "./operand.js";

/** Another tensor in the activation's place: a number, or float32 [channel] or anything that broadcasts to it. */
export function replace(pattern: string, value: Tensor | number, options: EditOptions = {}): Edit {
  const tensor = operand(typeof value === "number" ? scalar(value) : value, `at("${pattern}").replace`);
  return limitedEdit(
    pattern,
    {
      kind: "replace",
      label: `${pattern} ← ${typeof value === "number" ? value : tensorText(tensor)}`,
      edited: fedValue,
      feeds: (point) => ({ value: aligned(tensor, point) }),
    },
    options,
  );
}

/** An input that broadcasts to the activation, in its place. */
export function fedValue(x: Value, g: GraphBuilder, input: Input): Value {
  return g.op("Expand", [input("value").cast(x.dtype), g.op("Shape", [x])]);
}
