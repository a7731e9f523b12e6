import { nearestNames } from "../../runtime/feeds.js";
import { int64 } from "../../tensor/index.js";
import type { Conditioner } from "./conditioner.js";

export interface ClassConditionerOptions {
  /** Classes are 0…classes − 1. */
  readonly classes: number;
  /** Numbers of classes by name. */
  readonly labels?: ReadonlyMap<string, number>;
  /** The class that stands for none, with which the unconditional branch is computed; without one there is no guidance. */
  readonly nullClass?: number | undefined;
}

/**
 * Class-conditional networks (`class_labels`): a prompt is a class, by name or number. The unconditional branch is that of
 * no class, or of the negative prompt's.
 * @throws RangeError on a class that there is none of
 * @see Peebles & Xie 2022, arXiv:2212.09748 (DiT); Dhariwal & Nichol 2021, arXiv:2105.05233
 */
export function classConditioner({ classes, labels = new Map(), nullClass }: ClassConditionerOptions): Conditioner {
  const classOf = (prompt: string): number => {
    const name = prompt.trim();
    const known = labels.get(name);
    if (known !== undefined) return known;
    const number = /^\d{1,9}$/.test(name) ? Number(name) : undefined;
    if (number !== undefined && number < classes) return number;
    const near = nearestNames(name, [...labels.keys()]).map((n) => `"${n}"`);
    const hint = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : "";
    throw new RangeError(
      `generate: class "${prompt}" must be a number 0…${classes - 1}${labels.size > 0 ? " or a class's name" : ""}${hint}`,
    );
  };
  return {
    guidance: nullClass === undefined ? "none" : "classifier-free",
    async encode({ prompts, branch }) {
      const numbers = prompts.map((prompt) => (branch === "uncond" && prompt === "" ? nullClass! : classOf(prompt)));
      return { rows: { class_labels: int64(numbers) } };
    },
  };
}
