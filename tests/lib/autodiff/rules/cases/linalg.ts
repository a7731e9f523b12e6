import type { LinalgOp } from "../../../../../lib/autodiff/rules/operators.js";
import { float } from "../../../../../lib/onnx/index.js";
import type { Cases, Write } from "../draw.js";

/** An Einsum whose letters get random lengths. */
const einsum =
  (equation: string): Write =>
  ({ g, x, between }) => {
    const lengths = new Map<string, number>();
    const lengthOf = (letter: string): number => {
      if (!lengths.has(letter)) lengths.set(letter, between(2, 3));
      return lengths.get(letter)!;
    };
    const terms = equation.replaceAll(" ", "").split("->")[0]!.split(",");
    return g.op(
      "Einsum",
      terms.map((term) => x([...term].map(lengthOf))),
      { equation },
    );
  };

const einsums = (...equations: string[]): Cases => Object.fromEntries(equations.map((e) => [e, einsum(e)]));

export const linalgCases: Readonly<Record<LinalgOp, Cases>> = {
  MatMul: {
    matrices: ({ x, shape }) => {
      const [m, k, n] = shape(3) as [number, number, number];
      return x([m, k]).matmul(x([k, n]));
    },
    "batches broadcast to each other": ({ x, shape }) => {
      const [m, k, n] = shape(3) as [number, number, number];
      return x([2, 1, m, k]).matmul(x([3, k, n]));
    },
    "a batch times one matrix": ({ x, shape }) => {
      const [m, k, n] = shape(3) as [number, number, number];
      return x([2, 3, m, k]).matmul(x([k, n]));
    },
    "one matrix times a batch": ({ x, shape }) => {
      const [m, k, n] = shape(3) as [number, number, number];
      return x([m, k]).matmul(x([2, k, n]));
    },
    "a vector times a batch": ({ x, shape }) => {
      const [k, n] = shape(2) as [number, number];
      return x([k]).matmul(x([2, k, n]));
    },
    "a batch times a vector": ({ x, shape }) => {
      const [m, k] = shape(2) as [number, number];
      return x([2, m, k]).matmul(x([k]));
    },
    "two vectors": ({ x, between }) => {
      const k = between(1, 4);
      return x([k]).matmul(x([k]));
    },
  },
  Gemm: {
    "transposes, factors and a broadcast third operand": ({ g, x, rng, shape }) => {
      const [m, k, n] = shape(3) as [number, number, number];
      const [transA, transB] = [rng.int(2), rng.int(2)];
      const c = rng.choice([[m, n], [n], [1, n], [m, 1], [1], []]);
      return g.op("Gemm", [x(transA ? [k, m] : [m, k]), x(transB ? [n, k] : [k, n]), x(c)], {
        transA,
        transB,
        alpha: float(0.7),
        beta: float(1.3),
      });
    },
    "all four transposes by default factors": ({ g, x, shape }) => {
      const [m, k, n] = shape(3) as [number, number, number];
      const products = [0, 1].flatMap((transA) =>
        [0, 1].map((transB) => g.op("Gemm", [x(transA ? [k, m] : [m, k]), x(transB ? [n, k] : [k, n])], { transA, transB })),
      );
      return g.concat(products, 0);
    },
  },
  Einsum: {
    // what exported attention holds
    ...einsums("bhid, bhjd -> bhij", "bhij, bhjd -> bhid", "b i d, b j d -> b i j", "nhwpqc->nchpwq"),
    // an axis summed by the operand alone, outer products, three operands, a scalar, implicit output
    ...einsums("ij,jk->k", "i,j->ij", "ij,jk,kl->il", "ij,ij->", "ij,jk", "ba"),
  },
};
