import type { IndexingOp } from "../../../../../lib/autodiff/rules/operators.js";
import type { Rng } from "../../../../../lib/tensor/index.js";
import { type Cases, distinct, type Write } from "../draw.js";

const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Positions on an axis, repeats included, counted from either end. */
const positions = (rng: Rng, count: number, length: number): number[] =>
  Array.from({ length: count }, () => rng.int(2 * length) - length);

/** For each line along `axis`, positions without repeats. */
function distinctPositions(rng: Rng, shape: readonly number[], axis: number, length: number): number[] {
  const lines = new Map<number, Uint32Array>();
  const inner = product(shape.slice(axis + 1));
  return Array.from({ length: product(shape) }, (_, i) => {
    const at = Math.floor(i / inner) % shape[axis]!;
    const line = Math.floor(i / (inner * shape[axis]!)) * inner + (i % inner);
    if (!lines.has(line)) lines.set(line, rng.permutation(length));
    return lines.get(line)![at]!;
  });
}

const scatterElements =
  (reduction: string): Write =>
  ({ g, x, rng, between, ints }) => {
    const whole = [between(2, 3), between(2, 4), between(2, 3)];
    const axis = between(-3, 2);
    const at = (axis + 3) % 3;
    const part = whole.map((n) => between(1, n));
    const indices =
      reduction === "none" ? distinctPositions(rng, part, at, whole[at]!) : positions(rng, product(part), whole[at]!);
    const numbers = reduction === "max" || reduction === "min" ? distinct(rng, product(whole) + product(part)) : undefined;
    return g.op("ScatterElements", [x(whole, numbers), ints(indices, part), x(part, numbers)], {
      axis,
      reduction: reduction === "none" ? undefined : reduction,
    });
  };

const scatterND =
  (reduction: string): Write =>
  ({ g, x, rng, between, ints }) => {
    const whole = [between(2, 3), between(2, 3), 2];
    const depth = between(1, 2);
    const cells = [...rng.permutation(product(whole.slice(0, depth)))].slice(0, between(1, 2));
    const tuples = cells.flatMap((cell) => (depth === 1 ? [cell] : [Math.floor(cell / whole[1]!), cell % whole[1]!]));
    const updates = x([cells.length, ...whole.slice(depth)]);
    return g.op("ScatterND", [x(whole), ints(tuples, [cells.length, depth]), updates], {
      reduction: reduction === "none" ? undefined : reduction,
    });
  };

const gatherND =
  (batch: number): Write =>
  ({ g, x, rng, between, ints }) => {
    const whole = [2, between(2, 3), between(2, 3), 2];
    const depth = between(1, 2);
    const lead = whole.slice(0, batch);
    const count = 3;
    const tuples = Array.from({ length: product(lead) * count }, () =>
      whole.slice(batch, batch + depth).map((n) => rng.int(2 * n) - n),
    ).flat();
    return g.op("GatherND", [x(whole), ints(tuples, [...lead, count, depth])], { batch_dims: batch });
  };

export const indexingCases: Readonly<Record<IndexingOp, Cases>> = {
  Gather: {
    "rows of a table, repeats included": ({ g, x, rng, ints }) =>
      g.op("Gather", [x([4, 3]), ints(positions(rng, 6, 4), [2, 3])], { axis: 0 }),
    "along any axis": ({ g, x, rng, shape, between, ints }) => {
      const whole = shape(3, 2, 4);
      const axis = between(-3, 2);
      return g.op("Gather", [x(whole), ints(positions(rng, 4, whole.at(axis)!), [2, 2])], { axis });
    },
    "one element of an axis": ({ g, x, shape, between, ints }) =>
      g.op("Gather", [x(shape(3, 2, 4)), ints([-1], [])], { axis: between(-3, 2) }),
  },
  GatherElements: {
    "along any axis, repeats included": ({ g, x, rng, between, ints }) => {
      const whole = [between(2, 3), between(2, 4), between(2, 3)];
      const axis = between(-3, 2);
      const part = whole.map((n, i) => (i === (axis + 3) % 3 ? between(1, 5) : between(1, n)));
      return g.op("GatherElements", [x(whole), ints(positions(rng, product(part), whole.at(axis)!), part)], { axis });
    },
  },
  GatherND: { "tuples of one or two, repeats included": gatherND(0), "in batches": gatherND(1) },
  ScatterElements: {
    "put in": scatterElements("none"),
    "added, repeats included": scatterElements("add"),
  },
  ScatterND: { "put in": scatterND("none"), added: scatterND("add") },
  TopK: {
    "along any axis, largest or smallest, sorted or not": ({ g, x, rng, between, ints }) => {
      const whole = [between(2, 3), between(2, 4), between(2, 4)];
      const axis = between(-3, 2);
      const k = between(1, whole.at(axis)!);
      const numbers = distinct(rng, product(whole));
      return g.ops("TopK", [x(whole, numbers), ints([k])], { axis, largest: rng.int(2), sorted: rng.int(2) }, 2)[0]!;
    },
  },
  Trilu: {
    "either half, any diagonal": ({ g, x, rng, shape, between, ints }) =>
      g.op("Trilu", [x(shape(3)), ints([between(-2, 2)], [])], { upper: rng.int(2) }),
    "the diagonal by default": ({ g, x, shape }) => g.op("Trilu", [x(shape(2))]),
  },
};
