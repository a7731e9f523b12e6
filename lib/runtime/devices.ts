import type { Backend } from "./backend.js";

/** Where a model runs: the processor, or an accelerator by the programming interface that reaches it. */
export type Device = "cpu" | "cuda" | "webgpu" | "dml" | "coreml";

export const allDevices: readonly Device[] = ["cpu", "cuda", "webgpu", "dml", "coreml"];

/** A device to try. */
export interface DeviceChoice {
  readonly device: Device;
  /** True if "auto" chose it: failing to open there means the CPU is next. */
  readonly optional: boolean;
}

/**
 * Devices to try in turn. "auto" takes CUDA where its libraries are installed, else the CPU: other accelerators
 * are offered by builds on machines that have none or only emulate one, so they are used when asked for
 * (`device`, or TWEEDIE_DEVICE in the environment).
 * @throws RangeError if the backend was not built for the device
 */
export async function resolveDevices(backend: Backend, wanted: Device | "auto"): Promise<readonly DeviceChoice[]> {
  const fromEnvironment = wanted === "auto" && process.env.TWEEDIE_DEVICE;
  const asked = fromEnvironment || wanted;
  const cpu: DeviceChoice = { device: "cpu", optional: false };
  if (asked === "cpu") return [cpu];
  const offered = await backend.devices();
  if (asked === "auto") return offered.includes("cuda") ? [{ device: "cuda", optional: true }, cpu] : [cpu];
  const device = offered.find((d) => d === asked);
  if (device === undefined) {
    const known = allDevices.find((d) => d === asked);
    const why = known && backend.explain?.(known, "");
    throw new RangeError(
      `openSession: device "${asked}"${fromEnvironment ? " (TWEEDIE_DEVICE)" : ""} is not in this build of ${backend.name}, ` +
        `which offers ${offered.join(", ")}; ${why ? `${why}; ` : ""}choose one of these or "auto"`,
    );
  }
  return [{ device, optional: false }];
}
