import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import {
  type AttributeInput,
  encodeModel,
  type Graph,
  initializerOf,
  type Model,
  toAttributes,
} from "../../../lib/onnx/index.js";
import { closeRuntime, openSession, RuntimeError } from "../../../lib/runtime/index.js";
import { float32, sizeOf, Tensor } from "../../../lib/tensor/index.js";
import { temporaryFolder } from "../../temporary-folder.js";
import { modelOf, node, value } from "./tiny-models.js";

const folder = temporaryFolder();
afterAll(() => closeRuntime());

const f = (...shape: number[]): Tensor =>
  float32(
    Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(i)),
    shape,
  );
const u = (...shape: number[]): Tensor =>
  new Tensor(
    "uint8",
    Uint8Array.from({ length: sizeOf(shape) }, (_, i) => i % 7),
    shape,
  );

const standard = new Set(["Einsum", "LayerNormalization", "Max", "Mean", "Min", "OneHot", "Sum"]);

type Inputs = readonly (Tensor | undefined)[];

/** A model of one node, of com.microsoft unless it is of ONNX's own: its first input is fed, the others are constants, undefined ones left out. */
function single(opType: string, inputs: Inputs, attributes: Readonly<Record<string, AttributeInput>> = {}, outputs = 1): Model {
  const names = inputs.map((tensor, k) => (tensor ? `i${k}` : ""));
  const [x] = inputs as readonly [Tensor];
  const outs = Array.from({ length: outputs }, (_, k) => `o${k}`);
  const graph: Graph = {
    name: opType,
    nodes: [
      {
        opType,
        domain: standard.has(opType) ? "" : "com.microsoft",
        name: "n",
        inputs: names,
        outputs: outs,
        attributes: toAttributes(attributes),
      },
    ],
    initializers: inputs.flatMap((tensor, k) => (k > 0 && tensor ? [initializerOf(names[k]!, tensor)] : [])),
    inputs: [{ name: "i0", dtype: x.dtype, shape: x.shape }],
    outputs: outs.map((name) => ({ name })),
    valueInfo: [],
  };
  const opsets = [
    { domain: "", version: 18 },
    { domain: "com.microsoft", version: 1 },
  ];
  return { irVersion: 8, opsets, graph };
}

const attention: Inputs = [f(2, 4, 8), f(8, 24), f(24)];
const sigmoid: Inputs = [u(4, 8), f(), u(), f(), u()];
const concat: Inputs = [f(), u(), u(4, 8), f(), u(), u(4, 8), f(), u()];
const experts: Inputs = [f(4, 32), f(4, 2), u(2, 16, 16), f(2, 16), f(2, 16), u(2, 32, 8), f(2, 32), f(2, 32)];
const lengths = new Tensor("int32", Int32Array.of(3), [1]);
const lstm: Inputs = [
  ...[f(3, 1, 4), f(1, 16, 8), f(1, 16, 4), f(1, 32), lengths, f(1, 1, 4), f(1, 1, 4), f(1, 12)],
  ...[f(4, 4), f(4, 4), f(4), f(1, 3, 4), lengths, f(8, 4)],
];
const oneHot: Inputs = [new Tensor("int64", BigInt64Array.of(1n, 2n), [2]), new Tensor("int64", BigInt64Array.of(4n), [1]), f(2)];
const without = (inputs: Inputs, index: number): Inputs => inputs.map((tensor, k) => (k === index ? undefined : tensor));

type Fatal = [
  opType: string,
  whole: Inputs,
  broken: Inputs,
  said: RegExp,
  attributes?: Readonly<Record<string, AttributeInput>>,
  outputs?: number,
];

