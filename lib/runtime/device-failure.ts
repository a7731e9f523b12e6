import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Device } from "./devices.js";

/** Where ONNX Runtime's libraries for this machine are. */
export function runtimeFolder(): string {
  const main = createRequire(import.meta.url).resolve("onnxruntime-node");
  return join(dirname(main), "../bin/napi-v6", process.platform, process.arch);
}

/** What a failure looks like from outside; `explainFailure` takes another one in tests. */
export interface Surroundings {
  readonly platform: NodeJS.Platform;
  /** Path of the library that runs CUDA kernels; undefined where it is not installed. */
  readonly cudaLibrary: string | undefined;
  /** Libraries that a library needs and the system does not find. */
  missingLibraries(path: string): readonly string[];
}

const here: Surroundings = {
  platform: process.platform,
  get cudaLibrary(): string | undefined {
    const path = join(runtimeFolder(), "libonnxruntime_providers_cuda.so");
    return existsSync(path) ? path : undefined;
  },
  missingLibraries: (path) => notFound(spawnSync("ldd", [path], { encoding: "utf8" }).stdout ?? ""),
};

/** The libraries that `ldd` did not find. */
export function notFound(ldd: string): string[] {
  return [...ldd.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1]!);
}

/**
 * Why a device does not work and what helps.
 * @param detail what the runtime said; "" if it does not even offer the device
 */
export function explainFailure(device: Device, detail: string, around: Surroundings = here): string {
  const { platform } = around;
  const said = detail.trim();
  switch (device) {
    case "cpu":
      return said;
    case "cuda":
      return explainCuda(said, around);
    case "webgpu":
      if (!/adapter|vulkan/i.test(said)) return said;
      return platform === "linux"
        ? "there is no WebGPU adapter: Vulkan's loader (libvulkan.so.1) or a driver for a GPU is missing; install the GPU's " +
            "Vulkan driver, or name a software one, lavapipe or SwiftShader, in VK_DRIVER_FILES"
        : "there is no WebGPU adapter: no GPU with a driver for it was found; install the GPU's driver";
    case "dml":
      return platform === "win32" ? said : "DirectML is Windows' alone";
    case "coreml":
      return platform === "darwin" ? said : "Core ML is macOS' alone";
  }
}

function explainCuda(said: string, { platform, cudaLibrary, missingLibraries }: Surroundings): string {
  if (platform !== "linux") return said || `onnxruntime-node has CUDA for Linux x64 alone; on Windows use "dml" or "webgpu"`;
  if (cudaLibrary === undefined) {
    return "ONNX Runtime's CUDA libraries are not installed; `npx tweedie doctor --install-cuda` fetches them";
  }
  const missing = missingLibraries(cudaLibrary);
  if (missing.length > 0) {
    return (
      `the system does not find ${missing.join(", ")}, which ONNX Runtime's CUDA library needs; ` +
      "install CUDA 12 and cuDNN 9 and name their folders in LD_LIBRARY_PATH before starting"
    );
  }
  return /no CUDA-capable device|driver version is insufficient|CUDA failure (100|35)\b/i.test(said)
    ? `there is no NVIDIA GPU, or its driver is too old (${said})`
    : said;
}
