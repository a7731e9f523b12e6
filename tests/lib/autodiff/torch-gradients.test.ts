import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { gradient } from "../../../lib/autodiff/index.js";
import { vjpRuleOf } from "../../../lib/autodiff/rules/index.js";
import { decodeModel, inferGraph, type Model, opsetOf } from "../../../lib/onnx/index.js";
import { openSession } from "../../../lib/runtime/index.js";
import { float32, int64, Rng, type Tensor } from "../../../lib/tensor/index.js";

interface Stored {
  readonly dtype: "float32" | "int64";
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

interface Golden {
  readonly inputs: Readonly<Record<string, Stored>>;
  readonly output: Stored;
  readonly cotangent: Stored;
  readonly gradients: Readonly<Record<string, Stored>>;
}

const folder = new URL("../../golden/torch-gradients/", import.meta.url);

const tensor = ({ dtype, shape, data }: Stored): Tensor => (dtype === "int64" ? int64(data, shape) : float32(data, shape));

/** Largest difference, relative to the largest expected number. */
function relativeError(actual: Tensor, expected: Stored): number {
  expect(actual.shape).toEqual(expected.shape);
  const worst = expected.data.reduce((most, v, i) => Math.max(most, Math.abs(v - Number(actual.data[i]))), 0);
  return worst / expected.data.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
}

const exported: Readonly<Record<string, readonly number[]>> = {
  unet: [14, 17],
  "vae-decoder": [16],
  "text-encoder": [14, 17],
  "vision-encoder": [15, 17],
  dit: [14],
  cnn: [13],
};

const goldenOf = (net: string): Golden => JSON.parse(readFileSync(new URL(`${net}.json`, folder), "utf8"));
const modelOf = (net: string, opset: number): Model =>
  decodeModel(new Uint8Array(readFileSync(new URL(`${net}-opset${opset}.onnx`, folder))));
const shapesOf = ({ inputs }: Golden): Record<string, readonly number[]> =>
  Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name, x.shape]));

describe("gradient", () => {
  for (const [net, opsets] of Object.entries(exported))
    for (const opset of opsets) {
      it(`has a rule for every operator that makes numbers of numbers in a ${net} of operator set ${opset}`, () => {
        const model = modelOf(net, opset);
        const inferred = inferGraph(model.graph, { opset: opsetOf(model), inputShapes: shapesOf(goldenOf(net)) });
        const isReal = (name: string): boolean => inferred.get(name)?.dtype?.includes("float") ?? false;
        const without = model.graph.nodes.filter((node) => vjpRuleOf(node.opType, node.domain) === undefined);
        expect(without.filter((node) => node.inputs.some(isReal) && node.outputs.some(isReal))).toEqual([]);
      });

      it(`agrees with PyTorch's autograd through a loaded ${net} of operator set ${opset}`, async () => {
        const golden = goldenOf(net);
        const withRespectTo = Object.keys(golden.gradients);
        const options = { of: "output", withRespectTo, inputShapes: shapesOf(golden), cotangent: true };
        const differentiated = gradient(modelOf(net, opset), options);
        await using session = await openSession(differentiated, { threads: 1 });
        const inputs = Object.fromEntries(Object.entries(golden.inputs).map(([name, x]) => [name, tensor(x)]));
        const outputs = await session.run({ ...inputs, "cotangent:output": tensor(golden.cotangent) });
        expect(relativeError(outputs.output!, golden.output)).toBeLessThan(1e-5);
        for (const [name, expected] of Object.entries(golden.gradients))
          expect(relativeError(outputs[`gradient:${name}`]!, expected), name).toBeLessThan(1e-5);
      });
    }

  it("of a gradient through a loaded unet is how that gradient changes", async () => {
    const golden = goldenOf("unet");
    const withRespectTo = ["sample"];
    const inputShapes = shapesOf(golden);
    const first = gradient(modelOf("unet", 17), { of: "output", withRespectTo, inputShapes });
    const second = gradient(first, { of: "gradient:sample", withRespectTo, inputShapes, cotangent: true, prefix: "second" });
    await using session = await openSession(second, { threads: 1 });
    const inputs = Object.fromEntries(Object.entries(golden.inputs).map(([name, x]) => [name, tensor(x)]));
    const { data, shape } = golden.inputs.sample!;
    const rng = new Rng(23);
    const direction = rng.normals(data.length);
    const at = async (t: number): Promise<Record<string, Tensor>> => {
      const sample = float32(
        data.map((v, i) => v + t * direction[i]!),
        shape,
      );
      return session.run({ ...inputs, sample, "cotangent:gradient:sample": float32(direction, shape) });
    };
    const step = 3e-3;
    const [low, high] = [await at(-step), await at(step)].map((outputs) => outputs["gradient:sample"]!.data as Float32Array);
    const differences = Array.from(high!, (v, i) => (v - low![i]!) / (2 * step));
    expect(relativeError((await at(0))["second:sample"]!, { dtype: "float32", shape, data: differences })).toBeLessThan(1e-3);
  });
});
