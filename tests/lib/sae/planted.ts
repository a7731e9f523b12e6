import { float32, Rng, type Tensor } from "../../../lib/tensor/index.js";

export interface PlantedOptions {
  readonly count: number;
  readonly width: number;
  readonly atoms: number;
  /** Atoms in each vector. */
  readonly active: number;
  readonly noise?: number;
  readonly seed?: number;
}

/** Vectors that are sums of a few random unit atoms with weights in 0.5…1.5, plus an offset and noise. */
export function planted({ count, width, atoms, active, noise = 0.02, seed = 0 }: PlantedOptions): {
  vectors: Tensor<"float32">;
  dictionary: Tensor<"float32">;
} {
  const rng = new Rng([seed, 11]);
  const dictionary = rng.fork("atoms").normals(atoms * width);
  for (let a = 0; a < atoms; a++) {
    const row = dictionary.subarray(a * width, (a + 1) * width);
    const norm = Math.hypot(...row);
    for (let i = 0; i < width; i++) row[i]! /= norm;
  }
  const offset = rng.fork("offset").normals(width);
  const vectors = rng.fork("noise").normals(count * width);
  const draw = rng.fork("codes");
  for (let n = 0; n < count; n++) {
    const row = vectors.subarray(n * width, (n + 1) * width);
    for (let i = 0; i < width; i++) row[i] = row[i]! * noise + 0.3 * offset[i]!;
    const used = new Set<number>();
    while (used.size < active) used.add(draw.int(atoms));
    for (const a of used) {
      const weight = 0.5 + draw.uniform();
      for (let i = 0; i < width; i++) row[i]! += weight * dictionary[a * width + i]!;
    }
  }
  return { vectors: float32(vectors, [count, width]), dictionary: float32(dictionary, [atoms, width]) };
}
