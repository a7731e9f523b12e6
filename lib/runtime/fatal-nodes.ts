import { type Graph, type Node, subgraphsOf } from "../onnx/index.js";

// What kernels of ONNX Runtime 1.30's CPU provider do not look at before they read, and so end the process: tried out, operator by
// operator, and held to the runtime by a test, since it may learn to look.

/** Inputs that may be left out but are read. */
const readUnseen: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  "com.microsoft.Attention": { 2: "bias" },
  "com.microsoft.AttnLSTM": { 9: "query_layer_weights", 11: "attention_v" },
  "com.microsoft.QLinearLeakyRelu": { 4: "Y_zero_point" },
  "com.microsoft.QLinearSigmoid": { 4: "Y_zero_point" },
  "com.microsoft.QMoE": { 3: "fc1_scales", 6: "fc2_scales" },
};

/** Operators that read every input that has a place, also an empty one. */
const gapless: ReadonlySet<string> = new Set([
  "com.microsoft.QLinearConcat",
  "Einsum",
  "LayerNormalization",
  "Max",
  "Mean",
  "Min",
  "Sum",
]);

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
    const operator = node.domain === "" ? node.opType : `${node.domain}.${node.opType}`;
    const wrong = fatalInput(operator, node, empty);
    if (wrong !== undefined) return `node "${node.name}" (${operator}) ${wrong}`;
    for (const body of subgraphsOf(node)) {
      const inside = fatalNode(body, empty);
      if (inside !== undefined) return inside;
    }
  }
  return undefined;
}

function fatalInput(operator: string, { domain, inputs }: Node, empty: ReadonlySet<string>): string | undefined {
  const needed = Object.hasOwn(readUnseen, operator) ? readUnseen[operator]! : {};
  const missing = Object.entries(needed).find(([index]) => (inputs[Number(index)] ?? "") === "");
  if (missing !== undefined)
    return `lacks input ${missing[0]} (${missing[1]}), without which ONNX Runtime's CPU kernel ends the process; give it one, such as zeros`;
  const gap = gapless.has(operator) ? inputs.indexOf("") : -1;
  if (gap >= 0)
    return `leaves input ${gap} empty, which ONNX Runtime's CPU kernel reads and so ends the process; take its place out or give it a value`;
  const hollow = domain === "com.microsoft" || operator === "OneHot" ? inputs.findIndex((name) => empty.has(name)) : -1;
  if (hollow < 0) return undefined;
  return `has a constant without elements as input ${hollow}, which ends ONNX Runtime's process; give it elements or leave it out`;
}
