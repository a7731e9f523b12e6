import { Tensor } from "../../tensor/index.js";
import type { RunOptions } from "../schedules/index.js";

/** How a transformer sees its state and time, where that is not as samplers have them. */
export interface StateLayout {
  /** Latents per side of a token. */
  readonly patch: number;
  /** Whether the caller lays tokens out, [row, token, channel·patch²], instead of [row, channel, y, x]. */
  readonly packed: boolean;
  /** The network's timestep is the schedule's times this. */
  readonly timestepScale: number;
  /** Shares of noise of a run, before the schedule shifts them; default the schedule's own. */
  readonly levels?: (steps: number) => number[];
}

/** What a schedule is told of a run: by the number of tokens it shifts its levels. */
export function scheduleRun(
  layout: StateLayout | undefined,
  steps: number | readonly number[],
  [height, width]: readonly [height: number, width: number],
): RunOptions {
  if (layout === undefined) return {};
  const { patch, levels } = layout;
  return {
    imageSequenceLength: Math.floor(height / patch) * Math.floor(width / patch),
    ...(levels && typeof steps === "number" && { sigmas: levels(steps) }),
  };
}

/**
 * A state [row, channel, y, x] as tokens of patch × patch latents, [row, token, channel·patch²].
 * @throws RangeError if its sides are no multiples of the patch
 */
export function packTokens(state: Tensor<"float32">, patch: number): Tensor<"float32"> {
  const [rows = 0, channels = 0, height = 0, width = 0] = state.shape;
  if (height % patch !== 0 || width % patch !== 0) {
    throw new RangeError(`generate: latents of this network have sides that are multiples of ${patch}, got ${height}×${width}`);
  }
  const out = new Float32Array(state.size);
  visit(state.shape, patch, (inState, inTokens) => {
    out[inTokens] = state.data[inState]!;
  });
  return new Tensor("float32", out, [rows, (height * width) / patch ** 2, channels * patch ** 2]);
}

/** Tokens as the state they were packed from. @param shape of the state */
export function unpackTokens(tokens: Tensor<"float32">, shape: readonly number[], patch: number): Tensor<"float32"> {
  const out = new Float32Array(tokens.size);
  visit(shape, patch, (inState, inTokens) => {
    out[inState] = tokens.data[inTokens]!;
  });
  return new Tensor("float32", out, shape);
}

/** Every element's place in a state and in its tokens. */
function visit(shape: readonly number[], patch: number, place: (inState: number, inTokens: number) => void): void {
  const [rows = 0, channels = 0, height = 0, width = 0] = shape;
  const columns = width / patch;
  let inState = 0;
  for (let row = 0; row < rows; row++) {
    for (let c = 0; c < channels; c++) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++, inState++) {
          const token = Math.floor(y / patch) * columns + Math.floor(x / patch);
          const within = (c * patch + (y % patch)) * patch + (x % patch);
          place(inState, (row * (height / patch) * columns + token) * channels * patch ** 2 + within);
        }
      }
    }
  }
}
