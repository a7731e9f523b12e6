import { existsSync } from "node:fs";

/** SwiftShader, Vulkan on the processor, as Debian's chromium packages bring it. */
const chromium = "/usr/lib/chromium";

/**
 * The environment in which a process finds a WebGPU adapter. The dynamic loader reads it when a process starts, so it is
 * for children.
 * @returns what to add to the environment, or why there is none
 */
export function softwareGpu(): { readonly env: Readonly<Record<string, string>> } | { readonly missing: string } {
  if (process.env.VK_DRIVER_FILES ?? process.env.VK_ICD_FILENAMES) return { env: {} };
  const driver = `${chromium}/vk_swiftshader_icd.json`;
  for (const file of [driver, `${chromium}/libvulkan.so.1`]) {
    if (!existsSync(file)) return { missing: `${file} is missing; install chromium, or name a Vulkan driver in VK_DRIVER_FILES` };
  }
  return { env: { LD_LIBRARY_PATH: chromium, VK_DRIVER_FILES: driver, VK_ICD_FILENAMES: driver } };
}
