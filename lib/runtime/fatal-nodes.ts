import { type Graph, type Node, subgraphsOf } from "../onnx/index.js";

/**
 * Inputs that kernels of ONNX Runtime 1.30's CPU provider read without looking whether they are there, by operator of
 * com.microsoft: without them the process ends. A test holds this to the runtime, which may have learned to look.
 */
const readUnseen: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  Attention: { 2: "bias" },
  AttnLSTM: { 9: "query_layer_weights", 11: "attention_v" },
  QLinearLeakyRelu: { 4: "Y_zero_point" },
  QLinearSigmoid: { 4: "Y_zero_point" },
  QMoE: { 3: "fc1_scales", 6: "fc2_scales" },
};

/**
 * What in a graph would end the process when the CPU runs it, in words; undefined where nothing is known to. Inputs that are
 * empty only once they are computed are not seen.
 */
export function fatalNode(graph: Graph, outerEmpty: ReadonlySet<string> = new Set()): string | undefined {
  const empty = new Set(outerEmpty);
  for (const { name, shape } of graph.initializers) if (shape.includes(0)) empty.add(name);
  for (const node of graph.nodes) {
    const { value } = node.attributes;
    if (node.opType === "Constant" && value?.type === "tensor" && value.value.shape.includes(0)) empty.add(node.outputs[0]!);
    if (node.domain === "com.microsoft") {
      const wrong = fatalInput(node, empty);
      if (wrong !== undefined) return `node "${node.name}" (com.microsoft.${node.opType}) ${wrong}`;
    }
    for (const body of subgraphsOf(node)) {
      const inside = fatalNode(body, empty);
      if (inside !== undefined) return inside;
    }
  }
  return undefined;
}

function fatalInput({ opType, inputs }: Node, empty: ReadonlySet<string>): string | undefined {
  const needed = readUnseen[opType] ?? {};
  const missing = Object.entries(needed).find(([index]) => (inputs[Number(index)] ?? "") === "");
  if (missing !== undefined) return lacks(`${missing[0]} (${missing[1]})`);
  const gap = opType === "QLinearConcat" ? inputs.indexOf("") : -1;
  if (gap >= 0) return lacks(String(gap));
  const hollow = inputs.findIndex((name) => empty.has(name));
  if (hollow < 0) return undefined;
  return `has a constant without elements as input ${hollow}, which ends ONNX Runtime's process; give it elements or leave it out`;
}

function lacks(input: string): string {
  return `lacks input ${input}, without which ONNX Runtime's CPU kernel ends the process; give it one, such as zeros`;
}
