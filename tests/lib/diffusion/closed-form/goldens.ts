import { readFileSync } from "node:fs";
import { expectFloat32, readSafetensors, type Tensor } from "../../../../lib/tensor/index.js";

const folder = new URL("../../../golden/pipelines/", import.meta.url).pathname;

/** One run of a pipeline of diffusers; tests/golden/pipelines/README.md says what the arrays are. */
export interface GoldenRun {
  readonly name: string;
  readonly pipeline: string;
  /** The whole scheduler_config.json. */
  readonly scheduler: Readonly<Record<string, unknown>> & { readonly _class_name: string };
  readonly seed: number;
  /** The plain arguments, by diffusers' names. */
  readonly call: Readonly<Record<string, unknown>>;
  readonly timesteps: readonly number[];
  has(name: string): boolean;
  array(name: string): Tensor;
  float32(name: string): Tensor<"float32">;
  /** Everything that begins with `prefix.`, without it: `probe("unet")` gives the inputs and the `output` of its first call. */
  probe(prefix: string): Readonly<Record<string, Tensor>>;
}

/** The runs of a family (`stable-diffusion`, `sdxl`, …) by their names. */
export function goldenRuns(family: string): Readonly<Record<string, GoldenRun>> {
  const { cases } = JSON.parse(readFileSync(`${folder}${family}.json`, "utf8")) as {
    cases: Record<string, Omit<GoldenRun, "name"> & { arrays: Record<string, string> }>;
  };
  const { tensors } = readSafetensors(`${folder}${family}.safetensors`);
  return Object.fromEntries(
    Object.entries(cases).map(([name, { arrays, ...run }]) => {
      const array = (key: string): Tensor => {
        const tensor = tensors[arrays[key] ?? ""];
        if (tensor === undefined)
          throw new RangeError(`${family}/${name} has no "${key}"; it has ${Object.keys(arrays).join(", ")}`);
        return tensor;
      };
      const probe = (prefix: string): Record<string, Tensor> =>
        Object.fromEntries(
          Object.keys(arrays)
            .filter((key) => key.startsWith(`${prefix}.`))
            .map((key) => [key.slice(prefix.length + 1), array(key)]),
        );
      const has = (key: string): boolean => key in arrays;
      return [name, { ...run, name, has, array, float32: (key: string) => expectFloat32(array(key), `${name}/${key}`), probe }];
    }),
  );
}
