import ort from "onnxruntime-node";
import { expect, test } from "vitest";
import { encodeModel } from "../../../../lib/onnx/index.js";
import { leakyModel } from "./leaky-model.js";

test("onnxruntime runs a model built by hand", async () => {
  const session = await ort.InferenceSession.create(encodeModel(leakyModel));
  const { y } = await session.run({ x: new ort.Tensor("float32", Float32Array.of(1, 2, 3, 4), [4]) });
  expect(y!.dims).toEqual([2, 2]);
  expect(Array.from(y!.data as Float32Array)).toEqual([1, -1, 3, -2]);
  await session.release();
});

test("an int attribute that is no integer is refused", () => {
  const { graph } = leakyModel;
  const node = { ...graph.nodes[2]!, attributes: { axis: { type: "int", value: 0.5 } as const } };
  expect(() => encodeModel({ ...leakyModel, graph: { ...graph, nodes: [node] } })).toThrow(/axis must be a safe integer/);
});

test("weights whose bytes do not fill their shape are refused", () => {
  const { graph } = leakyModel;
  const short = { ...graph.initializers[0]!, shape: [2, 3] };
  expect(() => encodeModel({ ...leakyModel, graph: { ...graph, initializers: [short] } })).toThrow(
    "initializer w: float32[2, 3] needs 24 bytes, got 16",
  );
});

test("a model above 2 GiB is refused before memory is taken for it", () => {
  const { graph } = leakyModel;
  const part = { dtype: "uint8", shape: [2 ** 28], data: { kind: "bytes", bytes: new Uint8Array(2 ** 28) } } as const;
  const initializers = Array.from({ length: 8 }, (_, i) => ({ ...part, name: `part${i}` }));
  expect(() => encodeModel({ ...leakyModel, graph: { ...graph, initializers } })).toThrow(/save it with { externalData: true }/);
});
