import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import type { Backend, BackendSession } from "../../../lib/runtime/index.js";
import { closeRuntime, type Device, listDevices, openSession, RuntimeError } from "../../../lib/runtime/index.js";
import { adder } from "./tiny-models.js";

afterEach(() => {
  vi.unstubAllEnvs();
});
afterAll(() => closeRuntime());

/** Claims `devices`; opening succeeds on those in `working`. */
function pretended(devices: readonly Device[], working: readonly Device[]): Backend {
  const session: BackendSession = { inputs: [], outputs: [], runMs: 0, run: async () => ({}), release: async () => {} };
  return {
    name: "pretended",
    devices: async () => devices,
    open: async (source, { device }) => {
      if (!working.includes(device)) throw new RuntimeError("openSession", source.name, `no ${device} here`);
      return session;
    },
    upload: () => Promise.reject(new Error("not pretended")),
    stats: () => ({ sessions: 0, residentTensors: 0, residentBytes: 0 }),
    close: async () => {},
  };
}

describe('"auto"', () => {
  test("takes CUDA where it works", async () => {
    const session = await openSession(adder, { backend: pretended(["cpu", "cuda"], ["cpu", "cuda"]) });
    expect(session).toMatchObject({ device: "cuda", deviceNote: undefined });
  });

  test("falls back to the CPU and says why, once aloud", async () => {
    const emitted = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const backend = pretended(["cpu", "cuda"], ["cpu"]);
    const note =
      "cuda was tried first and does not work here: no cuda here. " +
      'It runs on the CPU; device: "cpu" or TWEEDIE_DEVICE=cpu asks for that at once';
    for (let i = 0; i < 2; i++) expect(await openSession(adder, { backend })).toMatchObject({ device: "cpu", deviceNote: note });
    expect(emitted.mock.calls).toEqual([[note, { type: "DeviceWarning" }]]);
    emitted.mockRestore();
  });

  test("the backend's own words for what failed are used", async () => {
    const backend = { ...pretended(["cpu", "cuda"], []), explain: () => "libcudnn.so.9 is missing" };
    await expect(openSession(adder, { backend, device: "cuda" })).rejects.toThrow(
      'openSession: adder: cuda does not work here: libcudnn.so.9 is missing; or use device "cpu"',
    );
  });

  test("does not take WebGPU, which builds offer on machines without a GPU, unless the environment says so", async () => {
    const backend = pretended(["cpu", "webgpu"], ["cpu", "webgpu"]);
    expect((await openSession(adder, { backend })).device).toBe("cpu");
    vi.stubEnv("TWEEDIE_DEVICE", "webgpu");
    expect((await openSession(adder, { backend })).device).toBe("webgpu");
    expect((await openSession(adder, { backend, device: "cpu" })).device).toBe("cpu");
  });
});

test("a device that was asked for is not replaced silently", async () => {
  const backend = pretended(["cpu", "cuda"], ["cpu"]);
  await expect(openSession(adder, { backend, device: "cuda" })).rejects.toThrow(
    'openSession: adder: cuda does not work here: no cuda here; or use device "cpu"',
  );
  await expect(openSession(adder, { backend, device: "dml" })).rejects.toThrow(
    'openSession: device "dml" is not in this build of pretended, which offers cpu, cuda; choose one of these or "auto"',
  );
});

test("an unknown name in the environment is told where it stands", async () => {
  vi.stubEnv("TWEEDIE_DEVICE", "gpu");
  await expect(openSession(adder)).rejects.toThrow(/device "gpu" \(TWEEDIE_DEVICE\) is not in this build/);
});

test("the installed ONNX Runtime offers the CPU", async () => {
  expect(await listDevices()).toContain("cpu");
});
