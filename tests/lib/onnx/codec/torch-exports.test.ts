import { readFileSync } from "node:fs";
import ort from "onnxruntime-node";
import { expect, test } from "vitest";
import { decodeModel, encodeModel, type Model } from "../../../../lib/onnx/index.js";

interface Golden {
  readonly input: string;
  readonly x: { readonly shape: readonly number[]; readonly data: readonly number[] };
  readonly y: { readonly shape: readonly number[]; readonly data: readonly number[] };
}

const folder = new URL("../../../golden/torch-exports/", import.meta.url);

function read(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`${name}.onnx`, folder)));
}

/** The same model with every object replaced, so that nothing can be copied from the source. */
function rebuild({ graph, ...model }: Model): Model {
  return {
    ...model,
    graph: {
      ...graph,
      nodes: graph.nodes.map((node) => ({
        ...node,
        attributes: Object.fromEntries(Object.entries(node.attributes).map(([name, a]) => [name, rebuildAttribute(a)])),
      })),
      initializers: graph.initializers.map((i) => ({ ...i })),
      inputs: graph.inputs.map((i) => ({ ...i })),
      outputs: graph.outputs.map((o) => ({ ...o })),
      valueInfo: graph.valueInfo.map((v) => ({ ...v })),
    },
  };
}

function rebuildAttribute(a: Model["graph"]["nodes"][number]["attributes"][string]): typeof a {
  return a.type === "tensor" ? { ...a, value: { ...a.value } } : { ...a };
}

for (const net of ["conv-net", "attention"]) {
  const golden = JSON.parse(readFileSync(new URL(`${net}.json`, folder), "utf8")) as Golden;
  for (const opset of [14, 17]) {
    const name = `${net}-opset${opset}`;

    test(`${name} round-trips byte for byte`, () => {
      const bytes = read(name);
      expect(Buffer.compare(encodeModel(decodeModel(bytes)), bytes)).toBe(0);
    });

    test(`${name} means the same after every object is rebuilt`, async () => {
      const model = rebuild(decodeModel(read(name)));
      const bytes = encodeModel(model);
      expect(decodeModel(bytes)).toEqual(model);
      const session = await ort.InferenceSession.create(bytes);
      const x = new ort.Tensor("float32", Float32Array.from(golden.x.data), golden.x.shape);
      const { y } = await session.run({ [golden.input]: x });
      expect(y!.dims).toEqual(golden.y.shape);
      const actual = y!.data as Float32Array;
      for (const [i, expected] of golden.y.data.entries()) expect(actual[i]).toBeCloseTo(expected, 5);
      await session.release();
    });
  }
}
