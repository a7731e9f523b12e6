import type { ActivationProgram } from "../program-splice.js";
import { type Edit, identityOf } from "./edit.js";
import { limitedEdit } from "./limited-edit.js";
import type { EditOptions } from "./limits.js";

/** Any program; it must keep dtype and shape. Use one function object again to share its compiled session. */
export function graph(pattern: string, program: ActivationProgram, options: EditOptions = {}): Edit {
  return limitedEdit(
    pattern,
    {
      kind: `graph ${identityOf(program)}`,
      label: `${pattern} → ${program.name || "program"}`,
      edited: (x, g) => program(x, g),
    },
    options,
  );
}
