import ort from "onnxruntime-node";
import { expect, test } from "vitest";
import { encodeModel, float, initializerOf, type Model, toAttributes } from "../../../../lib/onnx/index.js";
import { float32, int64 } from "../../../../lib/tensor/index.js";

/** y = LeakyRelu(reshape(x, [2, 2]) · w, 0.5) */
const model: Model = {
  irVersion: 9,
  opsets: [{ domain: "", version: 17 }],
  producerName: "tweedie",
  metadata: { made: "by hand" },
  graph: {
    name: "leaky",
    nodes: [
      { opType: "Reshape", domain: "", name: "r", inputs: ["x", "shape"], outputs: ["x2"], attributes: {} },
      { opType: "MatMul", domain: "", name: "m", inputs: ["x2", "w"], outputs: ["h"], attributes: {} },
      {
        opType: "LeakyRelu",
        domain: "",
        name: "a",
        inputs: ["h"],
        outputs: ["y"],
        attributes: toAttributes({ alpha: float(0.5) }),
        metadata: { scope: "net.act" },
      },
    ],
    initializers: [initializerOf("w", float32([1, 0, 0, -1], [2, 2])), initializerOf("shape", int64([-1, 2]))],
    inputs: [{ name: "x", dtype: "float32", shape: ["n"] }],
    outputs: [{ name: "y", dtype: "float32", shape: [undefined, 2] }],
    valueInfo: [],
  },
};

test("onnxruntime runs a model built by hand", async () => {
  const session = await ort.InferenceSession.create(encodeModel(model));
  const { y } = await session.run({ x: new ort.Tensor("float32", Float32Array.of(1, 2, 3, 4), [4]) });
  expect(y!.dims).toEqual([2, 2]);
  expect(Array.from(y!.data as Float32Array)).toEqual([1, -1, 3, -2]);
  await session.release();
});

test("an int attribute that is no integer is refused", () => {
  const node = { ...model.graph.nodes[2]!, attributes: { axis: { type: "int", value: 0.5 } as const } };
  expect(() => encodeModel({ ...model, graph: { ...model.graph, nodes: [node] } })).toThrow(/axis must be a safe integer/);
});
