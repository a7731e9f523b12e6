import { dtypeOfCode } from "../codec/data-type.js";
import type { Dim, Shape } from "../graph.js";
import { type Call, type InferRule, type Inferred, inferred } from "./context.js";
import { broadcastShapes, mergeDim, shapeText } from "./dims.js";

/** Checks that a per-channel parameter has one entry for each of `channels`. */
function checkPerChannel(call: Call, i: number, channels: Dim, what: string): void {
  const shape = call.shape(i);
  if (shape === undefined) return;
  if (shape.length !== 1 || mergeDim(shape[0], channels) === null) {
    throw call.error(
      `${what} is ${shapeText(shape)}, the input ${call.text(0)} has ${channels} channels and needs [${channels}]`,
    );
  }
}

/** Lengths from `axis` on replaced by 1: the shape of the statistics. */
function statistics(shape: Shape | undefined, axis: number): Shape | undefined {
  return shape?.map((d, i) => (i < axis ? d : 1));
}

/** Checks that a scale or bias broadcasts into the normalized input. */
function checkAffine(call: Call, i: number, what: string): void {
  const input = call.shape(0);
  const shape = call.shape(i);
  if (input === undefined || shape === undefined) return;
  const result = broadcastShapes([input, shape]);
  if ("axis" in result || result.length > input.length)
    throw call.error(`${what} ${shapeText(shape)} does not broadcast to the input ${shapeText(input)}`);
}

function layerNormalization(hasBias: boolean): InferRule {
  return (call) => {
    const shape = call.shape(0);
    const axis = shape ? call.axis(call.int("axis", -1), shape.length) : 0;
    checkAffine(call, 1, "scale");
    if (hasBias) checkAffine(call, 2, "bias");
    const statistic = inferred(dtypeOfCode(call.int("stash_type", 1)), statistics(shape, axis));
    const y = inferred(call.dtype(0), shape);
    return hasBias ? [y, statistic, statistic] : [y, statistic];
  };
}

function rmsNormalization(call: Call): Inferred {
  const shape = call.shape(0);
  if (shape) call.axis(call.int("axis", -1), shape.length);
  checkAffine(call, 1, "scale");
  return call.like(0);
}

function instanceNormalization(call: Call): Inferred {
  const shape = call.shapeOfRank(0, 3, "input");
  checkPerChannel(call, 1, shape?.[1], "scale");
  checkPerChannel(call, 2, shape?.[1], "bias");
  return call.like(0);
}

function checkGroups(call: Call, channels: Dim, groups: number): void {
  if (groups < 1 || (typeof channels === "number" && channels % groups !== 0)) {
    throw call.error(`${channels} channels of ${call.text(0)} cannot be divided into ${groups} groups`);
  }
}

function groupNormalization(call: Call): Inferred {
  const shape = call.shapeOfRank(0, 3, "input");
  const groups = call.int("num_groups", 1);
  checkGroups(call, shape?.[1], groups);
  // Scale and bias are per group before opset 21, per channel since.
  const entries = call.opset >= 21 ? shape?.[1] : groups;
  for (const [i, what] of [
    [1, "scale"],
    [2, "bias"],
  ] as const) {
    const given = call.shape(i);
    if (given !== undefined && (given.length !== 1 || mergeDim(given[0], entries) === null)) {
      throw call.error(
        `${what} is ${shapeText(given)}, [${entries}] is needed (one per ${call.opset >= 21 ? "channel" : "group"})`,
      );
    }
  }
  return call.like(0);
}

/** The contrib operator works on NHWC by default. */
function microsoftGroupNorm(call: Call): Inferred {
  const shape = call.shapeOfRank(0, 3, "input");
  checkGroups(call, call.int("channels_last", 1) === 1 ? shape?.at(-1) : shape?.[1], call.int("groups", 1));
  return call.like(0);
}

function batchNormalization(call: Call): Inferred[] {
  const shape = call.shapeOfRank(0, 2, "input");
  for (const [i, what] of [
    [1, "scale"],
    [2, "bias"],
    [3, "mean"],
    [4, "variance"],
  ] as const) {
    checkPerChannel(call, i, shape?.[1], what);
  }
  const perChannel = inferred(call.dtype(3) ?? call.dtype(0), [shape?.[1]]);
  return [call.like(0), perChannel, perChannel, perChannel, perChannel];
}

/** Outputs: normalized, mean, inverse deviation, and the sum of input and skip. */
function skipNormalization(call: Call): Inferred[] {
  const shape = call.shape(0);
  const statistic = inferred("float32", shape && statistics(shape, shape.length - 1));
  checkAffine(call, 1, "skip");
  return [call.like(0), statistic, statistic, call.like(0)];
}

/** Normalizations, in ONNX and as ONNX Runtime fuses them. */
export const normalizationRules: Readonly<Record<string, InferRule>> = {
  LayerNormalization: layerNormalization(true),
  SimplifiedLayerNormalization: layerNormalization(false),
  RMSNormalization: rmsNormalization,
  InstanceNormalization: instanceNormalization,
  GroupNormalization: groupNormalization,
  BatchNormalization: batchNormalization,
  LpNormalization: rmsNormalization,
  MeanVarianceNormalization: (call) => call.like(0),
  LRN: (call) => call.like(0),
  "com.microsoft.LayerNormalization": layerNormalization(true),
  "com.microsoft.SimplifiedLayerNormalization": layerNormalization(false),
  "com.microsoft.GroupNorm": microsoftGroupNorm,
  "com.microsoft.SkipGroupNorm": (call) => [microsoftGroupNorm(call), call.like(0)],
  "com.microsoft.SkipLayerNormalization": skipNormalization,
  "com.microsoft.SkipSimplifiedLayerNormalization": skipNormalization,
};
