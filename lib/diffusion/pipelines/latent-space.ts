import type { Value } from "../../program/index.js";
import { float32, Tensor } from "../../tensor/index.js";

/** How latents are scaled and laid out. */
export interface LatentSpace {
  readonly channels: number;
  /** Height and width of the latents that the network was made for. */
  readonly size: number;
  /** Pixels per latent, along one side; 1 for a pipeline that works on pixels. */
  readonly factor: number;
  /** Latents are (encoder output − shift)·scale, either one for all channels or one each. */
  readonly scale: number | readonly number[];
  readonly shift: number | readonly number[];
}

/** As `fromLatents`, in a graph. */
export function fromLatentsIn(latents: Value, space: LatentSpace): Value {
  const { scale, shift } = channelScales(space);
  const each = (values: Float64Array): Value =>
    latents.builder.constant(float32(Float32Array.from(values), [1, values.length, 1, 1]));
  return latents.div(each(scale)).add(each(shift));
}

/** Scale and shift of each channel. */
function channelScales({ channels, scale, shift }: LatentSpace): {
  readonly scale: Float64Array;
  readonly shift: Float64Array;
} {
  const each = (value: number | readonly number[]): Float64Array =>
    typeof value === "number" ? new Float64Array(channels).fill(value) : Float64Array.from(value);
  return { scale: each(scale), shift: each(shift) };
}

/** An encoder's output [item, channel, y, x] as latents. */
export function toLatents(encoded: Tensor<"float32">, space: LatentSpace): Tensor<"float32"> {
  const { scale, shift } = channelScales(space);
  return byChannel(encoded, (v, c) => (v - shift[c]!) * scale[c]!);
}

/** Latents [item, channel, y, x] as a decoder takes them. */
export function fromLatents(latents: Tensor<"float32">, space: LatentSpace): Tensor<"float32"> {
  const { scale, shift } = channelScales(space);
  return byChannel(latents, (v, c) => v / scale[c]! + shift[c]!);
}

function byChannel({ data, shape }: Tensor<"float32">, change: (value: number, channel: number) => number): Tensor<"float32"> {
  const [, channels = 1, height = 1, width = 1] = shape;
  const plane = height * width;
  return new Tensor(
    "float32",
    data.map((v, i) => change(v, Math.floor(i / plane) % channels)),
    shape,
  );
}
