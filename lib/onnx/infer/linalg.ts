import type { Dim, Shape } from "../graph.js";
import { type Call, type InferRule, type Inferred, inferred } from "./context.js";
import { broadcastShapes, mergeDim, shapeText } from "./dims.js";

/**
 * Shape of a matrix product of stacks of matrices; vectors count as a row on the left, a column on the right.
 * @throws ShapeError where inner lengths or stacks do not fit
 */
export function matmulShape(call: Call, a: Shape | undefined, b: Shape | undefined): Shape | undefined {
  if (a === undefined || b === undefined) return undefined;
  if (a.length === 0 || b.length === 0)
    throw call.error(`operands ${shapeText(a)} and ${shapeText(b)}: scalars cannot be multiplied as matrices`);
  const left: Shape = a.length === 1 ? [1, ...a] : a;
  const right: Shape = b.length === 1 ? [...b, 1] : b;
  const inner = left.at(-1);
  const outer = right.at(-2);
  if (mergeDim(inner, outer) === null) {
    throw call.error(
      `${shapeText(a)} × ${shapeText(b)}: the left has ${inner} columns, the right ${outer} rows; they must be equal`,
    );
  }
  const stack = broadcastShapes([left.slice(0, -2), right.slice(0, -2)]);
  if ("axis" in stack) {
    throw call.error(
      `${shapeText(a)} × ${shapeText(b)}: stacks of ${stack.dims[0]} and ${stack.dims[1]} matrices do not broadcast`,
    );
  }
  const out = [...stack];
  if (a.length > 1) out.push(left.at(-2));
  if (b.length > 1) out.push(right.at(-1));
  return out;
}

function matmul(call: Call): Inferred {
  return inferred(call.sameDType(0, 1), matmulShape(call, call.shape(0), call.shape(1)));
}

/** Exchanges the last two axes where asked. */
function transposed(shape: Shape | undefined, yes: boolean): Shape | undefined {
  if (!yes || shape === undefined || shape.length < 2) return shape;
  return [...shape.slice(0, -2), shape.at(-1), shape.at(-2)];
}

function fusedMatmul(call: Call): Inferred {
  const a = transposed(call.shape(0), call.int("transA", 0) === 1);
  const b = transposed(call.shape(1), call.int("transB", 0) === 1);
  const batched = call.int("transBatchA", 0) === 1 || call.int("transBatchB", 0) === 1;
  return inferred(call.sameDType(0, 1), batched ? undefined : matmulShape(call, a, b));
}

function gemm(call: Call): Inferred {
  const dtype = call.sameDType(0, 1, 2);
  for (const i of [0, 1]) {
    const shape = call.shape(i);
    if (shape !== undefined && shape.length !== 2) {
      throw call.error(`operand ${"AB"[i]} is ${shapeText(shape)}, a matrix is needed; use MatMul for stacks`);
    }
  }
  const a = transposed(call.shape(0), call.int("transA", 0) === 1);
  const b = transposed(call.shape(1), call.int("transB", 0) === 1);
  const out = matmulShape(call, a, b);
  const c = call.shape(2);
  if (out !== undefined && c !== undefined) {
    const sum = broadcastShapes([out, c]);
    if ("axis" in sum || sum.length > 2 || out.some((d, i) => d === 1 && typeof sum[i] === "number" && sum[i] !== 1)) {
      throw call.error(`C ${shapeText(c)} does not broadcast to the product ${shapeText(out)}`);
    }
  }
  return inferred(dtype, out ?? (call.has(0) ? [a?.[0], b?.[1]] : undefined));
}

/** Terms of an Einsum operand: letters, with the ellipsis as one entry. */
function terms(call: Call, subscript: string): string[] {
  const found = subscript.replaceAll(" ", "").match(/\.\.\.|[A-Za-z]/g) ?? [];
  if (found.join("") !== subscript.replaceAll(" ", "")) throw call.error(`"${subscript}" is not a list of letters`);
  return found;
}

function einsum(call: Call): Inferred {
  const dtype = call.sameDType(...call.node.inputs.map((_, i) => i));
  const equation = call.string("equation", "");
  const [left = "", right] = equation.split("->");
  const operands = left.split(",").map((s) => terms(call, s));
  if (operands.length !== call.node.inputs.length) {
    throw call.error(`equation "${equation}" has ${operands.length} operands, the node ${call.node.inputs.length}`);
  }
  const lengths = new Map<string, Dim>();
  let stack: Shape | undefined = [];
  for (const [i, letters] of operands.entries()) {
    const shape = call.shape(i);
    const hasStack = letters.includes("...");
    if (shape === undefined) {
      if (hasStack) stack = undefined;
      for (const letter of letters) if (!lengths.has(letter)) lengths.set(letter, undefined);
      continue;
    }
    const named = letters.length - (hasStack ? 1 : 0);
    if (hasStack ? shape.length < named : shape.length !== named) {
      throw call.error(`equation "${equation}" gives operand ${i} ${named} axes, it has ${shape.length}: ${shapeText(shape)}`);
    }
    let axis = 0;
    for (const letter of letters) {
      if (letter === "...") {
        const width = shape.length - named;
        const merged: ReturnType<typeof broadcastShapes> | undefined =
          stack && broadcastShapes([stack, shape.slice(axis, axis + width)]);
        if (merged !== undefined && "axis" in merged)
          throw call.error(`equation "${equation}": the axes under … do not broadcast`);
        stack = merged;
        axis += width;
        continue;
      }
      const length = shape[axis++];
      const before = lengths.get(letter);
      // ONNX Runtime, as NumPy, lets a length of 1 stretch under a shared letter.
      const merged = before === 1 ? length : length === 1 && before !== undefined ? before : mergeDim(before, length);
      if (merged === null)
        throw call.error(`equation "${equation}": ${letter} is ${before} in one operand and ${length} in another`);
      lengths.set(letter, merged);
    }
  }
  // Without "->" the output is the ellipsis, then letters that occur once, sorted.
  const all = operands.flat();
  const once = [...new Set(all)].filter((l) => l !== "..." && all.filter((m) => m === l).length === 1).sort();
  const output = right === undefined ? [...(all.includes("...") ? ["..."] : []), ...once] : terms(call, right);
  const shape: Dim[] = [];
  for (const letter of output) {
    if (letter === "...") {
      if (stack === undefined) return inferred(dtype, undefined);
      shape.push(...stack);
    } else {
      if (!lengths.has(letter)) throw call.error(`equation "${equation}": output letter ${letter} occurs in no operand`);
      shape.push(lengths.get(letter));
    }
  }
  return inferred(dtype, shape);
}

function determinant(call: Call): Inferred {
  return inferred(call.dtype(0), call.shapeOfRank(0, 2, "input")?.slice(0, -2));
}

/** Matrix products. */
export const linalgRules: Readonly<Record<string, InferRule>> = {
  MatMul: matmul,
  Gemm: gemm,
  Einsum: einsum,
  Det: determinant,
  "com.microsoft.FusedMatMul": fusedMatmul,
  "com.microsoft.TransposeMatMul": fusedMatmul,
  "com.microsoft.FusedGemm": gemm,
};
