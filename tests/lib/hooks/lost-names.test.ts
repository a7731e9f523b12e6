import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Module, moduleTree } from "../../../lib/hooks/index.js";
import { decodeModel, type Graph, type Model, type Node, toAttributes, toFloat16 } from "../../../lib/onnx/index.js";
import { GraphBuilder, initialize, type UNetConfig, unet2dCondition } from "../../../lib/program/index.js";
import { Rng } from "../../../lib/tensor/index.js";

const config: UNetConfig = {
  in_channels: 4,
  out_channels: 4,
  block_out_channels: [8, 16],
  layers_per_block: 1,
  down_block_types: ["CrossAttnDownBlock2D", "DownBlock2D"],
  up_block_types: ["UpBlock2D", "CrossAttnUpBlock2D"],
  norm_num_groups: 4,
  norm_eps: 1e-5,
  attention_head_dim: 2,
  cross_attention_dim: 12,
  sample_size: 8,
};

function unet(): Model {
  const g = new GraphBuilder({ name: "unet" });
  const sample = g.input("sample", "float32", ["batch", 4, 8, 8]);
  const output = unet2dCondition(
    g,
    config,
    sample,
    g.input("timestep", "int64", []),
    g.input("text", "float32", ["batch", 5, 12]),
  );
  g.output(output, "out_sample");
  return g.model({ weights: initialize(g.parameters.values(), new Rng(0)) });
}

/** The graph as older exporters name nodes. */
const withoutNames = (graph: Graph): Graph => ({
  ...graph,
  nodes: graph.nodes.map((n, i) => ({ ...n, name: `${n.opType}_${i}`, metadata: {} })),
});
const outputsOf = (modules: readonly Module[]): Map<string, string | undefined> =>
  new Map(modules.map((m) => [m.path, m.outputs.at(-1)?.value]));

const named = unet();
const inputShapes = { sample: [2, 4, 8, 8] };
const tree = moduleTree(named.graph, { opset: 18, inputShapes });
const withWeights = tree.modules().filter((m) => m.parameters > 0);

describe("modules of graphs that lost their names", () => {
  const lost = moduleTree(withoutNames(named.graph), { opset: 18, inputShapes });

  it("are all that have weights, with the outputs and parameters they have by name", () => {
    expect(
      lost
        .modules()
        .map((m) => m.path)
        .toSorted(),
    ).toEqual(withWeights.map((m) => m.path).toSorted());
    expect(outputsOf(lost.modules())).toEqual(outputsOf(withWeights));
    for (const m of lost.modules()) expect(m.parameters, m.path).toBe(withWeights.find((w) => w.path === m.path)?.parameters);
  });
  it("have the attentions they have by name", () => {
    const probs = (t: typeof tree): string[] =>
      t.find("**.{q,k,v,scores,probs,z}").map((p) => `${p.path} ${p.value} ${p.axes} ${p.shape}`);
    expect(probs(lost)).toEqual(probs(tree));
    expect(probs(lost)).toHaveLength(6 * 8);
  });
  it("are found under a wrapper's name", () => {
    const graph = withoutNames(named.graph);
    const wrapped = new Map(
      graph.initializers.flatMap((w) => (w.name.startsWith("constant.") ? [] : [[w.name, `unet.${w.name}`]])),
    );
    const inner = moduleTree(
      {
        ...graph,
        initializers: graph.initializers.map((w) => ({ ...w, name: wrapped.get(w.name) ?? w.name })),
        nodes: graph.nodes.map((n) => ({ ...n, inputs: n.inputs.map((i) => wrapped.get(i) ?? i) })),
      },
      { opset: 18, inputShapes },
    );
    expect(inner.modules().map((m) => m.path)).toEqual(lost.modules().map((m) => m.path));
  });
  it.each([14, 17])("of a PyTorch export at opset %i are its blocks and biased layers", (opset) => {
    const { graph } = decodeModel(readFileSync(new URL(`../../golden/torch-attention/opset${opset}.onnx`, import.meta.url)));
    const [by, without] = [graph, withoutNames(graph)].map((g) => moduleTree(g, { opset }));
    // PyTorch drops the names of weights it transposes: layers without bias are lost.
    const kept = by!.modules().filter((m) => m.parameters > 0 && !/to_[qkv]$/.test(m.path));
    expect(outputsOf(without!.modules())).toEqual(outputsOf(kept));
    expect(without!.find("**.probs").map((p) => [p.path, p.value])).toEqual(by!.find("**.probs").map((p) => [p.path, p.value]));
  });
});

