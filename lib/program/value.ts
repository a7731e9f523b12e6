import type { Dim, Shape } from "../onnx/graph.js";
import type { Inferred } from "../onnx/infer/index.js";
import type { DType } from "../tensor/index.js";
import type { GraphBuilder } from "./builder.js";

/** A number, or a value of the graph being built; numbers become constants of the other operand's dtype. */
export type Operand = Value | number;

/**
 * One value of a graph under construction: a name with a dtype and a shape. Methods append operators and
 * return the result; names follow NumPy and ONNX. Nothing is computed here.
 */
export class Value {
  readonly builder: GraphBuilder;
  readonly name: string;
  readonly dtype: DType;
  /** All that is statically known of it. */
  readonly facts: Inferred;

  constructor(builder: GraphBuilder, name: string, facts: Inferred) {
    this.builder = builder;
    this.name = name;
    this.dtype = facts.dtype ?? "float32";
    this.facts = facts;
  }

  /** Contents, when statically known (shape arithmetic). */
  get known(): readonly number[] | undefined {
    return this.facts.value;
  }

  /** Axis lengths. @throws RangeError when not even the rank could be inferred */
  get shape(): Shape {
    if (this.facts.shape === undefined) {
      throw new RangeError(`${this.name}: its shape could not be inferred; give concrete input shapes`);
    }
    return this.facts.shape;
  }

  /** False when nothing is known of the shape. */
  get hasShape(): boolean {
    return this.facts.shape !== undefined;
  }

  get rank(): number {
    return this.shape.length;
  }

  /** Length of one axis (negative counts from the end). @throws RangeError when it is not a fixed number */
  dim(axis: number): number {
    const d = this.shape.at(axis);
    if (typeof d !== "number") {
      throw new RangeError(
        `${this.name}: axis ${axis} of [${this.shape.join(", ")}] is not a fixed number; give concrete input shapes first`,
      );
    }
    return d;
  }

  /** The whole shape as numbers. @throws RangeError when an axis is symbolic */
  get dims(): readonly number[] {
    return this.shape.map((_, i) => this.dim(i));
  }

  /** Number of elements. @throws RangeError when an axis is symbolic */
  get size(): number {
    return this.dims.reduce((a, b) => a * b, 1);
  }

  private binary(opType: string, other: Operand): Value {
    return this.builder.op(opType, [this, this.builder.lift(other, this.dtype)]);
  }
  private unary(opType: string): Value {
    return this.builder.op(opType, [this]);
  }

  add(other: Operand): Value {
    return this.binary("Add", other);
  }
  sub(other: Operand): Value {
    return this.binary("Sub", other);
  }
  mul(other: Operand): Value {
    return this.binary("Mul", other);
  }
  div(other: Operand): Value {
    return this.binary("Div", other);
  }
  pow(exponent: Operand): Value {
    return this.binary("Pow", exponent);
  }
  /** Larger of the two, element by element. */
  maximum(other: Operand): Value {
    return this.binary("Max", other);
  }
  minimum(other: Operand): Value {
    return this.binary("Min", other);
  }
  greater(other: Operand): Value {
    return this.binary("Greater", other);
  }
  less(other: Operand): Value {
    return this.binary("Less", other);
  }
  equal(other: Operand): Value {
    return this.binary("Equal", other);
  }
  matmul(other: Value): Value {
    return this.binary("MatMul", other);
  }

  neg(): Value {
    return this.unary("Neg");
  }
  abs(): Value {
    return this.unary("Abs");
  }
  exp(): Value {
    return this.unary("Exp");
  }
  log(): Value {
    return this.unary("Log");
  }
  sqrt(): Value {
    return this.unary("Sqrt");
  }
  reciprocal(): Value {
    return this.unary("Reciprocal");
  }
  relu(): Value {
    return this.unary("Relu");
  }
  sigmoid(): Value {
    return this.unary("Sigmoid");
  }
  tanh(): Value {
    return this.unary("Tanh");
  }
  erf(): Value {
    return this.unary("Erf");
  }
  sin(): Value {
    return this.unary("Sin");
  }
  cos(): Value {
    return this.unary("Cos");
  }
  sign(): Value {
    return this.unary("Sign");
  }
  identity(): Value {
    return this.unary("Identity");
  }
  /** x·sigmoid(x), also called swish. */
  silu(): Value {
    return this.mul(this.sigmoid());
  }
  square(): Value {
    return this.mul(this);
  }

  cast(dtype: DType): Value {
    return this.dtype === dtype ? this : this.builder.cast(this, dtype);
  }

  softmax(axis = -1): Value {
    return this.builder.op("Softmax", [this], { axis });
  }
  logSoftmax(axis = -1): Value {
    return this.builder.op("LogSoftmax", [this], { axis });
  }

  /** New shape: 0 keeps an axis (also a symbolic one), -1 infers one. */
  reshape(shape: readonly number[]): Value {
    return this.builder.op("Reshape", [this, this.builder.ints(shape)]);
  }
  transpose(perm: readonly number[] = this.shape.map((_, i) => this.rank - 1 - i)): Value {
    return this.builder.op("Transpose", [this], { perm });
  }
  unsqueeze(...axes: number[]): Value {
    return this.builder.op("Unsqueeze", [this, this.builder.ints(axes)]);
  }
  squeeze(...axes: number[]): Value {
    return this.builder.op("Squeeze", [this, this.builder.ints(axes)]);
  }
  /** Broadcasts to `shape`. */
  expand(shape: readonly number[]): Value {
    return this.builder.op("Expand", [this, this.builder.ints(shape)]);
  }
  /** Elements start…end-1 along `axis`; negative numbers count from the end. */
  slice(axis: number, start: number, end: number, step = 1): Value {
    const { builder: g } = this;
    return g.op("Slice", [this, g.ints([start]), g.ints([end]), g.ints([axis]), g.ints([step])]);
  }
  /** Parts of the given lengths along `axis`. */
  split(axis: number, lengths: readonly number[]): Value[] {
    return this.builder.ops("Split", [this, this.builder.ints(lengths)], { axis }, lengths.length);
  }
  /** Rows picked by an integer value along `axis`. */
  gather(indices: Value, axis = 0): Value {
    return this.builder.op("Gather", [this, indices], { axis });
  }
  /** Zeros around: pads = [begin of each axis…, end of each axis…]. */
  pad(pads: readonly number[]): Value {
    return this.builder.op("Pad", [this, this.builder.ints(pads)]);
  }

  sum(axes?: readonly number[], keepdims = false): Value {
    return this.reduce("ReduceSum", axes, keepdims);
  }
  mean(axes?: readonly number[], keepdims = false): Value {
    return this.reduce("ReduceMean", axes, keepdims);
  }
  max(axes?: readonly number[], keepdims = false): Value {
    return this.reduce("ReduceMax", axes, keepdims);
  }
  private reduce(opType: string, axes: readonly number[] | undefined, keepdims: boolean): Value {
    const { builder: g } = this;
    const over = axes ?? this.shape.map((_, i) => i);
    // Before opset 18 (of sums: 13) the axes were an attribute, since then they are an input.
    const isInput = g.opset >= (opType === "ReduceSum" ? 13 : 18);
    return isInput
      ? g.op(opType, [this, g.ints(over)], { keepdims: keepdims ? 1 : 0 })
      : g.op(opType, [this], { keepdims: keepdims ? 1 : 0, axes: over });
  }

  toString(): string {
    return `${this.name}: ${this.dtype}[${this.shape.map((d: Dim) => d ?? "?").join(", ")}]`;
  }
}
