import { defaultOptions, optionChoices, optionLimits, type SchedulerOptions } from "./scheduler-options.js";

/** JSON has no infinity: Diffusers writes it as text. */
const infinities = new Map<unknown, number>([
  ["-inf", Number.NEGATIVE_INFINITY],
  ["-Infinity", Number.NEGATIVE_INFINITY],
  ["inf", Number.POSITIVE_INFINITY],
  ["Infinity", Number.POSITIVE_INFINITY],
]);

const lists: ReadonlySet<string> = new Set(["trained_betas", "disable_corrector"] satisfies (keyof SchedulerOptions)[]);

const whole: ReadonlySet<string> = new Set([
  "num_train_timesteps",
  "steps_offset",
  "solver_order",
  "predictor_order",
  "corrector_order",
  "original_inference_steps",
  "correct_steps",
] satisfies (keyof SchedulerOptions)[]);

/**
 * The value of an option as the file gives it, or the default where it gives none.
 * @throws TypeError if it has another type than its default; RangeError if it is none of its choices or out of its limits
 */
export function checkedOption(name: keyof SchedulerOptions, given: unknown, fallback: unknown): unknown {
  const value = infinities.get(given) ?? given;
  if (value === null || value === undefined) return fallback;
  const choices: readonly unknown[] | undefined = optionChoices[name];
  const type = choices ? typeof choices.at(-1) : typeof (defaultOptions[name] ?? 0);
  const isFit = lists.has(name)
    ? Array.isArray(value) && value.every((v) => typeof v === "number" && v >= 0 && Number.isFinite(v))
    : typeof value === type || choices?.includes(null);
  const shown = JSON.stringify(given)?.slice(0, 80);
  if (!isFit) {
    throw new TypeError(`scheduleFromConfig: ${name} must be a ${lists.has(name) ? "list of numbers" : type}, got ${shown}`);
  }
  if (choices && !choices.includes(value)) {
    throw new RangeError(`scheduleFromConfig: ${name} = ${shown} is not supported; expected one of ${JSON.stringify(choices)}`);
  }
  if (whole.has(name) && !Number.isInteger(value)) {
    throw new RangeError(`scheduleFromConfig: ${name} must be a whole number, got ${shown}`);
  }
  const [least, most] = optionLimits[name] ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  if (typeof value === "number" && !(value >= least && value <= most)) {
    throw new RangeError(`scheduleFromConfig: ${name} must be ${least}…${most}, got ${shown}`);
  }
  return value;
}
