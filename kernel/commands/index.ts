import type { Command } from "../command-line.js";
import { check } from "./check.js";
import { completionOf } from "./completion.js";
import { doctor } from "./doctor.js";
import { exportNotebooks } from "./export.js";
import { install, uninstall } from "./install.js";
import { create } from "./new.js";
import { run } from "./run.js";

/** All that `tweedie` can do, in the order of its help. */
export const commands: readonly Command[] = [
  create,
  run,
  exportNotebooks,
  check,
  install,
  uninstall,
  doctor,
  completionOf(() => commands),
];
