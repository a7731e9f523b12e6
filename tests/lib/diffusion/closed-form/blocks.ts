import type { GraphBuilder, Value } from "../../../../lib/program/index.js";
import { float32, sizeOf } from "../../../../lib/tensor/index.js";

// The building blocks of tests/golden/pipelines/README.md.

/** scale · cos(phase + 1.7 i + 0.01 i²) at flat index i. */
export function wave(g: GraphBuilder, shape: readonly number[], phase: number, scale = 1): Value {
  return fixed(g, shape, (i) => scale * Math.cos(phase + 1.7 * i + 0.01 * i * i));
}

/** A constant by its flat index. */
export function fixed(g: GraphBuilder, shape: readonly number[], at: (i: number) => number): Value {
  return g.constant(
    float32(
      Float32Array.from({ length: sizeOf(shape) }, (_, i) => at(i)),
      shape,
    ),
  );
}

/** 0.3 sin(π t / scale), [B, 1]. */
export function clock(timestep: Value, scale = 1000): Value {
  return timestep
    .cast("float32")
    .reshape([-1, 1])
    .mul(Math.PI / scale)
    .sin()
    .mul(0.3);
}

/** [B, n] → [B, channels]. */
export function vector(v: Value, channels: number, phase: number, scale = 0.5): Value {
  const n = v.dim(-1);
  return v.cast("float32").matmul(wave(v.builder, [n, channels], phase, scale / Math.sqrt(n)));
}

/** States [B, S, D], mask [B, S] → [B, channels]. */
export function context(states: Value, channels: number, phase: number, mask?: Value): Value {
  const length = states.dim(1);
  const weights = fixed(states.builder, [1, length, 1], (s) => 0.4 * 0.6 ** s + (0.5 * (1 + Math.cos(0.7 * s))) / length);
  const masked = mask === undefined ? states : states.mul(mask.cast("float32").unsqueeze(2));
  return vector(masked.mul(weights).sum([1]), channels, phase);
}

/** Class labels [B] → [B, channels]. */
export function label(labels: Value, channels: number, classes: number): Value {
  return wave(labels.builder, [classes + 1, channels], 6, 0.5).gather(labels, 0);
}

/** Everything one place further along the last axis, the last in front. */
export function rolled(x: Value): Value {
  const axis = x.rank - 1;
  const end = Number.MAX_SAFE_INTEGER;
  return x.builder.concat([x.slice(axis, -1, end), x.slice(axis, 0, -1)], axis);
}

/** A matrix [out, in] over the channels of x [B, in, h, w]. */
export function mix(x: Value, out: number, phase: number, scale: number): Value {
  return x.builder.op("Conv", [x, wave(x.builder, [out, x.dim(1), 1, 1], phase, scale)]);
}

/** x [B, in, h, w] → [B, channels, h, w]; bias [B, channels] or [B, channels, h, w]. */
export function prediction(x: Value, bias: Value, channels: number, latentChannels: number = channels): Value {
  const { builder: g } = x;
  const inside = x.dim(1);
  const identity = fixed(g, [channels, inside, 1, 1], (i) => {
    const row = Math.floor(i / inside);
    return row < latentChannels && row === i % inside ? 1 : 0;
  });
  const turned = rolled(x).gather(g.ints(Array.from({ length: channels }, (_, c) => c % latentChannels)), 1);
  const field = bias.rank === 2 ? bias.unsqueeze(2, 3) : bias;
  const mixed = mix(x, channels, 1, 0.3).add(turned.mul(0.3)).add(field).tanh();
  return g.op("Conv", [x, identity]).add(mixed.mul(0.4));
}
