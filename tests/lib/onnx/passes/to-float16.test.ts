import { readFileSync } from "node:fs";
import ort from "onnxruntime-node";
import { expect, test } from "vitest";
import { decodeModel, encodeModel, type Graph, initializerOf, toFloat16 } from "../../../../lib/onnx/index.js";
import { float32, int64 } from "../../../../lib/tensor/index.js";

const empty: Graph = { name: "g", nodes: [], initializers: [], inputs: [], outputs: [], valueInfo: [] };

test("toFloat16 halves float32 weights and casts them back under their names", () => {
  const graph = toFloat16({ ...empty, initializers: [initializerOf("w", float32([1, -0.5]))] }, { minElements: 1 });
  expect(graph.initializers).toEqual([
    { name: "w_float16", dtype: "float16", shape: [2], data: { kind: "bytes", bytes: Uint8Array.of(0, 0x3c, 0, 0xb8) } },
  ]);
  expect(graph.nodes).toMatchObject([{ opType: "Cast", inputs: ["w_float16"], outputs: ["w"] }]);
  expect(graph.nodes[0]!.attributes.to).toEqual({ type: "int", value: 1 });
});

test("toFloat16 leaves small weights, integers, input defaults, and weights that would overflow", () => {
  const graph: Graph = {
    ...empty,
    inputs: [{ name: "default", dtype: "float32", shape: [2] }],
    initializers: [
      initializerOf("small", float32([1])),
      initializerOf("index", int64([1, 2])),
      initializerOf("default", float32([1, 2])),
      initializerOf("large", float32([65520, 2])),
    ],
  };
  expect(toFloat16(graph, { minElements: 2 })).toEqual(graph);
});

test("a model with float16 weights runs, differs by weight rounding alone, and is smaller", async () => {
  const bytes = readFileSync(new URL("../../../golden/torch-exports/conv-net-opset17.onnx", import.meta.url));
  const golden = JSON.parse(readFileSync(new URL("../../../golden/torch-exports/conv-net.json", import.meta.url), "utf8"));
  const model = decodeModel(bytes);
  const half = encodeModel({ ...model, graph: toFloat16(model.graph, { minElements: 100 }) });
  expect(bytes.length - half.length).toBeGreaterThan(1000);
  const session = await ort.InferenceSession.create(half);
  const { y } = await session.run({ image: new ort.Tensor("float32", Float32Array.from(golden.x.data), golden.x.shape) });
  await session.release();
  const errors = Array.from(y!.data as Float32Array, (v, i) => Math.abs(v - golden.y.data[i]));
  expect(Math.max(...errors)).toBeGreaterThan(0);
  expect(Math.max(...errors)).toBeLessThan(1e-3);
});
