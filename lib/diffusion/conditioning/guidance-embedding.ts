import { Tensor } from "../../tensor/index.js";

/**
 * The guidance scale as latent consistency models take it: sines, then cosines, of 1000·(scale − 1) at geometric frequencies,
 * [row, width].
 * @see Luo et al. 2023, arXiv:2310.04378, §4.2; Meng et al. 2022, arXiv:2210.03142
 */
export function guidanceEmbedding(scale: number, width: number, rows: number): Tensor<"float32"> {
  const half = Math.floor(width / 2);
  const data = new Float32Array(rows * width);
  // Angles are in the thousands, so float32's rounding shows; networks were distilled with it.
  const { fround } = Math;
  const rate = fround(fround(Math.log(10_000)) / (half - 1));
  const weight = fround(fround(scale - 1) * 1000);
  for (let k = 0; k < half; k++) {
    const angle = fround(weight * fround(Math.exp(fround(-k * rate))));
    for (let row = 0; row < rows; row++) {
      data[row * width + k] = Math.sin(angle);
      data[row * width + half + k] = Math.cos(angle);
    }
  }
  return new Tensor("float32", data, [rows, width]);
}
