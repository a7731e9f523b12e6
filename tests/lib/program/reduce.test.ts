import { afterAll, expect, it } from "vitest";
import { GraphBuilder } from "../../../lib/program/index.js";
import { closeRuntime, openSession } from "../../../lib/runtime/index.js";
import { float32 } from "../../../lib/tensor/index.js";

afterAll(() => closeRuntime());

it.each([12, 13, 17, 18])("sums, means and maxima over chosen axes run under opset %d", async (opset) => {
  const g = new GraphBuilder({ opset });
  const x = g.input("x", "float32", [2, 3]);
  g.output(x.sum([0]), "sum");
  g.output(x.mean([1], true), "mean");
  g.output(x.max(), "max");
  await using session = await openSession(g.model());
  const { sum, mean, max } = await session.run({ x: float32([1, 2, 3, 4, 6, 8], [2, 3]) });
  expect(sum).toEqual(float32([5, 8, 11], [3]));
  expect(mean).toEqual(float32([2, 6], [2, 1]));
  expect(max).toEqual(float32([8], []));
});
