import { expectFloat32, type Tensor } from "../../tensor/index.js";
import type { Activation } from "../activation.js";
import type { Edit, StepContext } from "./edit.js";
import { limitedEdit } from "./limited-edit.js";
import { type EditOptions, rowWeights } from "./limits.js";

/** Makes an activation's successor, float32 of its shape; undefined leaves it as it is. */
export type ActivationCallback = (
  activation: Activation<Tensor<"float32">>,
  context: StepContext,
) => Tensor | undefined | Promise<Tensor | undefined>;

/** What was thrown in a callback, with the hook point at which it was called. */
export class CallbackError extends Error {
  override readonly name = "CallbackError";
  readonly hookPoint: string;

  constructor(hookPoint: string, cause: unknown) {
    super(`callback at ${hookPoint}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.hookPoint = hookPoint;
  }
}

/**
 * Whatever a function makes of the activation, in JavaScript, while the model waits: the graph is cut at the hook point and
 * runs in two sessions, in more where there are more callbacks. It is not called where the edit does not reach.
 */
export function call(pattern: string, callback: ActivationCallback, options: EditOptions = {}): Edit {
  const edit = limitedEdit(
    pattern,
    {
      kind: "call",
      label: `${pattern} → ${callback.name || "callback"}`,
      edited: (x, _, input) => input("result").cast(x.dtype),
    },
    options,
  );
  return {
    ...edit,
    program: (point, input) => {
      const program = edit.program(point, input);
      return (x, g) => {
        g.op("Identity", [x.cast("float32")], {}, { names: [input("activation")] });
        return program(x, g);
      };
    },
    call: async (activation, context) => {
      const { hookPoint, tensor } = activation;
      if (rowWeights(hookPoint, options, context).every((weight) => weight === 0)) return undefined;
      try {
        const result = await callback({ ...activation, tensor: tensor.clone() }, context);
        if (result === undefined) return undefined;
        if (result.shape.join() === tensor.shape.join()) return expectFloat32(result, "its result");
        throw new RangeError(`expected a result of the activation's shape [${tensor.shape.join(", ")}], got ${result}`);
      } catch (cause) {
        throw new CallbackError(hookPoint.path, cause);
      }
    },
  };
}
