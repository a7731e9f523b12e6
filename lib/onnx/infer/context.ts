import type { DType } from "../../tensor/index.js";
import type { Dim, Graph, Node, Shape } from "../graph.js";
import { floatAttribute, intAttribute, intsAttribute, stringAttribute } from "../graph.js";
import { shapeText } from "./dims.js";

/** Contents of tensors up to this many elements are followed through the graph. */
export const maxKnownElements = 1024;

/**
 * What inference knows of a value. Absent fields are unknown.
 * `value` is the flattened contents of a small tensor (whole numbers beyond 2⁵³ are rounded, as in slice ends);
 * `partial` stands in its place when only some elements are known, or known as the name of an axis length:
 * the shape of ["batch", 4] is a value of shape [2] with partial ["batch", 4].
 */
export interface Inferred {
  readonly dtype?: DType;
  readonly shape?: Shape;
  readonly value?: readonly number[];
  readonly partial?: readonly Dim[];
}

/** What a node sees besides its inputs. */
export interface InferContext {
  /** Version of the default operator set: decides where axes, pads and splits are found. */
  readonly opset: number;
  /** Values of the enclosing graph that a subgraph (If, Loop, Scan) may capture by name. */
  readonly outer?: (name: string) => Inferred | undefined;
  /** Is told every value of every subgraph; a loop's again whenever more becomes known. */
  readonly note?: (name: string, value: Inferred) => void;
}

/** Outputs of a subgraph for the given values of its inputs. */
export type InferBody = (body: Graph, inputs: readonly Inferred[], context: InferContext) => Inferred[];

/** Infers a node's outputs, one or a list in the node's order. */
export type InferRule = (call: Call) => Inferred | readonly Inferred[];

/** Operands whose shapes cannot go together, or a shape that is needed and not known. */
export class ShapeError extends RangeError {
  override readonly name: string = "ShapeError";
  /** Operator of the node at fault, where there is one. */
  readonly opType: string | undefined;
  /** Name of that node, or of its first output where the node has none. */
  readonly node: string | undefined;

  /** A message about `node` is preceded by its operator and name. */
  constructor(message: string, node?: Node) {
    super(node === undefined ? message : `${nodeText(node)}: ${message}`);
    this.opType = node?.opType;
    this.node = node && (node.name || node.outputs[0]);
  }
}

/** `Conv "/down/conv1"`: how errors name a node. */
export function nodeText(node: Node): string {
  const name = node.name || node.outputs[0];
  return name ? `${node.opType} "${name}"` : node.opType;
}

/** Puts together what is known, leaving out what is not. Contents are kept where they fit the shape and are small. */
export function inferred(dtype: DType | undefined, shape: Shape | undefined, contents?: readonly Dim[]): Inferred {
  const out: { dtype?: DType; shape?: Shape; value?: readonly number[]; partial?: readonly Dim[] } = {};
  if (dtype !== undefined) out.dtype = dtype;
  if (shape !== undefined) out.shape = shape;
  if (contents !== undefined && contents.length <= maxKnownElements) {
    if (contents.every((x) => typeof x === "number")) out.value = contents;
    else if (contents.some((x) => x !== undefined)) out.partial = contents;
  }
  return out;
}

/** One operator call under inference: the node, what is known of its inputs, and the errors that name it. */
export class Call {
  readonly node: Node;
  readonly inputs: readonly (Inferred | undefined)[];
  readonly context: InferContext;
  readonly #inferBody: InferBody;

  constructor(node: Node, inputs: readonly (Inferred | undefined)[], context: InferContext, inferBody: InferBody) {
    this.node = node;
    this.inputs = inputs;
    this.context = context;
    this.#inferBody = inferBody;
  }

  get opset(): number {
    return this.context.opset;
  }

  /** True where input `i` is given (an omitted optional one is an empty name). */
  has(i: number): boolean {
    return (this.node.inputs[i] ?? "") !== "";
  }

  dtype(i: number): DType | undefined {
    return this.inputs[i]?.dtype;
  }

  shape(i: number): Shape | undefined {
    return this.inputs[i]?.shape;
  }

  /** Elements of input `i` as far as known. */
  contents(i: number): readonly Dim[] | undefined {
    return this.inputs[i]?.value ?? this.inputs[i]?.partial;
  }

  /** Elements of input `i` when all are known numbers. */
  value(i: number): readonly number[] | undefined {
    return this.inputs[i]?.value;
  }

  int(name: string, otherwise: number): number {
    return intAttribute(this.node, name, otherwise);
  }

  float(name: string, otherwise: number): number {
    return floatAttribute(this.node, name, otherwise);
  }

  ints(name: string): readonly number[] | undefined {
    return intsAttribute(this.node, name);
  }

  string(name: string, otherwise: string): string {
    return stringAttribute(this.node, name, otherwise);
  }

  /** Shape and dtype of input `i`, not its contents. */
  like(i: number): Inferred {
    return inferred(this.dtype(i), this.shape(i));
  }

  /** `[2,3]` of input `i`, for messages. */
  text(i: number): string {
    return shapeText(this.shape(i));
  }

  /** A possibly negative axis as 0…rank-1. @throws ShapeError outside -rank…rank-1 */
  axis(axis: number, rank: number, what = "axis"): number {
    if (axis < -rank || axis >= rank) {
      throw this.error(`${what} ${axis} lies outside ${-rank}…${rank - 1} of a rank-${rank} value`);
    }
    return axis < 0 ? axis + rank : axis;
  }

  /** Shape of input `i`, checked to have at least `rank` axes where known. */
  shapeOfRank(i: number, rank: number, what: string): Shape | undefined {
    const shape = this.shape(i);
    if (shape !== undefined && shape.length < rank) {
      throw this.error(`${what} ${shapeText(shape)} has rank ${shape.length}, at least ${rank} is needed`);
    }
    return shape;
  }

  /** The common dtype of some inputs. @throws TypeError where two known ones differ */
  sameDType(...which: number[]): DType | undefined {
    let first: number | undefined;
    for (const i of which) {
      if (this.dtype(i) === undefined) continue;
      if (first === undefined) first = i;
      else if (this.dtype(i) !== this.dtype(first)) {
        const names = `"${this.node.inputs[first]}" is ${this.dtype(first)}, "${this.node.inputs[i]}" is ${this.dtype(i)}`;
        throw new TypeError(`${nodeText(this.node)}: operands must share one dtype, ${names}; cast one of them`);
      }
    }
    return first === undefined ? undefined : this.dtype(first);
  }

  /** Outputs of a subgraph held in attribute `name`; undefined without it. */
  body(name: string, inputs: (body: Graph) => readonly Inferred[]): Inferred[] | undefined {
    const attribute = this.node.attributes[name];
    if (attribute?.type !== "graph") return undefined;
    return this.#inferBody(attribute.value, inputs(attribute.value), this.context);
  }

  /** A ShapeError that names this node; the caller throws it. */
  error(message: string): ShapeError {
    return new ShapeError(message, this.node);
  }
}
