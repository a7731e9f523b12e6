import type { Edit } from "./edit.js";
import { limitedEdit } from "./limited-edit.js";
import type { EditOptions } from "./limits.js";
import { aligned, type Operand, operand, type Strength, shown, strengthFeed, tensorText } from "./operand.js";

/**
 * x + strength·direction.
 * @param direction float32: [channel], or anything that broadcasts to the activation; where it is 0 x keeps every bit
 */
export function add(pattern: string, direction: Operand, strength: Strength = 1, options: EditOptions = {}): Edit {
  const tensor = operand(direction, `at("${pattern}").add`);
  return limitedEdit(
    pattern,
    {
      kind: "add",
      label: `${pattern} + ${shown(strength)}·${tensorText(tensor)}`,
      edited: (x, g, input) => {
        const delta = input("direction")
          .mul(input("strength", "float32", []))
          .cast(x.dtype);
        // x − (+0) is x bit by bit, −0 included; x + 0 is not.
        return x.sub(g.where(delta.equal(0), 0, delta.neg()));
      },
      feeds: (point, context) => ({ direction: aligned(tensor, point), strength: strengthFeed(strength, context, point) }),
    },
    options,
  );
}