describe("parameters and outputs of graphs in other number formats", () => {
  const values = (m: Model): [string, number, string | undefined][] =>
    moduleTree(m.graph, { opset: 18, inputShapes })
      .modules()
      .filter((m) => m.parameters > 0)
      .map((m) => [m.path, m.parameters, m.outputs.at(-1)?.value]);
  const expected = values(named);

  it("are the same in float16", () => {
    expect(values({ ...named, graph: toFloat16(named.graph, { minElements: 1 }) })).toEqual(expected);
  });
  it("are the same with 8-bit weights, scales and zero points not counted", () => {
    for (const names of [(g: Graph) => g, withoutNames]) {
      const graph = names(dequantized(named.graph));
      expect(graph.initializers.filter((w) => w.dtype === "int8").length).toBeGreaterThan(50);
      expect(values({ ...named, graph }).toSorted()).toEqual(expected.toSorted());
    }
  });
  it("are the same with 8-bit products of what is quantized as it comes", () => {
    const graph = dynamicallyQuantized(named.graph);
    expect(graph.nodes.filter((n) => n.opType === "MatMulInteger").length).toBeGreaterThan(10);
    const quantized = new Map(values({ ...named, graph }).map(([path, parameters, value]) => [path, [parameters, value]]));
    for (const [path, parameters, value] of expected) {
      expect(quantized.get(path), path).toEqual([parameters, value]);
    }
  });
});

/** Weights of at least two axes as int8 with one scale per row, as QDQ quantizers store them. */
function dequantized(graph: Graph): Graph {
  const added: Node[] = [];
  const initializers = graph.initializers.flatMap((w) => {
    if (w.dtype !== "float32" || w.shape.length < 2 || w.name.startsWith("constant")) return [w];
    const [name, scale, zero] = [`${w.name}_quantized`, `${w.name}_scale`, `${w.name}_zero_point`];
    const rows = w.shape[0]!;
    const bytes = (count: number): { kind: "bytes"; bytes: Uint8Array } => ({ kind: "bytes", bytes: new Uint8Array(count) });
    added.push({
      opType: "DequantizeLinear",
      domain: "",
      name: `${w.name}_DequantizeLinear`,
      inputs: [name, scale, zero],
      outputs: [w.name],
      attributes: toAttributes({ axis: 0 }),
    });
    return [
      { name, dtype: "int8" as const, shape: w.shape, data: bytes(w.shape.reduce((a, b) => a * b, 1)) },
      { name: scale, dtype: "float32" as const, shape: [rows], data: bytes(4 * rows) },
      { name: zero, dtype: "int8" as const, shape: [rows], data: bytes(rows) },
    ];
  });
  return { ...graph, initializers, nodes: [...added, ...graph.nodes] };
}

/** Products with transposed weights as MatMulInteger between DynamicQuantizeLinear and a scale, as ONNX Runtime's quantizer writes them. */
function dynamicallyQuantized(graph: Graph): Graph {
  const turned = new Map(
    graph.nodes.flatMap((n) =>
      n.opType === "Transpose" && n.inputs[0]!.endsWith(".weight") ? [[n.outputs[0]!, n] as const] : [],
    ),
  );
  const made = new Set<string>();
  const initializers = [...graph.initializers];
  const nodes = graph.nodes.flatMap((node): Node[] => {
    const weight = turned.get(node.inputs[1] ?? "");
    if (node.opType !== "MatMul" || weight === undefined) return [node];
    const [x, y] = [node.inputs[0]!, node.outputs[0]!];
    const stored = weight.inputs[0]!;
    const shape = graph.initializers.find((w) => w.name === stored)!.shape.toReversed();
    const bytes = (count: number): { kind: "bytes"; bytes: Uint8Array } => ({ kind: "bytes", bytes: new Uint8Array(count) });
    initializers.push(
      { name: `${stored}_quantized`, dtype: "int8", shape, data: bytes(shape[0]! * shape[1]!) },
      { name: `${stored}_scale`, dtype: "float32", shape: [1], data: bytes(4) },
      { name: `${stored}_zero_point`, dtype: "int8", shape: [1], data: bytes(1) },
    );
    const step = (opType: string, name: string, inputs: string[], outputs: string[], attributes = {}): Node => ({
      opType,
      domain: "",
      name,
      inputs,
      outputs,
      attributes,
    });
    const quantize = made.has(x)
      ? []
      : [step("DynamicQuantizeLinear", `${x}_QuantizeLinear`, [x], [`${x}_quantized`, `${x}_scale`, `${x}_zero_point`])];
    made.add(x);
    return [
      ...quantize,
      step(
        "MatMulInteger",
        `${node.name}_quant`,
        [`${x}_quantized`, `${stored}_quantized`, `${x}_zero_point`, `${stored}_zero_point`],
        [`${y}_integer`],
      ),
      step("Cast", `${y}_cast`, [`${y}_integer`], [`${y}_float`], toAttributes({ to: 1 })),
      step("Mul", `${node.name}_quant_scales_mul`, [`${x}_scale`, `${stored}_scale`], [`${y}_scale`]),
      step("Mul", `${node.name}_quant_output_scale_mul`, [`${y}_float`, `${y}_scale`], [y]),
    ];
  });
  const kept = nodes.filter((n) => !turned.has(n.outputs[0]!));
  const read = new Set(kept.flatMap((n) => n.inputs));
  return { ...graph, nodes: kept, initializers: initializers.filter((w) => read.has(w.name)) };
}
