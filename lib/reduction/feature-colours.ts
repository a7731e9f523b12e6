import { type Activation, positionAxes } from "../hooks/index.js";
import { float32, type Tensor } from "../tensor/index.js";
import { type Pca, pca } from "./pca.js";

export interface FeatureColours {
  /** Red, green and blue of each place, float32 [item, 3, y, x] in 0…1. */
  readonly pictures: Tensor<"float32">;
  /** Their directions: red is the first component, green the second, blue the third. */
  readonly pca: Pca;
}

/** Share of the places at either end that is drawn at full strength. */
const clipped = 0.02;

/**
 * Features as colours: the first three principal components over all places of all pictures, each from its 2nd to its 98th
 * percentile. Places of like colour hold like features, across pictures too.
 * @param activation [item, channel, y, x], such as `select(run.activations[path], { step, branch })`
 * @throws RangeError on other axes, or fewer than three channels
 * @see Tumanyan et al. 2022, arXiv:2211.12572, Fig. 3
 */
export async function featureColours(activation: Activation<Tensor<"float32">>): Promise<FeatureColours> {
  const { axes, tensor } = activation;
  const [items = 0, channels = 0, height = 0, width = 0] = tensor.shape;
  if (axes.length !== 4 || axes[1] !== "channel" || positionAxes(axes).join() !== "2,3" || channels < 3)
    throw new RangeError(
      `featureColours: expected an activation [item, channel ≥ 3, y, x], got [${axes.join(", ")}] ${tensor}; select a step and a branch`,
    );
  const plane = height * width;
  const rows = new Float32Array(tensor.size);
  for (let i = 0; i < tensor.size; i++) {
    const [item, channel, place] = [Math.floor(i / (channels * plane)), Math.floor(i / plane) % channels, i % plane];
    rows[(item * plane + place) * channels + channel] = tensor.data[i]!;
  }
  const vectors = float32(rows, [items * plane, channels]);
  const fitted = await pca(vectors, { components: 3 });
  const { data } = fitted.transform(vectors);
  const pictures = new Float32Array(items * 3 * plane);
  for (let c = 0; c < 3; c++) {
    const sorted = Float32Array.from({ length: items * plane }, (_, row) => data[row * 3 + c]!).sort();
    const [low, high] = [clipped, 1 - clipped].map((share) => sorted[Math.round(share * (sorted.length - 1))]!) as [
      number,
      number,
    ];
    for (let row = 0; row < items * plane; row++) {
      const share = (data[row * 3 + c]! - low) / (high - low || 1);
      pictures[(Math.floor(row / plane) * 3 + c) * plane + (row % plane)] = Math.min(1, Math.max(0, share));
    }
  }
  return { pictures: float32(pictures, [items, 3, height, width]), pca: fitted };
}
