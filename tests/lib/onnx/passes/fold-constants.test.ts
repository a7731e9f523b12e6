import { readFileSync } from "node:fs";
import ort from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import {
  type AttributeInput,
  decodeModel,
  encodeModel,
  float,
  floats,
  foldConstants,
  type Graph,
  initializerOf,
  type Model,
  type Node,
  opsetOf,
  toAttributes,
} from "../../../../lib/onnx/index.js";
import { arrayFromBytes, int64 } from "../../../../lib/tensor/index.js";

function node(opType: string, inputs: string[], output: string, attributes: Record<string, AttributeInput> = {}): Node {
  return { opType, domain: "", name: output, inputs, outputs: [output], attributes: toAttributes(attributes) };
}

function graphOf(nodes: readonly Node[], shape: Graph["inputs"][number]["shape"] & object, extra: Partial<Graph> = {}): Graph {
  const base = { name: "g", initializers: [], outputs: [{ name: "y" }], valueInfo: [] };
  return { ...base, inputs: [{ name: "x", dtype: "float32", shape }], nodes, ...extra };
}

function contents(graph: Graph, name: string): unknown {
  const found = graph.initializers.find((i) => i.name === name);
  if (found === undefined || found.data.kind !== "bytes") return undefined;
  return [found.dtype, found.shape, [...(arrayFromBytes(found.dtype, found.data.bytes) as Iterable<number | bigint>)]];
}

const opTypes = (graph: Graph): string[] => graph.nodes.map((n) => n.opType);

describe("foldConstants", () => {
  test("makes every numeric form of Constant an initializer", () => {
    const forms = {
      a: { value: int64([7]) },
      b: { value_int: -3 },
      c: { value_float: float(0.5) },
      d: { value_ints: [1, 2] },
      e: { value_floats: floats([1.5]) },
    };
    const constants = Object.entries(forms).map(([name, attributes]) => node("Constant", [], name, attributes));
    const folded = foldConstants(graphOf([...constants, node("Custom", Object.keys(forms), "y")], [1]), { opset: 17 });
    expect(opTypes(folded)).toEqual(["Custom"]);
    expect(contents(folded, "a")).toEqual(["int64", [1], [7n]]);
    expect(contents(folded, "b")).toEqual(["int64", [], [-3n]]);
    expect(contents(folded, "c")).toEqual(["float32", [], [0.5]]);
    expect(contents(folded, "d")).toEqual(["int64", [2], [1n, 2n]]);
    expect(contents(folded, "e")).toEqual(["float32", [1], [1.5]]);
  });

  // The target [shape(x)[0], -1] of a flatten, as exporters write it.
  const flatten = [
    node("Shape", ["x"], "s"),
    node("Constant", [], "zero", { value: int64([0], []) }),
    node("Gather", ["s", "zero"], "n"),
    node("Constant", [], "axes", { value: int64([0]) }),
    node("Unsqueeze", ["n", "axes"], "n1"),
    node("Constant", [], "rest", { value: int64([-1]) }),
    node("Concat", ["n1", "rest"], "target", { axis: 0 }),
    node("Reshape", ["x", "target"], "y"),
  ];

  test("computes shape arithmetic over fixed axes and drops what led to it", () => {
    const folded = foldConstants(graphOf(flatten, [2, 3, 4]), { opset: 17 });
    expect(opTypes(folded)).toEqual(["Reshape"]);
    expect(folded.initializers.map((i) => i.name)).toEqual(["target"]);
    expect(contents(folded, "target")).toEqual(["int64", [2], [2n, -1n]]);
  });

  test("leaves shape arithmetic over a named axis, even where a recorded shape has a number", () => {
    const recorded = {
      valueInfo: [{ name: "n1", dtype: "int64", shape: [1] }],
      outputs: [{ name: "y", shape: [2, 12] }],
    } as const;
    const folded = foldConstants(graphOf(flatten, ["batch", 3, 4], recorded), { opset: 17 });
    expect(opTypes(folded)).toEqual(["Shape", "Gather", "Unsqueeze", "Concat", "Reshape"]);
  });

  test("leaves what depends on an input's default, which callers may override", () => {
    const inputs = [
      { name: "x", dtype: "float32", shape: [2] },
      { name: "k", dtype: "int64", shape: [1] },
    ] as const;
    const graph = graphOf([node("Mul", ["k", "k"], "kk"), node("Reshape", ["x", "kk"], "y")], [2], {
      inputs,
      initializers: [initializerOf("k", int64([1]))],
    });
    expect(opTypes(foldConstants(graph, { opset: 17 }))).toEqual(["Mul", "Reshape"]);
  });

  test("graph outputs stay computed by nodes", () => {
    const graph = graphOf([node("Constant", [], "c", { value: int64([1]) }), node("Add", ["c", "c"], "y")], [1]);
    expect(opTypes(foldConstants(graph, { opset: 17 }))).toEqual(["Add"]);
  });

  test("lifts constants inside control flow", () => {
    const body = graphOf([node("Constant", [], "c", { value: int64([1]) }), node("Identity", ["c"], "b")], [1], {
      inputs: [],
      outputs: [{ name: "b", dtype: "int64", shape: [1] }],
    });
    const graph = graphOf([node("If", ["x"], "y", { then_branch: body, else_branch: body })], []);
    const attribute = foldConstants(graph, { opset: 17 }).nodes[0]!.attributes.then_branch;
    expect(attribute?.type === "graph" && opTypes(attribute.value)).toEqual(["Identity"]);
  });

  test.each(["conv-net-opset14", "conv-net-opset17", "attention-opset14", "attention-opset17"])(
    "%s computes the same bits with fewer nodes",
    async (name) => {
      const model = decodeModel(readFileSync(new URL(`../../../golden/torch-exports/${name}.onnx`, import.meta.url)));
      const fixed = fixAxes(model);
      const graph = foldConstants(fixed.graph, { opset: opsetOf(model) });
      expect(opTypes(graph)).not.toContain("Constant");
      expect(opTypes(graph)).not.toContain("Shape");
      expect(graph.nodes.length).toBeLessThan(fixed.graph.nodes.length);
      expect(await outputOf({ ...fixed, graph })).toEqual(await outputOf(fixed));
    },
  );
});

const lengths: Record<string, number> = { batch: 2, height: 4, width: 6, length: 5 };

function fixAxes(model: Model): Model {
  const fix = (d: number | string | undefined): number | undefined => (typeof d === "string" ? lengths[d] : d);
  const inputs = model.graph.inputs.map((i) => ({ ...i, shape: i.shape!.map(fix) }));
  return { ...model, graph: { ...model.graph, inputs } };
}

async function outputOf(model: Model): Promise<unknown> {
  const session = await ort.InferenceSession.create(encodeModel(model), { graphOptimizationLevel: "disabled" });
  const { name, shape } = model.graph.inputs[0]!;
  const size = (shape as number[]).reduce((a, b) => a * b, 1);
  const x = Float32Array.from({ length: size }, (_, i) => Math.sin(i));
  const { y } = await session.run({ [name]: new ort.Tensor("float32", x, shape as number[]) });
  await session.release();
  return [y!.dims, Array.from(y!.data as Float32Array)];
}
