import { describe, expect, it } from "vitest";
import { type Graph, initializerOf, type Node, type ValueInfo } from "../../../../lib/onnx/graph.js";
import { inferGraph, inferNode, ShapeError } from "../../../../lib/onnx/infer/index.js";
import { float32, int64, Tensor } from "../../../../lib/tensor/index.js";
import { infer, knownScalar, node, of } from "./graphs.js";

function graph(parts: Partial<Graph> & { nodes: readonly Node[] }): Graph {
  return { name: "g", initializers: [], inputs: [], outputs: [], valueInfo: [], ...parts };
}

const image: ValueInfo = { name: "x", dtype: "float32", shape: ["batch", 4, "height", "width"] };

/** What exporters write for x.view(x.shape[0], -1, 2): Shape, Gather, Unsqueeze, Concat, Reshape. */
const viewed = graph({
  inputs: [image],
  initializers: [initializerOf("zero", int64([0], [])), initializerOf("axis", int64([0])), initializerOf("rest", int64([-1, 2]))],
  nodes: [
    node("Shape", ["x"], {}, ["shape"]),
    node("Gather", ["shape", "zero"], {}, ["first"]),
    node("Unsqueeze", ["first", "axis"], {}, ["row"]),
    node("Concat", ["row", "rest"], { axis: 0 }, ["target"]),
    node("Reshape", ["x", "target"], {}, ["y"]),
  ],
});

describe("inferGraph", () => {
  it("follows shape arithmetic with numbers and with names", () => {
    const sized = inferGraph(viewed, { opset: 17, inputShapes: { x: [3, 4, 5, 6] } });
    expect(sized.get("target")).toEqual({ dtype: "int64", shape: [3], value: [3, -1, 2] });
    expect(sized.get("y")).toEqual({ dtype: "float32", shape: [3, 60, 2] });
    const named = inferGraph(viewed, { opset: 17 });
    expect(named.get("target")).toEqual({ dtype: "int64", shape: [3], partial: ["batch", -1, 2] });
    expect(named.get("y")).toEqual({ dtype: "float32", shape: ["batch", undefined, 2] });
  });

  it("knows inputs and initializers too", () => {
    const values = inferGraph(viewed, { opset: 17 });
    expect(values.get("x")).toEqual({ dtype: "float32", shape: ["batch", 4, "height", "width"] });
    expect(values.get("rest")).toEqual({ dtype: "int64", shape: [2], value: [-1, 2] });
  });

  it("reads half-float initializers", () => {
    // 0x3c00 is 1, 0xc100 is -2.5, 0x0001 the smallest subnormal 2⁻²⁴; bfloat16 0x3fc0 is 1.5.
    const half = initializerOf("half", new Tensor("float16", Uint16Array.of(0x3c00, 0xc100, 1, 0x7c00), [4]));
    const brain = initializerOf("brain", new Tensor("bfloat16", Uint16Array.of(0x3fc0), [1]));
    const values = inferGraph(graph({ nodes: [], initializers: [half, brain] }), { opset: 17 });
    expect(values.get("half")!.value).toEqual([1, -2.5, 2 ** -24, Number.POSITIVE_INFINITY]);
    expect(values.get("brain")!.value).toEqual([1.5]);
  });

  it("does not read large or external initializers", () => {
    const large = initializerOf("large", float32(new Float32Array(1025)));
    const data = { kind: "external", location: "weights", offset: 0, length: 8 } as const;
    const values = inferGraph(graph({ nodes: [], initializers: [large, { name: "far", dtype: "int64", shape: [1], data }] }), {
      opset: 17,
    });
    expect(values.get("large")).toEqual({ dtype: "float32", shape: [1025] });
    expect(values.get("far")).toEqual({ dtype: "int64", shape: [1] });
  });

  it("a length given for a name holds for every input that bears it", () => {
    const text: ValueInfo = { name: "text", dtype: "float32", shape: ["batch", "tokens", 8] };
    const values = inferGraph(graph({ inputs: [image, text], nodes: [] }), { opset: 17, inputShapes: { x: [2, 4, 16, 16] } });
    expect(values.get("text")!.shape).toEqual([2, "tokens", 8]);
  });

  it("contents given for an input decide shapes", () => {
    const size: ValueInfo = { name: "size", dtype: "int64", shape: [2] };
    const g = graph({ inputs: [size], nodes: [node("ConstantOfShape", ["size"], {}, ["y"])] });
    expect(inferGraph(g, { opset: 17, inputValues: { size: [5, 6] } }).get("y")!.shape).toEqual([5, 6]);
    expect(inferGraph(g, { opset: 17 }).get("y")!.shape).toEqual([undefined, undefined]);
  });

  it("an unknown operator has unknown outputs, or those the graph declares for the same input shapes", () => {
    const unknown: Node = { ...node("Mystery", ["x"], {}, ["y"]), domain: "example" };
    const g = graph({
      inputs: [{ ...image, shape: [1, 4, 8, 8] }],
      nodes: [unknown],
      valueInfo: [{ name: "y", dtype: "float32", shape: [1, 2] }],
    });
    expect(inferGraph({ ...g, valueInfo: [] }, { opset: 17 }).get("y")).toEqual({});
    expect(inferGraph(g, { opset: 17 }).get("y")).toEqual({ dtype: "float32", shape: [1, 2] });
    expect(inferGraph(g, { opset: 17, inputShapes: { x: [2, 4, 8, 8] } }).get("y")).toEqual({});
  });

  it("refuses shapes for inputs that do not exist or have another rank", () => {
    expect(() => inferGraph(viewed, { opset: 17, inputShapes: { sample: [1] } })).toThrow(
      'inferGraph: no input "sample"; the graph has x',
    );
    expect(() => inferGraph(viewed, { opset: 17, inputShapes: { x: [1, 4] } })).toThrow('input "x" has 4 axes, got 2: [1,4]');
  });

  it("a ShapeError is a RangeError that carries operator and node", () => {
    const named: Node = { ...node("Conv", ["x", "w"], {}, ["y"]), name: "/down/conv1" };
    const g = graph({
      inputs: [image],
      initializers: [initializerOf("w", float32(new Float32Array(3 * 9), [1, 3, 3, 3]))],
      nodes: [named],
    });
    const failing = () => inferGraph(g, { opset: 17 });
    expect(failing).toThrow(RangeError);
    expect(failing).toThrow('Conv "/down/conv1": input has 4 channels, the weight [1,3,3,3] needs 3');
    try {
      failing();
    } catch (error) {
      expect(error).toBeInstanceOf(ShapeError);
      expect(error).toMatchObject({ opType: "Conv", node: "/down/conv1", name: "ShapeError" });
    }
  });
});

