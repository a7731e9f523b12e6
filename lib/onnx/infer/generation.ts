import { sizeOf } from "../../tensor/index.js";
import { dtypeOfCode } from "../codec/data-type.js";
import type { Dim } from "../graph.js";
import { isInteger, readInitializer, storeAs } from "./contents.js";
import { type Call, type InferRule, type Inferred, inferred, maxKnownElements } from "./context.js";
import { elementsOf, isStatic } from "./dims.js";
import { unknownDims } from "./reshaping.js";

function shapeOf(call: Call): Inferred {
  const shape = call.shape(0);
  if (shape === undefined) return inferred("int64", [undefined]);
  const part = shape.slice(call.int("start", 0), call.int("end", shape.length));
  return inferred("int64", [part.length], part);
}

function size(call: Call): Inferred {
  const shape = call.shape(0);
  return inferred("int64", [], shape && [elementsOf(shape)]);
}

function constant(call: Call): Inferred {
  const [entry] = Object.entries(call.node.attributes).filter(([name]) => name.startsWith("value"));
  const attribute = entry?.[1];
  switch (attribute?.type) {
    case "tensor":
      return inferred(attribute.value.dtype, attribute.value.shape, readInitializer(attribute.value));
    case "int":
      return inferred("int64", [], [attribute.value]);
    case "float":
      return inferred("float32", [], [Math.fround(attribute.value)]);
    case "ints":
      return inferred("int64", [attribute.value.length], attribute.value);
    case "floats":
      return inferred("float32", [attribute.value.length], attribute.value.map(Math.fround));
    default:
      return {};
  }
}

function constantOfShape(call: Call): Inferred {
  const attribute = call.node.attributes.value;
  const filler = attribute?.type === "tensor" ? attribute.value : undefined;
  const dtype = filler?.dtype ?? "float32";
  const shape = call.contents(0) ?? unknownDims(call.shape(0)?.[0]);
  const element = filler ? readInitializer(filler)?.[0] : 0;
  if (element === undefined || !isStatic(shape) || sizeOf(shape) > maxKnownElements) return inferred(dtype, shape);
  return inferred(dtype, shape, new Array<number>(sizeOf(shape)).fill(element));
}

function range(call: Call): Inferred {
  const dtype = call.sameDType(0, 1, 2);
  const [start, limit, delta] = [0, 1, 2].map((i) => call.contents(i)?.[0]);
  if (typeof start !== "number" || typeof limit !== "number" || typeof delta !== "number") {
    return inferred(dtype, [start === 0 && delta === 1 ? limit : undefined]);
  }
  if (delta === 0) throw call.error("delta is 0");
  const distance = storeAs(dtype, limit - start);
  const count = distance === undefined ? undefined : Math.max(0, Math.ceil(distance / delta));
  // A running sum of float32 steps depends on the order of rounding; only whole numbers are followed.
  if (count === undefined || count > maxKnownElements || !isInteger(dtype)) return inferred(dtype, [count]);
  return inferred(
    dtype,
    [count],
    Array.from({ length: count }, (_, i) => start + i * delta),
  );
}

function random(call: Call): Inferred {
  return inferred(dtypeOfCode(call.int("dtype", 1)), call.ints("shape"));
}

function randomLike(call: Call): Inferred {
  return inferred(dtypeOfCode(call.int("dtype", 0)) ?? call.dtype(0), call.shape(0));
}

function multinomial(call: Call): Inferred {
  return inferred(dtypeOfCode(call.int("dtype", 6)), [call.shape(0)?.[0], call.int("sample_size", 1)]);
}

function oneHot(call: Call): Inferred {
  const indices = call.shape(0);
  const dtype = call.dtype(2);
  if (indices === undefined) return inferred(dtype, undefined);
  const depth: Dim = call.contents(1)?.[0];
  const axis = call.axis(call.int("axis", -1), indices.length + 1);
  return inferred(dtype, indices.toSpliced(axis, 0, depth));
}

/** Operators that make values from shapes, attributes or chance. */
export const generationRules: Readonly<Record<string, InferRule>> = {
  Shape: shapeOf,
  Size: size,
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Range: range,
  RandomNormal: random,
  RandomUniform: random,
  RandomNormalLike: randomLike,
  RandomUniformLike: randomLike,
  Bernoulli: randomLike,
  Multinomial: multinomial,
  EyeLike: randomLike,
  OneHot: oneHot,
};