/** Nodes that end the process, whole as they should be, and what is said of them. */
const fatal: readonly Fatal[] = [
  ["Attention", attention, without(attention, 2), /lacks input 2 \(bias\)/, { num_heads: 2 }],
  ["QLinearSigmoid", sigmoid, sigmoid.slice(0, 4), /lacks input 4 \(Y_zero_point\)/],
  ["QLinearLeakyRelu", sigmoid, sigmoid.slice(0, 4), /lacks input 4 \(Y_zero_point\)/],
  ["QLinearConcat", concat, without(concat, 6), /leaves input 6 empty/, { axis: 0 }],
  ["QMoE", experts, without(experts, 3), /lacks input 3 \(fc1_scales\)/, { k: 1, expert_weight_bits: 4 }],
  ["AttnLSTM", lstm, lstm.slice(0, 9), /lacks input 9 \(query_layer_weights\)/, { hidden_size: 4 }, 3],
  ...["Max", "Mean", "Min", "Sum"].map((op): Fatal => [op, [f(8), f(8), f(8)], [f(8), undefined, f(8)], /leaves input 1 empty/]),
  ["Einsum", [f(4, 8), f(8, 4)], [f(4, 8), undefined], /leaves input 1 empty/, { equation: "ij,jk->ik" }],
  ["LayerNormalization", [f(2, 8), f(8)], [f(2, 8), f(8), undefined], /leaves input 2 empty/],
  ["OneHot", oneHot, oneHot.with(1, new Tensor("int64", new BigInt64Array(0), [0])), /without elements as input 1/],
  ["QLinearSoftmax", sigmoid, [...sigmoid.slice(0, 3), f(0), u()], /constant without elements as input 3/, { opset: 13 }],
];

describe("a node on which ONNX Runtime crashes", () => {
  it.each(fatal)(
    "%s is refused, by name, and not where it is whole",
    async (opType, whole, broken, message, attributes = {}, outputs) => {
      const opened = openSession(single(opType, broken, attributes, outputs), { name: "hostile.onnx", device: "cpu" });
      await expect(opened).rejects.toThrow(RuntimeError);
      await expect(opened).rejects.toThrow(message);
      await expect(opened).rejects.toThrow(/hostile\.onnx.*node "n" \((com\.microsoft\.)?[A-Z]/);
      await using session = await openSession(single(opType, whole, attributes, outputs), { device: "cpu" });
      expect(session.inputs).toHaveLength(1);
    },
  );

  it("is found in the branches of an If, and behind constants of the graph around it", async () => {
    const hidden = single("Attention", [attention[0]!, attention[1]!]).graph;
    const inside = (nodes: Graph["nodes"]): Graph => ({ ...hidden, nodes, initializers: [], inputs: [] });
    const chosen = (nodes: Graph["nodes"]): Model => {
      const plain = inside([node("Identity", ["i0"], ["o0"])]);
      const model = modelOf(
        "chosen",
        [node("If", ["c"], ["y"], { then_branch: inside(nodes), else_branch: plain })],
        [value("c", [], "bool"), value("i0", [2, 4, 8])],
        [{ name: "y" }],
      );
      return { ...model, graph: { ...model.graph, initializers: [...hidden.initializers, initializerOf("none", f(0))] } };
    };
    await expect(openSession(chosen(hidden.nodes), { device: "cpu" })).rejects.toThrow(/lacks input 2 \(bias\)/);
    const hollow = hidden.nodes.map((n) => ({ ...n, inputs: [...n.inputs, "none"] }));
    await expect(openSession(chosen(hollow), { device: "cpu" })).rejects.toThrow(/constant without elements as input 2/);
  });

  // Where this fails the runtime has learned to look, and the node need not be refused any more.
  it.each(fatal)("%s does end a process that runs it", async (opType, _, broken, __, attributes = {}, outputs) => {
    const file = join(folder, `${opType}.onnx`);
    await writeFile(file, encodeModel(single(opType, broken, attributes, outputs)));
    const [x] = broken as readonly [Tensor];
    const script = `
      const ort = require(${JSON.stringify(createRequire(import.meta.url).resolve("onnxruntime-node"))});
      const data = ${x.data.constructor.name}.from(${JSON.stringify([...x.data].map(String))}, ${x.dtype === "int64" ? "BigInt" : "Number"});
      ort.InferenceSession.create(${JSON.stringify(file)}, { intraOpNumThreads: 1, logSeverityLevel: 4 })
        .then((session) => session.run({ i0: new ort.Tensor(${JSON.stringify(x.dtype)}, data, [${x.shape}]) }))
        .then(() => process.exit(0), () => process.exit(0));`;
    const ended = await promisify(execFile)(process.execPath, ["-e", script]).then(
      () => undefined,
      (error: { readonly signal?: string }) => error.signal,
    );
    expect(ended).toMatch(/^SIG(SEGV|ABRT)$/);
  });
});
