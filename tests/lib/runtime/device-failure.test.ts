import { expect, test } from "vitest";
import { explainFailure, notFound, type Surroundings } from "../../../lib/runtime/device-failure.js";

function linux(around: Partial<Surroundings> = {}): Surroundings {
  return { platform: "linux", cudaLibrary: "/lib/cuda.so", missingLibraries: () => [], ...around };
}

test("libraries that the system does not find are read from ldd's answer", () => {
  const ldd = `	linux-vdso.so.1 (0x00007ffd8a5f2000)
	libcublasLt.so.12 => not found
	libcudnn.so.9 => not found
	libstdc++.so.6 => /lib/x86_64-linux-gnu/libstdc++.so.6 (0x00007f0a9d400000)
`;
  expect(notFound(ldd)).toEqual(["libcublasLt.so.12", "libcudnn.so.9"]);
  expect(notFound("	statically linked\n")).toEqual([]);
});

test("CUDA: missing libraries are named, with how to get them", () => {
  expect(explainFailure("cuda", "Failed to load shared library", linux({ cudaLibrary: undefined }))).toMatch(
    /CUDA libraries are not installed; `npx tweedie doctor --install-cuda`/,
  );
  const missing = linux({ missingLibraries: () => ["libcublasLt.so.12", "libcudnn.so.9"] });
  expect(explainFailure("cuda", "Failed to load shared library", missing)).toBe(
    "the system does not find libcublasLt.so.12, libcudnn.so.9, which ONNX Runtime's CUDA library needs; " +
      "install CUDA 12 and cuDNN 9 and name their folders in LD_LIBRARY_PATH before starting",
  );
  const driver = "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version";
  expect(explainFailure("cuda", driver, linux())).toBe(`there is no NVIDIA GPU, or its driver is too old (${driver})`);
  expect(explainFailure("cuda", "out of memory", linux())).toBe("out of memory");
});

test("WebGPU: no adapter is told apart from other failures", () => {
  expect(explainFailure("webgpu", "Failed to get a WebGPU adapter: No supported adapters", linux())).toMatch(
    /no WebGPU adapter: .*libvulkan\.so\.1.*VK_DRIVER_FILES/,
  );
  expect(explainFailure("webgpu", "Not enough memory", linux())).toBe("Not enough memory");
});

test("devices of other systems are said to be theirs", () => {
  expect(explainFailure("dml", "", linux())).toBe("DirectML is Windows' alone");
  expect(explainFailure("coreml", "", linux())).toBe("Core ML is macOS' alone");
  expect(explainFailure("cuda", "", linux({ platform: "darwin" }))).toMatch(/Linux x64 alone/);
});
