import { afterAll, describe, expect, it } from "vitest";
import { fromBfloat16, type Graph, initializerOf, type Model, usesBfloat16 } from "../../../../lib/onnx/index.js";
import { closeRuntime, openSession } from "../../../../lib/runtime/index.js";
import { bfloat16ToFloat32, float32, float32ToBfloat16, Tensor } from "../../../../lib/tensor/index.js";

afterAll(() => closeRuntime());

const half = (values: readonly number[], shape: readonly number[]): Tensor<"bfloat16"> =>
  new Tensor("bfloat16", float32ToBfloat16(Float32Array.from(values)), shape);
const node = (opType: string, inputs: string[], outputs: string[], attributes = {}): Graph["nodes"][number] => ({
  opType,
  domain: "",
  name: outputs[0]!,
  inputs,
  outputs,
  attributes,
});

/** y = (x·w + c) cast to bfloat16, in a branch that is always taken. */
const graph: Graph = {
  name: "half",
  nodes: [
    node("Constant", [], ["c"], { value: { type: "tensor", value: initializerOf("", half([0.1], [1])) } }),
    node("If", ["yes"], ["chosen"], {
      then_branch: {
        type: "graph",
        value: {
          name: "then",
          nodes: [node("Mul", ["x", "w"], ["product"])],
          initializers: [],
          inputs: [],
          outputs: [{ name: "product", dtype: "bfloat16", shape: [2] }],
          valueInfo: [],
        },
      },
      else_branch: {
        type: "graph",
        value: {
          name: "else",
          nodes: [node("Identity", ["x"], ["same"])],
          initializers: [],
          inputs: [],
          outputs: [{ name: "same", dtype: "bfloat16", shape: [2] }],
          valueInfo: [],
        },
      },
    }),
    node("Add", ["chosen", "c"], ["sum"]),
    node("Cast", ["sum"], ["y"], { to: { type: "int", value: 16 } }),
  ],
  initializers: [initializerOf("w", half([1.1, -2.3], [2])), initializerOf("yes", new Tensor("bool", Uint8Array.of(1), []))],
  inputs: [{ name: "x", dtype: "bfloat16", shape: [2] }],
  outputs: [{ name: "y", dtype: "bfloat16", shape: [2] }],
  valueInfo: [{ name: "sum", dtype: "bfloat16", shape: [2] }],
};

describe("fromBfloat16", () => {
  it("computes in float32 with the weights as they are stored, in branches and constants too", async () => {
    expect(usesBfloat16(graph)).toBe(true);
    const widened = fromBfloat16(graph);
    expect(widened.initializers[0]).toMatchObject({ dtype: "bfloat16", data: graph.initializers[0]!.data });
    expect([widened.inputs[0]!.dtype, widened.outputs[0]!.dtype]).toEqual(["float32", "float32"]);
    const model: Model = { irVersion: 8, opsets: [{ domain: "", version: 18 }], graph: widened };
    await using session = await openSession(model);
    const { y } = await session.run({ x: float32([3, 5]) });
    const [w0, w1, c] = bfloat16ToFloat32(float32ToBfloat16(Float32Array.of(1.1, -2.3, 0.1)));
    expect([...(y!.data as Float32Array)]).toEqual([
      Math.fround(Math.fround(3 * w0!) + c!),
      Math.fround(Math.fround(5 * w1!) + c!),
    ]);
  });
  it("leaves a graph without it alone", () => {
    const widened = fromBfloat16(graph);
    const stored = widened.initializers.filter((w) => w.dtype !== "bfloat16");
    expect(usesBfloat16({ ...widened, initializers: stored })).toBe(false);
  });
});
