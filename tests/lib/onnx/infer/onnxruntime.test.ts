import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { encodeModel } from "../../../../lib/onnx/codec/index.js";
import { type Dim, type Graph, initializerOf } from "../../../../lib/onnx/graph.js";
import { type Inferred, inferGraph, ShapeError } from "../../../../lib/onnx/infer/index.js";
import type { Tensor } from "../../../../lib/tensor/index.js";
import { Rng } from "../../../../lib/tensor/random.js";
import { node } from "./graphs.js";
import { type Draw, draws } from "./random-calls.js";

function graphOf(opType: string, { operands, attributes = {}, outputs = 1 }: Draw): Graph {
  const names = operands.map((t, i) => (t === null ? null : "abcdefgh"[i]!));
  const call = node(opType, names, attributes, outputs);
  const given = operands.flatMap((t, i) => (t === null ? [] : [{ name: names[i]!, tensor: t }]));
  const isFed = (t: Tensor) => t.dtype === "float32" && t.size !== 4;
  return {
    name: "g",
    nodes: [call],
    initializers: given.filter((o) => !isFed(o.tensor)).map((o) => initializerOf(o.name, o.tensor)),
    inputs: given.filter((o) => isFed(o.tensor)).map((o) => ({ name: o.name, dtype: o.tensor.dtype, shape: o.tensor.shape })),
    outputs: call.outputs.map((name) => ({ name })),
    valueInfo: [],
  };
}

type Outcome = Record<string, { dtype: string; shape: readonly number[]; data: ArrayLike<number | bigint> }>;

async function actual(graph: Graph, draw: Draw): Promise<Outcome | Error> {
  const opset = draw.opset ?? 21;
  const opsets = [
    { domain: "", version: opset },
    { domain: "com.microsoft", version: 1 },
  ];
  let session: ort.InferenceSession | undefined;
  try {
    session = await ort.InferenceSession.create(encodeModel({ irVersion: 9, opsets, graph }), {
      logSeverityLevel: 4,
      intraOpNumThreads: 1,
      graphOptimizationLevel: "disabled",
    });
    const feeds: Record<string, ort.Tensor> = {};
    for (const { name } of graph.inputs) {
      const t = draw.operands["abcdefgh".indexOf(name)]!;
      feeds[name] = new ort.Tensor("float32", t.data as Float32Array, t.shape);
    }
    const results = await session.run(feeds);
    return Object.fromEntries(
      Object.entries(results).map(([name, t]) => [
        name,
        { dtype: t.type, shape: t.dims, data: t.data as ArrayLike<number | bigint> },
      ]),
    );
  } catch (error) {
    return error as Error;
  } finally {
    await session?.release();
  }
}

function attempt(graph: Graph, opset: number): Map<string, Inferred> | ShapeError {
  try {
    return inferGraph(graph, { opset });
  } catch (error) {
    if (error instanceof ShapeError) return error;
    throw error;
  }
}

describe("inferred shapes are those ONNX Runtime computes", () => {
  for (const [opType, draw] of Object.entries(draws)) {
    it(opType, async () => {
      const rng = new Rng([7, opType.length, opType.charCodeAt(opType.length - 1)]).fork(opType);
      let ran = 0;
      for (let trial = 0; trial < 12; trial++) {
        const call = draw(rng);
        const graph = graphOf(opType, call);
        const where = `${opType} of ${call.operands.join(", ")} ${JSON.stringify(call.attributes ?? {}, (_, x) => (typeof x === "bigint" ? Number(x) : x))}`;
        const found = attempt(graph, call.opset ?? 21);
        const truth = await actual(graph, call);
        if (found instanceof ShapeError || truth instanceof Error) {
          expect(`${found instanceof ShapeError ? "refused" : "accepted"}: ${where}`, `${found}\n${truth}`).toBe(
            `${truth instanceof Error ? "refused" : "accepted"}: ${where}`,
          );
          continue;
        }
        ran++;
        for (const [name, result] of Object.entries(truth)) {
          const { dtype, shape: dims, value } = found.get(name)!;
          expect({ where, dtype, dims }).toEqual({ where, dtype: result.dtype, dims: result.shape });
          if (value) expect({ where, value }).toEqual({ where, value: Array.from(result.data, Number) });
        }
        expectConsistentWithNames(graph, call.opset ?? 21, found, where);
      }
      expect(ran).toBeGreaterThan(3);
    });
  }
});

/** With one axis length hidden behind a name, every length that is still found must be the true one. */
function expectConsistentWithNames(graph: Graph, opset: number, truth: ReadonlyMap<string, Inferred>, where: string): void {
  for (const [i, input] of graph.inputs.entries()) {
    for (const [axis, length] of (input.shape ?? []).entries()) {
      const named = { ...input, shape: input.shape!.with(axis, "n") };
      const values = inferGraph({ ...graph, inputs: graph.inputs.with(i, named) }, { opset });
      for (const { name } of graph.outputs) {
        const dims = values.get(name)!.shape?.map((d, k): Dim => (d === "n" ? length : (d ?? truth.get(name)!.shape![k])));
        if (dims) expect({ where, axis, dims }).toEqual({ where, axis, dims: truth.get(name)!.shape });
      }
    }
  }
}
