import { expect } from "vitest";
import { backward } from "../../../../lib/autodiff/index.js";
import type { GraphBuilder, Value } from "../../../../lib/program/index.js";
import { openSession, type Session } from "../../../../lib/runtime/index.js";
import { float32, type Rng, Tensor, toFloat16, toFloat32 } from "../../../../lib/tensor/index.js";
import { type Drawn, drawCase, type Real, type Write } from "./draw.js";

type Point = Readonly<Record<string, Float64Array>>;

function tensorOf(value: Value, data: Float64Array): Tensor {
  if (value.dtype === "float64") return new Tensor("float64", data, value.dims);
  const single = float32(Float32Array.from(data), value.dims);
  return value.dtype === "float16" ? toFloat16(single) : single;
}

const numbersOf = (tensor: Tensor): ArrayLike<number> =>
  tensor.dtype === "float64" ? (tensor.data as Float64Array) : toFloat32(tensor).data;

async function run(session: Session, g: GraphBuilder, point: Point, fetches: readonly string[]) {
  const feeds = Object.fromEntries(Object.entries(point).map(([name, data]) => [name, tensorOf(g.value(name), data)]));
  const outputs = await session.run(feeds, { fetches });
  return Object.fromEntries(fetches.map((name) => [name, numbersOf(outputs[name]!)]));
}

/** Σ a·b, in float64 whatever the graph computes in. */
function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((sum, v, i) => sum + v * b[i]!, 0);
}

/** Adds ∂(c·y)/∂x as outputs d0, d1, …, each of its operand's shape and dtype. */
function differentiate({ g, xs, y, operand }: Drawn): Value[] {
  const before = g.program.length;
  const gradients = backward(g, y, xs, operand("c", y.dims));
  gradients.forEach((d, i) => {
    expect([d.shape, d.dtype]).toEqual([xs[i]!.shape, xs[i]!.dtype]);
    g.output(d, `d${i}`);
  });
  // its sum loses updates on several threads where indices repeat
  const raced = g.program.slice(before).filter((node) => node.opType === "ScatterND" && node.attributes.reduction !== undefined);
  expect(raced).toEqual([]);
  return gradients;
}

/**
 * Compares one draw's gradients, and the gradients of these gradients, with central differences along random directions.
 * y = f(x): first d = ∂(c·y)/∂x, then ∂(u·d)/∂x and ∂(u·d)/∂c for random c and u.
 */
export async function checkGradient(
  op: string,
  write: Write,
  rng: Rng,
  dtype: Real,
  opset: number,
  tolerance: number,
): Promise<void> {
  const drawn = drawCase(op, write, rng, dtype, opset);
  const { g, xs, y, point, operand } = drawn;
  const first = differentiate(drawn);
  const us = first.map((d, i) => operand(`u${i}`, d.dims));
  const product = first.map((d, i) => d.mul(us[i]!).sum()).reduce((a, b) => a.add(b));
  g.output(y, "y");
  backward(g, product, [...xs, g.value("c")]).forEach((d, i) => void g.output(d, i < xs.length ? `dd${i}` : "ddc"));

  await using session = await openSession(g.model(), { threads: 1 });
  const firsts = first.map((_, i) => `d${i}`);
  const weights = us.map((u) => u.name);
  const checks = [
    ...xs.map((x, i) => ({ along: x.name, exact: `d${i}`, of: ["y"], weights: ["c"] })),
    ...xs.map((x, i) => ({ along: x.name, exact: `dd${i}`, of: firsts, weights })),
    { along: "c", exact: "ddc", of: firsts, weights },
  ];
  const at = await run(
    session,
    g,
    point,
    checks.map((check) => check.exact),
  );
  for (const { along, exact, of, weights } of checks) {
    const origin = point[along]!;
    const direction = origin.map(() => rng.normal());
    // The element that moves most moves by the step, so that no kink is crossed.
    const step = (dtype === "float64" ? 1e-3 : 0.03) / Math.max(...direction.map(Math.abs), 1e-30);
    const moved = async (t: number): Promise<number> => {
      const there = origin.map((v, i) => v + t * step * direction[i]!);
      const values = await run(session, g, { ...point, [along]: there }, of);
      return of.reduce((sum, name, i) => sum + dot(values[name]!, point[weights[i]!]!), 0);
    };
    // The five-point stencil, whose error is of fourth order in the step.
    const numeric = ((await moved(-2)) - 8 * (await moved(-1)) + 8 * (await moved(1)) - (await moved(2))) / (12 * step);
    const analytic = dot(at[exact]!, direction);
    const scale = Math.max(1, Math.sqrt(dot(at[exact]!, at[exact]!) * dot(direction, direction)));
    const message = `${exact} along ${along}: ${analytic}, differences give ${numeric}`;
    expect(Math.abs(numeric - analytic) / scale, message).toBeLessThan(tolerance);
  }
}

/** Compares one draw's gradients computed in float16 with those computed in float32 at the same point. */
export async function checkHalfGradient(
  op: string,
  write: Write,
  rng: () => Rng,
  opset: number,
  tolerance: number,
): Promise<void> {
  const compute = async (dtype: Real): Promise<ArrayLike<number>[]> => {
    const drawn = drawCase(op, write, rng(), dtype, opset);
    const names = differentiate(drawn).map((_, i) => `d${i}`);
    const rounded = Object.fromEntries(
      Object.entries(drawn.point).map(([name, data]) => [
        name,
        Float64Array.from(numbersOf(toFloat16(float32(Float32Array.from(data))))),
      ]),
    );
    await using session = await openSession(drawn.g.model(), { threads: 1 });
    return Object.values(await run(session, drawn.g, rounded, names));
  };
  const [half, single] = [await compute("float16"), await compute("float32")];
  single.forEach((expected, i) => {
    const error = Array.from(expected).reduce((most, v, j) => Math.max(most, Math.abs(v - half[i]![j]!)), 0);
    const largest = Array.from(expected).reduce((most, v) => Math.max(most, Math.abs(v)), 1);
    expect(error / largest, `d${i}: ${half[i]}, in float32 ${expected}`).toBeLessThan(tolerance);
  });
}
