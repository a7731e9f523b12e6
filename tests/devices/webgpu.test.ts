import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { softwareGpu } from "./software-gpu.js";

type Errors = Readonly<Record<string, number>>;

interface Report {
  readonly forward: Errors;
  readonly generation: Errors;
  readonly sae: Errors;
  readonly convolutions: Errors;
  readonly resident: Readonly<Record<string, readonly number[]>>;
}

const gpu = softwareGpu();

// A process of its own: the loader reads where Vulkan is when a process starts.
describe.skipIf("missing" in gpu)(`WebGPU beside the CPU${"missing" in gpu ? ` (skipped: ${gpu.missing})` : ""}`, () => {
  let report: Report;
  beforeAll(async () => {
    const child = fileURLToPath(new URL("webgpu-child.ts", import.meta.url));
    const env = { ...process.env, ...("env" in gpu ? gpu.env : {}) };
    const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", child], { env, timeout: 500_000 });
    report = JSON.parse(stdout) as Report;
  }, 510_000);

  test("the embedded U-Net predicts the same within 2e-4 of its largest number", () => {
    expect(Object.keys(report.forward)).toEqual(["out_sample"]);
    expect(report.forward.out_sample).toBeLessThan(2e-4);
  });

  test("generations with an edit and captures, one of them reduced, agree within 3e-4", () => {
    expect(Object.keys(report.generation).sort()).toEqual(["latents", "mid_block", "pixels", "up_blocks.0"]);
    for (const error of Object.values(report.generation)) expect(error).toBeLessThan(3e-4);
  });

  test("an SAE of the top k, whose auxiliary loss has no dead features to work with, trains the same within 1e-5", () => {
    expect(Object.keys(report.sae).sort()).toEqual(["W_dec", "W_enc", "b_dec", "b_enc"]);
    for (const error of Object.values(report.sae)) expect(error).toBeLessThan(1e-5);
  });

  test("gradients of convolutions and a norm move the weights the same within 1e-5", () => {
    expect(Object.keys(report.convolutions)).toContain("norm.bias");
    for (const error of Object.values(report.convolutions)) expect(error).toBeLessThan(1e-5);
  });

  test("a state in the device's memory is read, passes to sessions on the CPU, and goes with the runtime", () => {
    // w = (1, −2), m = 0; three times m ← m + w, w ← w − m/2.
    const [m, w] = [1.25, -0.875];
    expect(report.resident).toEqual({
      w: [w, -2 * w],
      m: [m, -2 * m],
      next: [w - (m + w) / 2, -2 * (w - (m + w) / 2)],
      sum: [2 * w, -4 * w],
      held: [2],
      again: [3],
    });
  });
});
