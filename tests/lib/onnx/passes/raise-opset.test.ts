import { describe, expect, it } from "vitest";
import { initializerOf } from "../../../../lib/onnx/graph.js";
import { type AttributeInput, type Graph, type Model, type Node, raiseOpset, toAttributes } from "../../../../lib/onnx/index.js";
import { openSession } from "../../../../lib/runtime/index.js";
import { float32, int64, Rng, Tensor } from "../../../../lib/tensor/index.js";
import { deepFreeze } from "./small-graphs.js";

const node = (opType: string, inputs: string[], outputs: string[], attributes: Record<string, AttributeInput> = {}): Node => ({
  opType,
  domain: "",
  name: `${opType}_${outputs[0]}`,
  inputs,
  outputs,
  attributes: toAttributes(attributes),
});

const branch = (name: string, axes: readonly number[]): Graph => ({
  name,
  nodes: [node("ReduceMean", ["x"], [name], { axes, keepdims: 0 })],
  initializers: [],
  inputs: [],
  outputs: [{ name, dtype: "float32" }],
  valueInfo: [],
});

/** Everything whose form changed between operator sets 13 and 18; x is [2, 4, 6, 6]. */
function oldModel(version: number): Model {
  const nodes = [
    node("ReduceL1", ["x"], ["l1"], { axes: [1] }),
    node("ReduceL2", ["x"], ["l2"], { axes: [-1, -2], keepdims: 0 }),
    node("ReduceLogSumExp", ["x"], ["logsumexp"]),
    node("ReduceMax", ["x"], ["max"], { axes: [-2, -1] }),
    node("ReduceMean", ["x"], ["mean"], { axes: [-1, -2] }),
    node("ReduceMin", ["x"], ["min"], { axes: [0] }),
    node("ReduceProd", ["x"], ["prod"], { axes: [2], keepdims: 0 }),
    node("ReduceSumSquare", ["x"], ["sumsquare"], { axes: [1] }),
    node("ReduceSum", ["x", "one"], ["sum"]),
    node("Split", ["x"], ["first", "second"], { axis: 1 }),
    node("Split", ["x", "lengths"], ["short", "long"], { axis: -1 }),
    node("RoiAlign", ["x", "boxes", "pictures"], ["aligned"], { output_height: 2, output_width: 2, sampling_ratio: 2 }),
    node("If", ["which"], ["chosen"], { then_branch: branch("then", [1]), else_branch: branch("else", [-1, -2]) }),
  ];
  return {
    irVersion: 7,
    opsets: [{ domain: "", version }],
    graph: {
      name: "old",
      nodes,
      initializers: [
        initializerOf("one", int64([1])),
        initializerOf("lengths", int64([2, 4])),
        initializerOf("boxes", float32([0, 0, 4, 4, 1, 1, 5, 3], [2, 4])),
        initializerOf("pictures", int64([0, 1])),
        initializerOf("which", new Tensor("bool", Uint8Array.of(0), [])),
      ],
      inputs: [{ name: "x", dtype: "float32", shape: [2, 4, 6, 6] }],
      outputs: nodes.flatMap((n) => n.outputs).map((name) => ({ name, dtype: "float32" }) as const),
      valueInfo: [],
    },
  };
}

async function outputsOf(model: Model): Promise<Record<string, unknown>> {
  await using session = await openSession(model, { threads: 1 });
  const outputs = await session.run({ x: float32(new Rng(3).normals(2 * 4 * 36), [2, 4, 6, 6]) });
  return Object.fromEntries(Object.entries(outputs).map(([name, y]) => [name, [y.shape, [...(y.data as Float32Array)]]]));
}

describe("raiseOpset", () => {
  for (const version of [13, 15, 16, 17])
    it(`leaves every output of a model of operator set ${version} as it was`, async () => {
      const old = deepFreeze(oldModel(version));
      const raised = raiseOpset(old);
      expect(raised.opsets).toEqual([{ domain: "", version: 18 }]);
      expect(await outputsOf(raised)).toEqual(await outputsOf(old));
    });

  it("keeps the meaning that RoiAlign had before operator set 16", async () => {
    const [before, after] = await Promise.all([15, 16].map((version) => outputsOf(raiseOpset(oldModel(version)))));
    expect(before!.aligned).not.toEqual(after!.aligned);
  });

  it("writes each list of axes once, also for subgraphs", () => {
    const added = raiseOpset(oldModel(17)).graph.initializers.slice(oldModel(17).graph.initializers.length);
    expect(added.map((w) => w.name)).toEqual(["axes_1", "axes_-1_-2", "axes_-2_-1", "axes_0", "axes_2"]);
  });

  it("returns newer models as they are, and refuses older ones", () => {
    const newer = { ...oldModel(13), opsets: [{ domain: "ai.onnx", version: 21 }] };
    expect(raiseOpset(newer)).toBe(newer);
    expect(() => raiseOpset(oldModel(12))).toThrow(/expected operator set 13 or newer, got 12; export/);
  });
});
