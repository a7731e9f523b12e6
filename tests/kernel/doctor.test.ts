import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { candidateDevices, checkInChild } from "../../kernel/device-checks.js";
import { cudaInstallation, describeInstallation, runInstaller } from "../../kernel/install-cuda.js";
import { CLI, temporaryFolder } from "./compiled.js";

const run = promisify(execFile);

/** A script to stand for the one that checks a device. */
function childThat(does: string): string {
  const file = join(temporaryFolder(), "child.mjs");
  writeFileSync(file, does);
  return file;
}

const check = { device: "webgpu", forwardError: 2e-7, trainingError: 1e-6, openMs: 10, runMs: 1, stepMs: 2 };

test("a device that agrees with the CPU is told with its errors and times", async () => {
  const child = childThat(`process.send({ check: ${JSON.stringify(check)} }, () => process.exit())`);
  expect(await checkInChild("webgpu", 30_000, child)).toEqual({
    device: "webgpu",
    status: "ok",
    detail: "error 2e-7 forward, 1e-6 training; opened in 10 ms, run 1.0 ms, training step 2.0 ms",
    check,
  });
});

test.each(["0.02", "NaN"])("an error of %s is told as wrong numbers", async (error) => {
  const child = childThat(
    `process.send({ check: { ...${JSON.stringify(check)}, trainingError: ${error} } }, () => process.exit())`,
  );
  const { status, detail } = await checkInChild("webgpu", 30_000, child);
  expect(status).toBe("wrong");
  expect(detail).toMatch(/^computes other numbers than the CPU: /);
});

test("a native crash is a finding, with the last thing it said", async () => {
  const child = childThat(`process.stderr.write("device lost\\n", () => process.kill(process.pid, "SIGSEGV"))`);
  expect(await checkInChild("webgpu", 30_000, child)).toEqual({
    device: "webgpu",
    status: "crashed",
    detail: "its process ended with SIGSEGV: device lost",
  });
});

test("a device that hangs is left", async () => {
  const child = childThat("setInterval(() => {}, 1000)");
  expect(await checkInChild("cuda", 300, child)).toEqual({
    device: "cuda",
    status: "late",
    detail: "did not finish in 0.3 s; --timeout waits longer",
  });
});

test("the CPU agrees with itself unoptimized, and a device that cannot be here says why", async () => {
  const main = join(CLI, "..", "device-check-main.js");
  expect(await checkInChild("cpu", 60_000, main)).toMatchObject({ status: "ok" });
  const other = process.platform === "linux" ? "dml" : "cuda";
  const finding = await checkInChild(other, 60_000, main);
  expect(finding.status).toBe("unavailable");
  expect(finding.detail).toMatch(/Windows' alone|Linux x64 alone/);
});

test("each system has its devices", () => {
  expect(candidateDevices("linux")).toEqual(["cpu", "cuda", "webgpu"]);
  expect(candidateDevices("win32")).toEqual(["cpu", "dml", "webgpu"]);
  expect(candidateDevices("darwin")).toEqual(["cpu", "coreml", "webgpu"]);
});

test("the CUDA libraries are fetched by onnxruntime-node's own installer, from where it says", () => {
  const plan = cudaInstallation("linux/x64")!;
  expect(plan.files).toContain("libonnxruntime_providers_cuda.so");
  expect(plan.packages).toEqual([expect.objectContaining({ name: "Microsoft.ML.OnnxRuntime.Gpu.Linux" })]);
  expect(describeInstallation(plan)).toContain(plan.packages[0]!.feed);
  expect(cudaInstallation("darwin/arm64")).toBeUndefined();
});

test("the installer is made to install although .npmrc skips it", async () => {
  const script = join(temporaryFolder(), "package", "script");
  mkdirSync(script, { recursive: true });
  const installer = join(script, "install.js");
  writeFileSync(installer, `process.exit(process.env.ONNXRUNTIME_NODE_INSTALL === "true" ? 0 : 3)`);
  const plan = { packages: [], files: [], folder: "", installer };
  expect(await runInstaller(plan)).toBe(0);
});

test.runIf(process.platform === "linux" && process.arch === "x64")("nothing is fetched unasked", async () => {
  const refused = run(process.execPath, [CLI, "doctor", "--install-cuda"]);
  refused.child.stdin!.end();
  await expect(refused).rejects.toMatchObject({
    code: 2,
    stdout: expect.stringMatching(/from https:/),
    stderr: expect.stringMatching(/nothing was fetched; --install-cuda --yes/),
  });
});
