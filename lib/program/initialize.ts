import { float32, type Rng, sizeOf, type Tensor } from "../tensor/index.js";
import type { Parameter } from "./builder.js";

/** Start values of parameters, each drawn from a stream of its own: adding a layer does not change the others. */
export function initialize(parameters: Iterable<Parameter>, rng: Rng): Record<string, Tensor> {
  const out: Record<string, Tensor> = {};
  for (const { name, shape, init } of parameters) {
    const n = sizeOf(shape);
    const stream = rng.fork(name);
    let data: Float32Array;
    if (init.kind === "constant") data = new Float32Array(n).fill(init.value);
    else if (init.kind === "normal") data = stream.normals(n).map((x) => x * init.std);
    else data = Float32Array.from({ length: n }, () => (2 * stream.uniform() - 1) * init.bound);
    out[name] = float32(data, shape);
  }
  return out;
}
