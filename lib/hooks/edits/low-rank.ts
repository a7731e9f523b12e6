import { type Tensor, zeros } from "../../tensor/index.js";
import type { HookPoint } from "../hook-point.js";
import type { Edit } from "./edit.js";
import { limitedEdit } from "./limited-edit.js";
import type { EditOptions } from "./limits.js";
import { operand, type Strength, shapeText, shown, strengthAt, strengthFeed, tensorText } from "./operand.js";

/** The matrices of a low-rank update over channels. */
export interface LowRankMatrices {
  /** A, float32 [r, channel]. */
  readonly down: Tensor;
  /** B, float32 [channel, r]. */
  readonly up: Tensor;
}

/**
 * x + strength·B(Ax) at every place, over channels: what a LoRA adds, applied to an activation.
 * @throws RangeError if A and B do not fit each other or, when it runs, the activation's channels
 * @see Hu et al. 2021, arXiv:2106.09685
 */
export function lowRank(pattern: string, { down, up }: LowRankMatrices, strength: Strength = 1, options: EditOptions = {}): Edit {
  const [a, b] = [operand(down, `at("${pattern}").lowRank: down`), operand(up, `at("${pattern}").lowRank: up`)];
  if (a.shape.length !== 2 || b.shape.join() !== a.shape.toReversed().join()) {
    throw new RangeError(`at("${pattern}").lowRank: expected down [r, channel] and up [channel, r], got ${a} and ${b}`);
  }
  return channelUpdate(
    pattern,
    { label: `${pattern} + ${shown(strength)}·B(Ax), A ${tensorText(a)}, B ${tensorText(b)}`, down: a, up: b },
    strength,
    options,
  );
}

/** x + strength·B(Ax), computed in float32; `down` is A [r, channel], `up` B [channel, r]. */
export function channelUpdate(
  pattern: string,
  { label, down, up }: { readonly label: string; readonly down: Tensor<"float32">; readonly up: Tensor<"float32"> },
  strength: Strength,
  options: EditOptions,
): Edit {
  const [rank, width] = down.shape as [number, number];
  const isZero = [down, up].some(({ data }) => data.every((v) => v === 0));
  const [columns, rows] = [transposed(down), transposed(up)];
  return limitedEdit(
    pattern,
    {
      kind: "channel update",
      label,
      edited: (x, _, input, point) => {
        const channel = channelAxis(point);
        const last = x.rank - 1;
        const swapped = x.shape.map((__, i) => (i === channel ? last : i === last ? channel : i));
        const across = (v: typeof x): typeof x => (channel === last ? v : v.transpose(swapped));
        const update = across(x.cast("float32"))
          .matmul(input("down", "float32", ["channel", "rank"]))
          .matmul(input("up", "float32", ["rank", "channel"]));
        return x.add(across(update.mul(input("strength", "float32", []))).cast(x.dtype));
      },
      feeds: (point, context) => {
        const channels = point.shape?.[channelAxis(point)];
        if (typeof channels === "number" && channels !== width) {
          throw new RangeError(
            `edit at ${point.path}: its directions have ${width} channels, its activation is [${shapeText(point)}]`,
          );
        }
        return { down: columns, up: rows, strength: strengthFeed(strength, context, point) };
      },
      isIdle: (context, { path }) => isZero || rank === 0 || strengthAt(strength, context, path) === 0,
    },
    options,
  );
}

function channelAxis({ axes, path }: HookPoint): number {
  const axis = axes.indexOf("channel");
  if (axis < 0) throw new RangeError(`edit at ${path}: it has no channel axis, its axes are [${axes.join(", ")}]`);
  return axis;
}

/** A matrix with rows and columns exchanged. */
export function transposed({ data, shape }: Tensor<"float32">): Tensor<"float32"> {
  const [rows, columns] = shape as [number, number];
  const out = zeros([columns, rows]);
  for (let i = 0; i < data.length; i++) out.data[(i % columns) * rows + Math.floor(i / columns)] = data[i]!;
  return out;
}
