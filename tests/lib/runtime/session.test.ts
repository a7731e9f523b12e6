import { expect, test } from "vitest";
import { openSession, runtimeStats } from "../../../lib/runtime/index.js";
import { float32 } from "../../../lib/tensor/index.js";
import { adder } from "./tiny-models.js";

test("a session adds two tensors", async () => {
  const session = await openSession(adder);
  const { y } = await session.run({ a: float32([1, 2]), b: float32([10, 20]) });
  expect(y).toEqual(float32([11, 22]));
  await session.release();
  expect(runtimeStats()).toEqual({ sessions: 0, residentTensors: 0, residentBytes: 0 });
});
