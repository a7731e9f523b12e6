import { afterAll, describe, expect, it } from "vitest";
import { at, CallbackError, HookedModel, type HookedRunOptions } from "../../../../lib/hooks/index.js";
import { GraphBuilder } from "../../../../lib/program/index.js";
import { closeRuntime, runtimeStats } from "../../../../lib/runtime/index.js";
import { float32, scalar, Tensor } from "../../../../lib/tensor/index.js";
import { counted, guided, unet } from "./toys.js";

const model = unet();
afterAll(async () => {
  await model.release();
  await closeRuntime();
});

const numbers = (tensor: Tensor | undefined): number[] => [...((tensor as Tensor<"float32">).data as Float32Array)];
const each = (f: (v: number, i: number) => number): number[] => [...counted.data].map(f);
const plus = (tensor: Tensor<"float32">, b: number): Tensor =>
  float32(
    tensor.data.map((v) => v + b),
    tensor.shape,
  );
const run = (options: HookedRunOptions) => model.run({ sample: counted }, { context: guided, ...options });

describe("call", () => {
  it("gets the activation with its axes, and where the run stands", async () => {
    let seen: unknown;
    await run({
      edits: [
        at("down_blocks.0").call(({ axes, hookPoint, tensor }, context) => {
          seen = { axes, path: hookPoint.path, data: [...tensor.data], context };
          return undefined;
        }),
      ],
    });
    expect(seen).toEqual({
      axes: ["batch", "channel", "y", "x"],
      path: "down_blocks.0",
      data: each((v) => 6 * v + 3),
      context: guided,
    });
  });
  it("goes on with what is returned; a change in place alone does nothing", async () => {
    const edited = await run({ edits: [at("mid_block").call(async ({ tensor }) => plus(tensor, 1))] });
    expect(numbers(edited.outputs.out_sample)).toEqual(each((v) => -40 * v - 10));
    const inPlace = await run({ edits: [at("mid_block").call(({ tensor }) => void tensor.data.fill(0))] });
    expect(numbers(inPlace.outputs.out_sample)).toEqual(each((v) => -40 * v - 20));
  });
  it("stands beside captures, other edits and further calls, before and behind the cut, in the order of the graph", async () => {
    const order: string[] = [];
    const call = (path: string, b: number) =>
      at(path).call(({ tensor, hookPoint }) => {
        order.push(hookPoint.path);
        return plus(tensor, b);
      });
    const { outputs, activations } = await run({
      capture: ["sample", "conv_in", "down_blocks.0:res0", { at: "mid_block", reduce: "mean" }, "up_blocks.0"],
      edits: [call("up_blocks.0", 1), at("conv_in").scale(2), call("conv_in", 4), at("up_blocks.0").scale(2), call("sample", -1)],
    });
    expect(order).toEqual(["sample", "conv_in", "up_blocks.0"]);
    // x − 1, then 2·2(x − 1) + 4 = 4x, residual 4x + 1, down 12x + 3, mid −12x − 3, up 2·(−8x − 2 + 1).
    expect(numbers(activations.sample?.tensor)).toEqual(each((v) => v - 1));
    expect(numbers(activations.conv_in?.tensor)).toEqual(each((v) => 4 * (v - 1) + 4));
    expect(numbers(activations["down_blocks.0:res0"]?.tensor)).toEqual(each((v) => 4 * v + 1));
    expect(numbers(activations.mid_block?.tensor)).toEqual([1.5, 5.5, 9.5, 9.75].map((mean) => -12 * mean - 3));
    expect(numbers(activations["up_blocks.0"]?.tensor)).toEqual(each((v) => -16 * v - 2));
    expect(numbers(outputs.out_sample)).toEqual(each((v) => -160 * v - 20));
  });
  it("two of one point follow one another, and each point of a pattern is called for", async () => {
    const twice = [at("mid_block").call(({ tensor }) => plus(tensor, 1)), at("mid_block").call(({ tensor }) => plus(tensor, 2))];
    expect(numbers((await run({ edits: twice })).outputs.out_sample)).toEqual(each((v) => -40 * v + 10));
    const called: string[] = [];
    const all = at("*blocks.*").call(({ hookPoint }) => void called.push(hookPoint.path));
    await run({ edits: [all] });
    expect(called).toEqual(["down_blocks.0", "up_blocks.0"]);
  });
  it("is left out where the edit does not reach, and reaches only where it should", async () => {
    let count = 0;
    const edit = at("mid_block").call(({ tensor }) => plus(tensor, ++count), { branch: "cond", steps: [3] });
    await run({ edits: [edit], context: { ...guided, step: 4 } });
    expect(count).toBe(0);
    expect(numbers((await run({ edits: [edit] })).outputs.out_sample)).toEqual(each((v, i) => -40 * v - 20 + (i >= 8 ? 10 : 0)));
  });
  it("computes outputs that are asked for, also those that lie before the cut", async () => {
    const g = new GraphBuilder({ name: "two outputs" });
    const early = g.scope("early", () => g.input("x", "float32", ["n", 2]).mul(2));
    g.output(early, "first");
    g.output(
      g.scope("late", () => early.add(1)),
      "second",
    );
    g.output(g.op("Sqrt", [g.scalar(9)]), "constant");
    await using both = new HookedModel(g.model());
    const x = float32([1, 2], [1, 2]);
    const edits = [at("late").call(({ tensor }) => plus(tensor, 10))];
    expect(Object.entries((await both.run({ x }, { edits })).outputs).map(([name, t]) => [name, ...numbers(t)])).toEqual([
      ["first", 2, 4],
      ["second", 13, 15],
      ["constant", 3],
    ]);
    const first = await both.run({ x }, { edits, fetches: ["first"] });
    expect(Object.keys(first.outputs)).toEqual(["first"]);
    expect(numbers(first.outputs.first)).toEqual([2, 4]);
  });
  it("cuts around bodies of loops that read values from outside", async () => {
    const g = new GraphBuilder({ name: "loop" });
    const base = g.scope("base", () => g.input("x", "float32", ["n"]).mul(2));
    const loop = g.loop(3, [g.scope("start", () => base.add(1))], (_, __, [state]) => ({
      state: [state!.add(base)],
      stacked: [],
    }));
    g.output(
      g.scope("end", () => loop.state[0]!.mul(1)),
      "y",
    );
    await using looped = new HookedModel(g.model());
    const x = float32([1, 2]);
    const y = async (options: HookedRunOptions): Promise<number[]> => numbers((await looped.run({ x }, options)).outputs.y);
    expect(await y({})).toEqual([9, 17]); // 2x + 1 + 3·2x
    expect(await y({ edits: [at("base").add(scalar(1))] })).toEqual([13, 21]);
    expect(await y({ edits: [at("base").call(({ tensor }) => plus(tensor, 1))] })).toEqual([13, 21]);
    expect(await y({ edits: [at("start").call(({ tensor }) => plus(tensor, 1))] })).toEqual([10, 18]);
  });
  it("has no place in a graph that is asked for as a whole", () => {
    const shift = (): undefined => undefined;
    expect(() => model.edited([at("mid_block").call(shift)])).toThrow(/"mid_block → shift .* runs in JavaScript/);
  });
  it("ends with the signal's reason when the run was withdrawn meanwhile", async () => {
    const abort = new AbortController();
    const edit = at("mid_block").call(() => {
      abort.abort(new Error("enough"));
      throw new Error("stopped");
    });
    await expect(run({ edits: [edit], signal: abort.signal })).rejects.toThrow(/^enough$/);
  });
  it("tells at which hook point something went wrong, and leaves nothing behind", async () => {
    const wrong = new Error("too dark");
    const thrown = await run({
      edits: [
        at("mid_block").call(() => {
          throw wrong;
        }),
      ],
    }).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(CallbackError);
    expect(thrown).toMatchObject({ message: "callback at mid_block: too dark", hookPoint: "mid_block", cause: wrong });
    const results: [Tensor, RegExp][] = [
      [float32([1]), /mid_block: expected a result of the activation's shape \[2, 2, 2, 2\], got .*\[1\]/],
      [new Tensor("float64", new Float64Array(16), [2, 2, 2, 2]), /float32/],
    ];
    for (const [result, message] of results)
      await expect(run({ edits: [at("mid_block").call(() => result)] })).rejects.toThrow(message);
    const misspelt = model.run(
      { sample: counted, simple: counted },
      { edits: [at("mid_block").call(() => undefined)], context: guided },
    );
    await expect(misspelt).rejects.toThrow(/no input "simple"; did you mean "sample"/);
    expect(runtimeStats().residentTensors).toBe(0);
    expect(numbers((await run({})).outputs.out_sample)).toEqual(each((v) => -40 * v - 20));
  });
});
