import type { Conditioner } from "../conditioning/index.js";
import type { RunDefaults } from "../pipelines/index.js";
import { type SchedulerConfig, scheduleFromConfig, schedulerClasses } from "../schedules/index.js";
import type { DiffusersFolder } from "./diffusers-folder.js";
import { ModelFolderError } from "./model-folder-error.js";

/**
 * A folder's scheduler as its pipeline makes it: of the class that it insists on, with the options that it sets.
 * @throws ModelFolderError if the class or an option is unknown; a run would find out too late
 */
export function schedulerOf({ scheduler, kind }: DiffusersFolder): SchedulerConfig {
  const { file, values } = scheduler;
  try {
    scheduleFromConfig(values);
    const name = kind.scheduler ?? String(values._class_name ?? "DDIMScheduler");
    const known = schedulerClasses[name]!.options;
    const set = Object.fromEntries(
      Object.entries(kind.schedulerOptions ?? {}).filter(([option]) => Object.hasOwn(known, option)),
    );
    const config = { ...values, ...set, _class_name: name };
    scheduleFromConfig(config);
    return config;
  } catch (error) {
    throw new ModelFolderError(file, "a scheduler that tweedie has", (error as Error).message);
  }
}

/**
 * Steps and guidance of a run that says nothing of them: those of the pipeline's class, unless the scheduler tells that the
 * network was distilled to few steps.
 * @see Luo et al. 2023, arXiv:2310.04378 (LCM); Sauer et al. 2023, arXiv:2311.17042 (Turbo: one step, no guidance)
 */
export function runDefaults({ kind, scheduler: { values } }: DiffusersFolder, { guidance }: Conditioner): RunDefaults {
  const { steps, guidanceScale } = kind;
  if (guidance === "embedded" && kind.family.startsWith("stable-diffusion")) return { steps: 4, guidanceScale: 8.5 };
  if (guidance !== "classifier-free") return { steps, guidanceScale };
  if (values._class_name === "LCMScheduler" || values._class_name === "TCDScheduler") return { steps: 4, guidanceScale: 1 };
  const isEuler = values._class_name === "EulerDiscreteScheduler" || values._class_name === "EulerAncestralDiscreteScheduler";
  const isTurbo = isEuler && values.timestep_spacing === "trailing" && values.prediction_type !== "v_prediction";
  return isTurbo ? { steps: 1, guidanceScale: 0 } : { steps, guidanceScale };
}
