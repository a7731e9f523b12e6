import { float, initializerOf, type Model, toAttributes } from "../../../../lib/onnx/index.js";
import { float32, int64 } from "../../../../lib/tensor/index.js";

/** y = LeakyRelu(reshape(x, [n, 2]) · w, 0.5) with w = diag(1, -1) */
export const leakyModel: Model = {
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
    valueInfo: [{ name: "h", dtype: "float32" }],
  },
};
