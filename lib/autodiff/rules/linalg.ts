import { floatAttribute, intAttribute, stringAttribute } from "../../onnx/graph.js";
import type { GraphBuilder, Value } from "../../program/index.js";
import { type Call, only, UnsupportedOpError, unbroadcast, type Vjp } from "../vjp.js";
import type { LinalgOp } from "./operators.js";

/** The last two axes exchanged; ONNX Runtime fuses this into the matrix product that follows. */
export function matrixTranspose(x: Value): Value {
  const perm = x.shape.map((_, i) => i);
  const [a, b] = [perm.length - 2, perm.length - 1];
  perm[a] = b;
  perm[b] = a;
  return x.transpose(perm);
}

/** Y = A·B with batch broadcasting: dA = dY·Bᵀ, dB = Aᵀ·dY. */
const matmul: Vjp = (call, cotangents, g) => {
  const [a, b] = call.inputs as [Value, Value];
  const d = only(cotangents);
  if (a.rank === 1 || b.rank === 1) return vectorProduct(call, d);
  const dA = (): Value => unbroadcast(d.matmul(matrixTranspose(b)), a.shape);
  // A weight shared over a batch: one long product instead of a batch of small ones and a sum.
  const dB = (): Value => {
    if (b.rank === 2 && a.rank > 2) return g.gemm(rows(a), rows(d), { transA: true });
    return unbroadcast(matrixTranspose(a).matmul(d), b.shape);
  };
  return [call.needs[0] ? dA() : undefined, call.needs[1] ? dB() : undefined];
};

function rows(x: Value): Value {
  return x.rank === 2 ? x : x.reshape([-1, x.dim(-1)]);
}

/** MatMul with a vector operand: made a matrix product by an extra axis. */
function vectorProduct(call: Call, d: Value): (Value | undefined)[] {
  const [a, b] = call.inputs as [Value, Value];
  const matrixA = a.rank === 1 ? a.unsqueeze(0) : a;
  const matrixB = b.rank === 1 ? b.unsqueeze(1) : b;
  let matrixD = d;
  if (b.rank === 1) matrixD = matrixD.unsqueeze(matrixD.rank);
  if (a.rank === 1) matrixD = matrixD.unsqueeze(matrixD.rank - 1);
  const dA = unbroadcast(matrixD.matmul(matrixTranspose(matrixB)), matrixA.shape);
  const dB = unbroadcast(matrixTranspose(matrixA).matmul(matrixD), matrixB.shape);
  return [a.rank === 1 ? dA.squeeze(0) : dA, b.rank === 1 ? dB.squeeze(1) : dB];
}

/** Y = α·A'·B' + β·C, where ' is an optional transpose. */
const gemm: Vjp = (call, cotangents, g) => {
  const [a, b, c] = call.inputs as [Value, Value, Value | undefined];
  const alpha = floatAttribute(call.node, "alpha", 1);
  const beta = floatAttribute(call.node, "beta", 1);
  const transA = intAttribute(call.node, "transA", 0) === 1;
  const transB = intAttribute(call.node, "transB", 0) === 1;
  const d = only(cotangents);
  const scaled = (x: Value, s: number): Value => (s === 1 ? x : x.mul(s));
  const dA = (): Value =>
    scaled(transA ? g.gemm(b, d, { transA: transB, transB: true }) : g.gemm(d, b, { transB: !transB }), alpha);
  const dB = (): Value =>
    scaled(transB ? g.gemm(d, a, { transA: true, transB: transA }) : g.gemm(a, d, { transA: !transA }), alpha);
  return [
    call.needs[0] ? dA() : undefined,
    call.needs[1] ? dB() : undefined,
    c !== undefined && call.needs[2] ? scaled(unbroadcast(d, c.shape), beta) : undefined,
  ];
};

/** Einsum: each operand's cotangent is the Einsum of the output's cotangent with the other operands. */
const einsum: Vjp = (call, cotangents, g) => {
  const equation = stringAttribute(call.node, "equation", "").replace(/\s+/g, "");
  const [left, right] = equation.includes("->")
    ? (equation.split("->") as [string, string])
    : [equation, implicitOutput(equation)];
  const terms = left.split(",");
  if (equation.includes(".") || terms.some((t) => new Set(t).size < t.length))
    throw new UnsupportedOpError("Einsum", call.node.name, `"${equation}" has an ellipsis or a repeated letter in one operand`);
  const d = only(cotangents);
  return call.inputs.map((operand, i) => {
    if (!call.needs[i]) return undefined;
    const others = terms.flatMap((t, j) => (j === i ? [] : [{ term: t, value: call.inputs[j]! }]));
    const available = new Set([...right, ...others.flatMap(({ term }) => [...term])]);
    const kept = [...terms[i]!].filter((letter) => available.has(letter)).join("");
    const part = g.op("Einsum", [d, ...others.map(({ value }) => value)], {
      equation: `${[right, ...others.map(({ term }) => term)].join(",")}->${kept}`,
    });
    return restoreSummedAxes(g, part, terms[i]!, kept, operand!);
  });
};

function implicitOutput(equation: string): string {
  const letters = [...equation.replaceAll(",", "")];
  return [...new Set(letters)]
    .filter((l) => letters.indexOf(l) === letters.lastIndexOf(l))
    .sort()
    .join("");
}

/** An axis that the operand alone had was summed: its cotangent is the same all along it. */
function restoreSummedAxes(g: GraphBuilder, part: Value, term: string, kept: string, operand: Value): Value {
  if (term === kept) return part;
  const missing = [...term].flatMap((l, i) => (kept.includes(l) ? [] : [i]));
  return g.op("Expand", [part.unsqueeze(...missing), g.ints(operand.dims)]);
}

export const linalgRules: Readonly<Record<LinalgOp, Vjp>> = {
  MatMul: matmul,
  Gemm: gemm,
  Einsum: einsum,
};
