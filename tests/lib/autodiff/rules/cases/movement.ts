import type { MovementOp } from "../../../../../lib/autodiff/rules/operators.js";
import type { Value } from "../../../../../lib/program/index.js";
import type { Cases, Draw, Write } from "../draw.js";

const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Weighs the parts of a Split differently, leaving out the last. */
const weighParts = (parts: readonly Value[]): Value => {
  const used = parts.length > 1 ? parts.slice(0, -1) : parts;
  return used.map((part, i) => part.mul(i + 1).sum()).reduce((a, b) => a.add(b));
};

/** A random slice of one axis of `length`: anything from whole to a few elements, in either direction. */
function randomSlice({ between, rng }: Draw, length: number): [start: number, end: number, step: number] {
  const step = rng.choice([1, 2, 3, -1, -2]);
  const [a, b] = [between(0, length - 1), between(0, length - 1)];
  const [low, high] = [Math.min(a, b), Math.max(a, b)];
  const negative = rng.int(2) === 0;
  if (step > 0) return [negative ? low - length : low, rng.choice([high + 1, high + 1 - length || 2 ** 31, 2 ** 31]), step];
  return [negative ? high - length : high, low === 0 ? -(2 ** 31) : rng.choice([low - 1, -(2 ** 31)]), step];
}

const padIn =
  (mode: string): Write =>
  ({ g, x, rng, between, ints }) => {
    const [m, n] = [between(3, 5), between(3, 5)];
    const pads = [between(0, 2), between(0, 2), between(0, 2), between(0, 2)];
    const axes = rng.choice([undefined, [1, 0], [-1, -2]]);
    return g.op("Pad", [x([m, n]), ints(pads), undefined, axes && ints(axes)], { mode });
  };

const blocks =
  (op: "DepthToSpace" | "SpaceToDepth", mode?: string): Write =>
  ({ g, x, between }) => {
    const r = between(2, 3);
    const shape = op === "DepthToSpace" ? [2, 2 * r * r, 2, 3] : [2, 2, 2 * r, 3 * r];
    return g.op(op, [x(shape)], { blocksize: r, mode });
  };

export const movementCases: Readonly<Record<MovementOp, Cases>> = {
  Reshape: {
    "with an axis kept and one inferred": ({ x, shape }) => x(shape(3)).reshape([0, -1]),
    "to another rank": ({ x, shape }) => {
      const [a, b] = shape(2, 1, 4) as [number, number];
      return x([a, b]).reshape([b, 1, a]);
    },
  },
  Flatten: {
    "at any axis": ({ g, x, shape, between }) => g.op("Flatten", [x(shape(3))], { axis: between(-2, 3) }),
  },
  Squeeze: {
    "named axes": ({ x, between }) => x([1, between(2, 3), 1, 2]).squeeze(0, -2),
    "every axis of length 1": ({ g, x, between }) => g.op("Squeeze", [x([1, between(2, 3), 1])]),
  },
  Unsqueeze: { "front, middle and back": ({ x, shape }) => x(shape(2)).unsqueeze(0, 2, -1) },
  Transpose: {
    "any permutation": ({ x, rng, shape, between }) => {
      const rank = between(2, 4);
      return x(shape(rank)).transpose([...rng.permutation(rank)]);
    },
    "reversed by default": ({ g, x, shape }) => g.op("Transpose", [x(shape(3))]),
  },
  Concat: {
    "several operands along any axis": ({ g, x, shape, between }) => {
      const whole = shape(3);
      const axis = between(-3, 2);
      const at = (axis + 3) % 3;
      const part = (): Value => x(whole.map((n, i) => (i === at ? between(1, 3) : n)));
      return g.concat([part(), part(), part()], axis);
    },
    "one operand twice": ({ g, x, shape }) => {
      const twice = x(shape(2));
      return g.concat([twice, twice], 1);
    },
  },
  Split: {
    "given lengths": ({ x, between }) => {
      const lengths = [between(1, 3), between(1, 3), between(1, 3)];
      return weighParts(x([2, product([1, ...lengths]) && lengths.reduce((a, b) => a + b), 2]).split(-2, lengths));
    },
    "equal parts": ({ g, x, between }) => {
      const count = between(2, 3);
      return weighParts(g.ops("Split", [x([2, 2 * count])], { axis: 1, num_outputs: count }, count));
    },
  },
  Slice: {
    "steps and bounds of either sign": (draw) => {
      const { g, x, between, ints } = draw;
      const lengths = [between(2, 7), between(2, 7)];
      const cuts = lengths.map((n) => randomSlice(draw, n));
      const axes = draw.rng.choice([
        [0, 1],
        [-2, -1],
      ]);
      return g.op("Slice", [
        x(lengths),
        ints(cuts.map((c) => c[0])),
        ints(cuts.map((c) => c[1])),
        ints(axes),
        ints(cuts.map((c) => c[2])),
      ]);
    },
    "axes and steps by default": ({ g, x, ints }) => g.op("Slice", [x([4, 3]), ints([1, 0]), ints([-1, 2])]),
    "nothing left": ({ g, x, ints }) => {
      const operand = x([4, 3]);
      return g.concat([operand, g.op("Slice", [operand, ints([3]), ints([1])])], 0);
    },
  },
  Pad: {
    constant: padIn("constant"),
    edge: padIn("edge"),
    reflect: padIn("reflect"),
    wrap: padIn("wrap"),
    "constant, by a differentiated number": ({ g, x, between, ints }) =>
      g.op("Pad", [x([2, 3]), ints([between(0, 2), 1, between(0, 2), 0]), x([])]),
    "negative pads crop": ({ g, x, ints }) => g.op("Pad", [x([4, 5]), ints([-1, 2, 1, -2])]),
  },
  Tile: {
    "any repeats": ({ g, x, shape, between, ints }) => g.op("Tile", [x(shape(2)), ints([between(1, 3), between(1, 3)])]),
  },
  Expand: {
    "new and stretched axes": ({ g, x, between, ints }) => {
      const [m, n] = [between(1, 3), between(1, 3)];
      return g.op("Expand", [x([m, 1, n]), ints([2, 1, 3, 1])]);
    },
  },
  DepthToSpace: { "depth first": blocks("DepthToSpace", "DCR"), "column first": blocks("DepthToSpace", "CRD") },
  SpaceToDepth: { "any block": blocks("SpaceToDepth") },
};
