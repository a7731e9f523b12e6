import type { Edit } from "./edit.js";
import { limitedEdit } from "./limited-edit.js";
import type { EditOptions } from "./limits.js";
import { type Strength, shown, strengthFeed } from "./operand.js";

/** x·strength; 1 leaves everything as it is, 0 removes it. */
export function scale(pattern: string, strength: Strength, options: EditOptions = {}): Edit {
  return limitedEdit(
    pattern,
    {
      kind: "scale",
      label: `${pattern} × ${shown(strength)}`,
      edited: (x, _, input) => x.mul(input("strength", "float32", []).cast(x.dtype)),
      feeds: (point, context) => ({ strength: strengthFeed(strength, context, point) }),
    },
    options,
  );
}
