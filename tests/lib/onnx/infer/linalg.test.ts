import { describe, expect, it } from "vitest";
import { infer, of, shapeAfter } from "./graphs.js";

describe("MatMul", () => {
  it("multiplies stacks, broadcasting them", () => {
    expect(shapeAfter("MatMul", [of([2, 3]), of([3, 4])])).toEqual([2, 4]);
    expect(shapeAfter("MatMul", [of(["batch", 8, 2, 3]), of([3, 4])])).toEqual(["batch", 8, 2, 4]);
    expect(shapeAfter("MatMul", [of([5, 1, 2, 3]), of([7, 3, 4])])).toEqual([5, 7, 2, 4]);
  });

  it("takes a vector as a row on the left, as a column on the right", () => {
    expect(shapeAfter("MatMul", [of([3]), of([3, 4])])).toEqual([4]);
    expect(shapeAfter("MatMul", [of([2, 3]), of([3])])).toEqual([2]);
    expect(shapeAfter("MatMul", [of([3]), of([3])])).toEqual([]);
  });

  it("says which inner lengths differ", () => {
    expect(() => infer("MatMul", [of([2, 3]), of([4, 5])])).toThrow(
      'MatMul "y0": [2,3] × [4,5]: the left has 3 columns, the right 4 rows; they must be equal',
    );
    expect(() => infer("MatMul", [of([2, 1, 3]), of([3, 3, 5])])).toThrow("stacks of 2 and 3 matrices do not broadcast");
    expect(() => infer("MatMul", [of([]), of([3])])).toThrow("scalars cannot be multiplied");
  });

  it("FusedMatMul transposes first", () => {
    expect(shapeAfter("com.microsoft.FusedMatMul", [of([2, 3, 4]), of([2, 5, 4])], { transB: 1 })).toEqual([2, 3, 5]);
    expect(shapeAfter("com.microsoft.FusedMatMul", [of([2, 4, 3]), of([2, 4, 5])], { transA: 1 })).toEqual([2, 3, 5]);
  });
});

describe("Gemm", () => {
  it("transposes and adds C", () => {
    expect(shapeAfter("Gemm", [of([3, 2]), of([4, 3]), of([4])], { transA: 1, transB: 1 })).toEqual([2, 4]);
  });

  it("refuses what is no matrix and a C that does not fit", () => {
    expect(() => infer("Gemm", [of([2, 3, 4]), of([4, 5])])).toThrow(
      "operand A is [2,3,4], a matrix is needed; use MatMul for stacks",
    );
    expect(() => infer("Gemm", [of([2, 3]), of([3, 4]), of([5])])).toThrow("C [5] does not broadcast to the product [2,4]");
    expect(() => infer("Gemm", [of([1, 3]), of([3, 4]), of([2, 4])])).toThrow("C [2,4] does not broadcast to the product [1,4]");
  });
});

describe("Einsum", () => {
  it("reads output letters in order", () => {
    expect(shapeAfter("Einsum", [of(["batch", 4, 5]), of(["batch", 6, 5])], { equation: "bid,bjd->bij" })).toEqual([
      "batch",
      4,
      6,
    ]);
    expect(shapeAfter("Einsum", [of([3, 3])], { equation: "ii->i" })).toEqual([3]);
  });

  it("without an arrow gives letters that occur once, sorted", () => {
    expect(shapeAfter("Einsum", [of([2, 3]), of([2, 4])], { equation: "kb,ka" })).toEqual([4, 3]);
  });

  it("an ellipsis stands for the leading axes", () => {
    expect(shapeAfter("Einsum", [of([7, 2, 3]), of([7, 3, 4])], { equation: "...ij,...jk->...ik" })).toEqual([7, 2, 4]);
  });

  it("refuses a letter with two lengths, a wrong rank, an unknown output letter", () => {
    const error = (equation: string) => () => infer("Einsum", [of([2, 3]), of([4, 5])], { equation });
    expect(error("ij,jk->ik")).toThrow('Einsum "y0": equation "ij,jk->ik": j is 3 in one operand and 4 in another');
    expect(error("ijk,kl->il")).toThrow("gives operand 0 3 axes, it has 2: [2,3]");
    expect(error("ij,kl->iz")).toThrow("output letter z occurs in no operand");
    expect(error("ij->i")).toThrow("has 1 operands, the node 2");
  });
});