describe("subgraphs", () => {
  const body = graph({
    nodes: [
      node("Concat", ["state", "outer"], { axis: 0 }, ["next"]),
      node("Identity", ["go"], {}, ["on"]),
      node("Neg", ["i"], {}, ["seen"]),
    ],
    inputs: [{ name: "i", dtype: "int64", shape: [] }, { name: "go", dtype: "bool", shape: [] }, { name: "state" }],
    outputs: [{ name: "on" }, { name: "next" }, { name: "seen" }],
  });

  it("a Loop's growing value loses the axis that grows; scanned values get the number of trips", () => {
    const loop = node("Loop", ["trips", null, "start"], { body }, ["end", "all"]);
    const outer = (name: string) => (name === "outer" ? of([2, 8]) : undefined);
    const [end, all] = inferNode(loop, [knownScalar(5), undefined, of([2, 8])], { opset: 21, outer });
    expect(end).toEqual({ dtype: "float32", shape: [undefined, 8] });
    expect(all).toEqual({ dtype: "int64", shape: [5] });
  });

  it("a Loop that is never entered passes its values on", () => {
    const loop = node("Loop", ["trips", "go", "start"], { body }, ["end", "all"]);
    const [end, all] = inferNode(loop, [knownScalar(5), knownScalar(0, "bool"), of([2, 8])], { opset: 21 });
    expect(end!.shape).toEqual([2, 8]);
    expect(all!.shape).toEqual([0]);
  });

  it("the number of trips is unknown when the body may end the loop", () => {
    const ending = { ...body, nodes: body.nodes.with(1, node("IsNaN", ["i"], {}, ["on"])) };
    const loop = node("Loop", ["trips", null, "start"], { body: ending }, ["end", "all"]);
    expect(inferNode(loop, [knownScalar(5), undefined, of([2, 8])], { opset: 21 })[1]!.shape).toEqual([undefined]);
  });

  it("an error inside a body names the inner node", () => {
    const loop = node("Loop", ["trips", null, "start"], { body }, ["end", "all"]);
    const outer = () => of([2, 9]);
    expect(() => inferNode(loop, [knownScalar(5), undefined, of([2, 8])], { opset: 21, outer })).toThrow(
      'Concat "next": inputs [2,8], [2,9]',
    );
  });

  it("If takes the branch that is known, or what both have in common", () => {
    const branch = (op: string, axes: number) =>
      graph({
        nodes: [node(op, ["x", "axes"], {}, ["y"])],
        outputs: [{ name: "y" }],
        initializers: [initializerOf("axes", int64([axes]))],
      });
    const call = node("If", ["condition"], { then_branch: branch("ReduceSum", 0), else_branch: branch("ReduceMax", 1) }, ["y"]);
    const context = { opset: 21, outer: (name: string) => (name === "x" ? of([2, 3, 4]) : undefined) };
    expect(inferNode(call, [knownScalar(1, "bool")], context)[0]!.shape).toEqual([1, 3, 4]);
    expect(inferNode(call, [knownScalar(0, "bool")], context)[0]!.shape).toEqual([2, 1, 4]);
    expect(inferNode(call, [of([], "bool")], context)[0]!.shape).toEqual([undefined, undefined, 4]);
  });

  it("Scan walks an axis and stacks results along another", () => {
    const step = graph({
      nodes: [node("Add", ["state", "column"], {}, ["next"]), node("Identity", ["next"], {}, ["seen"])],
      inputs: [{ name: "state" }, { name: "column" }],
      outputs: [{ name: "next" }, { name: "seen" }],
    });
    const [last, all] = infer(
      "Scan",
      [of([3]), of([3, "time"])],
      { body: step, num_scan_inputs: 1, scan_input_axes: [1], scan_output_axes: [-1] },
      { outputs: 2 },
    );
    expect(last!.shape).toEqual([3]);
    expect(all!.shape).toEqual([3, "time"]);
  });
});
