import type { ConvolutionOp } from "../../../../../lib/autodiff/rules/operators.js";
import type { Cases, Draw, Write } from "../draw.js";

interface Options {
  readonly rank: number;
  readonly kernel?: number;
  readonly batch?: number;
  readonly channels?: readonly [into: number, out: number];
  readonly group?: number;
  readonly strides?: boolean;
  readonly dilations?: boolean;
  readonly pads?: boolean;
  readonly outputPadding?: boolean;
  readonly autoPad?: string;
  readonly size?: readonly [low: number, high: number];
}

function geometry({ between }: Draw, o: Options): { kernel: number[]; attributes: Record<string, readonly number[] | string> } {
  const each = (low: number, high: number): number[] => Array.from({ length: o.rank }, () => between(low, high));
  const kernel = o.kernel === undefined ? each(1, 3) : each(o.kernel, o.kernel);
  const strides = o.strides ? each(1, 3) : each(1, 1);
  const dilations = o.dilations ? each(1, 2) : each(1, 1);
  const attributes: Record<string, readonly number[] | string> = { kernel_shape: kernel, strides, dilations };
  if (o.autoPad !== undefined) attributes.auto_pad = o.autoPad;
  else if (o.pads) attributes.pads = [...kernel, ...kernel].map((k, i) => between(0, (k - 1) * dilations[i % o.rank]!));
  if (o.outputPadding) attributes.output_padding = strides.map((s, i) => between(0, Math.max(s, dilations[i]!) - 1));
  return { kernel, attributes };
}

const conv =
  (o: Options): Write =>
  (draw) => {
    const { g, x, between } = draw;
    const { kernel, attributes } = geometry(draw, o);
    const group = o.group ?? 1;
    const [into, out] = o.channels ?? [group * between(1, 3), group * between(1, 3)];
    const size = kernel.map(() => between(...(o.size ?? [5, 8])));
    return g.op("Conv", [x([o.batch ?? between(1, 3), into, ...size]), x([out, into / group, ...kernel]), x([out])], {
      ...attributes,
      group,
    });
  };

const convTranspose =
  (o: Options): Write =>
  (draw) => {
    const { g, x, between } = draw;
    const { kernel, attributes } = geometry(draw, o);
    const group = o.group ?? 1;
    const [into, out] = [group * between(1, 2), between(1, 2)];
    const size = kernel.map(() => between(3, 5));
    return g.op("ConvTranspose", [x([between(1, 2), into, ...size]), x([into, out, ...kernel]), x([group * out])], {
      ...attributes,
      group,
    });
  };

export const convolutionCases: Readonly<Record<ConvolutionOp, Cases>> = {
  Conv: {
    "1-D": conv({ rank: 1, strides: true, dilations: true, pads: true }),
    "1-D in groups": conv({ rank: 1, strides: true, dilations: true, pads: true, group: 2 }),
    "2-D": conv({ rank: 2, strides: true, dilations: true, pads: true }),
    "2-D in groups": conv({ rank: 2, strides: true, dilations: true, pads: true, group: 2 }),
    "2-D of depth 1": conv({ rank: 2, pads: true, group: 3, channels: [3, 3] }),
    "2-D of depth 1, two outputs per channel": conv({ rank: 2, strides: true, group: 3, channels: [3, 6] }),
    "3-D": conv({ rank: 3, kernel: 2, strides: true, pads: true, channels: [2, 2], batch: 1, size: [3, 5] }),
    "1×1": conv({ rank: 2, kernel: 1 }),
    "1×1 with stride": conv({ rank: 2, kernel: 1, strides: true }),
    "3×3 of many channels on small pictures": conv({ rank: 2, kernel: 3, pads: true, channels: [6, 5] }),
    "3×3 of many channels on wide pictures": ({ g, x }) =>
      g.op("Conv", [x([2, 6, 5, 16]), x([5, 6, 3, 3]), x([5])], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
    "3×3 of few channels": conv({ rank: 2, kernel: 3, pads: true, channels: [3, 5] }),
    "padded more than the kernel reaches": ({ g, x }) =>
      g.op("Conv", [x([1, 2, 4, 4]), x([3, 2, 2, 2])], { kernel_shape: [2, 2], pads: [3, 2, 2, 3] }),
    "padded alike, the rest above": conv({ rank: 2, strides: true, autoPad: "SAME_UPPER" }),
    "padded alike, the rest below": conv({ rank: 2, kernel: 2, autoPad: "SAME_LOWER" }),
    "not padded": conv({ rank: 2, kernel: 3, strides: true, autoPad: "VALID" }),
  },
  ConvTranspose: {
    "1-D": convTranspose({ rank: 1, strides: true, dilations: true, pads: true, outputPadding: true }),
    "2-D": convTranspose({ rank: 2, strides: true, pads: true }),
    "2-D with output padding": convTranspose({ rank: 2, strides: true, pads: true, outputPadding: true }),
    "2-D with dilation": convTranspose({ rank: 2, strides: true, dilations: true, pads: true }),
    "2-D in groups": convTranspose({ rank: 2, strides: true, pads: true, group: 2 }),
    "2×2 at stride 2, as decoders upsample": ({ g, x }) =>
      g.op("ConvTranspose", [x([2, 3, 3, 4]), x([3, 2, 2, 2]), x([2])], { kernel_shape: [2, 2], strides: [2, 2] }),
  },
};
