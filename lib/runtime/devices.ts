import type { Backend } from "./backend.js";

/** Where a model runs: the processor, or an accelerator by the programming interface that reaches it. */
export type Device = "cpu" | "cuda" | "webgpu" | "dml" | "coreml";

export const allDevices: readonly Device[] = ["cpu", "cuda", "webgpu", "dml", "coreml"];

/** A device to try, and what to tell when it is not the one that was hoped for. */
export interface DeviceChoice {
  readonly device: Device;
  /** True if "auto" chose it: failing to open there means the CPU is next. */
  readonly optional: boolean;
}

/**
 * Devices to try in turn. "auto" takes CUDA where the runtime was built with it, else the CPU: other accelerators
 * are offered by builds on machines that have none or only emulate one, so they are used when asked for
 * (`device`, or TWEEDIE_DEVICE in the environment).
 * @throws RangeError if the backend was not built for the device
 */
export async function resolveDevices(backend: Backend, wanted: Device | "auto"): Promise<readonly DeviceChoice[]> {
  const asked = wanted === "auto" ? (process.env.TWEEDIE_DEVICE ?? "auto") : wanted;
  const cpu: DeviceChoice = { device: "cpu", optional: false };
  if (asked === "cpu") return [cpu];
  const offered = await backend.devices();
  if (asked === "auto") return offered.includes("cuda") ? [{ device: "cuda", optional: true }, cpu] : [cpu];
  const device = offered.find((d) => d === asked);
  if (device === undefined) {
    throw new RangeError(
      `openSession: device "${asked}" is not in this build of ${backend.name}, which offers ${offered.join(", ")}; ` +
        `choose one of these or "auto"`,
    );
  }
  return [{ device, optional: false }];
}
