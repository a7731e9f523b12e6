import { fork } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Device } from "../lib/runtime/index.js";
import type { DeviceCheck } from "../lib/train/index.js";

/** What the process that checks a device answers. */
export type CheckReply = { readonly check: DeviceCheck } | { readonly error: string };

/** How a device did: `wrong` computes other numbers than the CPU, `crashed` took its process with it. */
export interface DeviceFinding {
  readonly device: Device;
  readonly status: "ok" | "unavailable" | "wrong" | "crashed" | "late";
  readonly detail: string;
  readonly check?: DeviceCheck;
}

/** Largest relative error that is arithmetic: GPUs may round factors to 11 bits (TF32). */
const tolerance = 5e-3;

/** Devices that this system may have, whatever this build of ONNX Runtime offers. */
export function candidateDevices(platform: NodeJS.Platform = process.platform): readonly Device[] {
  const own: Partial<Record<NodeJS.Platform, readonly Device[]>> = { linux: ["cuda"], win32: ["dml"], darwin: ["coreml"] };
  return ["cpu", ...(own[platform] ?? []), "webgpu"];
}

const script: string = fileURLToPath(new URL("./device-check-main.js", import.meta.url));

/**
 * Checks a device in a child process.
 * @param timeoutMs after which the child is ended
 * @param main what the child runs
 */
export function checkInChild(device: Device, timeoutMs: number, main: string = script): Promise<DeviceFinding> {
  return new Promise((resolve) => {
    const child = fork(main, [device], { execArgv: [], serialization: "advanced", stdio: ["ignore", "ignore", "pipe", "ipc"] });
    let printed = "";
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      printed = (printed + text).slice(-4000);
    });
    let reply: CheckReply | undefined;
    child.on("message", (message: CheckReply) => {
      reply = message;
    });
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, timeoutMs);
    child.on("exit", (code, signal) => {
      clearTimeout(timer);
      if (reply) resolve(findingOf(device, reply));
      else if (late)
        resolve({ device, status: "late", detail: `did not finish in ${timeoutMs / 1000} s; --timeout waits longer` });
      else {
        const said = printed.trim().split("\n").at(-1);
        resolve({
          device,
          status: "crashed",
          detail: `its process ended with ${signal ?? `code ${code}`}${said ? `: ${said}` : ""}`,
        });
      }
    });
  });
}

function findingOf(device: Device, reply: CheckReply): DeviceFinding {
  if ("error" in reply) return { device, status: "unavailable", detail: reply.error };
  const { check } = reply;
  const { forwardError, trainingError, openMs, runMs, stepMs } = check;
  const largest = Math.max(forwardError, trainingError);
  // Not-a-number is wrong, too.
  const right = largest <= tolerance;
  const errors = `error ${forwardError.toExponential(0)} forward, ${trainingError.toExponential(0)} training`;
  const times = `opened in ${openMs.toFixed(0)} ms, run ${runMs.toFixed(1)} ms, training step ${stepMs.toFixed(1)} ms`;
  return {
    device,
    status: right ? "ok" : "wrong",
    detail: right ? `${errors}; ${times}` : `computes other numbers than the CPU: ${errors}, expected at most ${tolerance}`,
    check,
  };
}

/** Checks every device this system may have, one after another. */
export async function checkDevices(timeoutMs: number): Promise<readonly DeviceFinding[]> {
  if (!existsSync(script)) return [];
  const findings: DeviceFinding[] = [];
  for (const device of candidateDevices()) findings.push(await checkInChild(device, timeoutMs));
  return findings;
}
