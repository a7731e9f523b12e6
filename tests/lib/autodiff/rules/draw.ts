import { expect } from "vitest";
import { GraphBuilder, type Value } from "../../../../lib/program/index.js";
import { int64, type Rng, sizeOf } from "../../../../lib/tensor/index.js";

export type Real = "float16" | "float32" | "float64";

/** How one number of an operand is drawn. */
export type Numbers = (rng: Rng) => number;

/** What a case draws its operands and attributes from. */
export interface Draw {
  readonly g: GraphBuilder;
  readonly rng: Rng;
  readonly dtype: Real;
  /** An operand to be differentiated; standard normal by default. */
  x(shape: readonly number[], numbers?: Numbers): Value;
  /** An integer constant. */
  ints(data: readonly number[], shape?: readonly number[]): Value;
  /** A whole number low…high. */
  between(low: number, high: number): number;
  /** `rank` lengths, each low…high. */
  shape(rank: number, low?: number, high?: number): number[];
}

/** Writes one call of the operator with operands and attributes of this draw. */
export type Write = (draw: Draw) => Value;

/** An operator's cases, by what is special to them. */
export type Cases = Readonly<Record<string, Write>>;

export const normal: Numbers = (rng) => rng.normal();
export const positive: Numbers = (rng) => 0.5 + rng.uniform();
export const insideUnit: Numbers = (rng) => 1.2 * rng.uniform() - 0.6;
/** For rules with a kink at 0. */
export const awayFromZero: Numbers = (rng) => {
  const x = rng.normal();
  return x + 0.25 * Math.sign(x);
};

/** Numbers in random order that differ by 0.3 at least: differences never change which one is larger. */
export function distinct(rng: Rng, count: number): Numbers {
  const order = rng.permutation(count);
  let next = 0;
  return () => 0.4 * (order[next++]! - count / 2) + 0.1 * rng.uniform();
}

/** A shape that broadcasts to `shape`: some axes 1, some leading ones missing. */
export function narrowed(rng: Rng, shape: readonly number[]): number[] {
  return shape.map((n) => (rng.int(2) === 0 ? 1 : n)).slice(rng.int(shape.length));
}

/** A graph of one call, and where its operands stand. */
export interface Drawn {
  readonly g: GraphBuilder;
  readonly xs: readonly Value[];
  readonly y: Value;
  readonly point: Record<string, Float64Array>;
  /** A further graph input with numbers of its own. */
  operand(name: string, shape: readonly number[], numbers?: Numbers): Value;
}

/** Lets a case write its graph. The same `rng` gives the same case in every dtype. */
export function drawCase(op: string, write: Write, rng: Rng, dtype: Real, opset: number): Drawn {
  const g = new GraphBuilder({ opset });
  const point: Record<string, Float64Array> = {};
  const operand = (name: string, shape: readonly number[], numbers: Numbers = normal): Value => {
    point[name] = Float64Array.from({ length: sizeOf(shape) }, () => numbers(rng));
    return g.input(name, dtype, shape);
  };
  const between = (low: number, high: number): number => low + rng.int(high - low + 1);
  const xs: Value[] = [];
  const y = write({
    g,
    rng,
    dtype,
    x: (shape, numbers) => {
      xs.push(operand(`x${xs.length}`, shape, numbers));
      return xs.at(-1)!;
    },
    ints: (data, shape = [data.length]) => g.constant(int64(data, shape)),
    between,
    shape: (rank, low = 1, high = 4) => Array.from({ length: rank }, () => between(low, high)),
  });
  expect(g.program.map((node) => (node.domain ? `${node.domain}.` : "") + node.opType)).toContain(op);
  return { g, xs, y, point, operand };
}
