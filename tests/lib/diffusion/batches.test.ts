import { expect, test } from "vitest";
import { timestepInput } from "../../../lib/diffusion/batches.js";
import { float32, int64 } from "../../../lib/tensor/index.js";

test("a fractional timestep is cut down for an integer input, as NumPy's astype does in Optimum, and kept for a float one", () => {
  // numpy.array([999.9]).astype(numpy.int64) is [999].
  expect(timestepInput(999.9, { name: "t", dtype: "int64", shape: [] }, 2)).toEqual(int64([999], []));
  expect(timestepInput(0.5, { name: "t", dtype: "int64", shape: ["batch"] }, 2)).toEqual(int64([0, 0]));
  expect(timestepInput(499.5, { name: "t", dtype: "float32", shape: [1] }, 2)).toEqual(float32([499.5], [1]));
});
