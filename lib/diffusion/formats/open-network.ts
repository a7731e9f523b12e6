import { dirname, join } from "node:path";
import { HookedModel } from "../../hooks/index.js";
import {
  type Dim,
  externalFilesOf,
  fromBfloat16,
  loadModel,
  type Model,
  type Shape,
  usesBfloat16,
  withSmallDataInside,
} from "../../onnx/index.js";
import type { SessionOptions } from "../../runtime/index.js";
import { networkInputs } from "../pipelines/network-inputs.js";
import type { Network } from "./diffusers-folder.js";
import { ModelFolderError } from "./model-folder-error.js";

export interface OpenNetworkOptions {
  /** How sessions are opened. */
  readonly session?: SessionOptions | undefined;
  /** Compiled variants kept open, as in `HookedModelOptions`. */
  readonly maxSessions?: number | undefined;
  /** Told what had to be changed. */
  readonly note: (text: string) => void;
}

/** A network that was read. */
export interface ReadModel {
  readonly model: Model;
  /** Paths of the files beside it that hold weights. */
  readonly dataFiles: readonly string[];
}

/** A network's file, read; weights in bfloat16 are computed with in float32. */
export async function readModel({ model: path }: Network, { note }: OpenNetworkOptions): Promise<ReadModel> {
  const loaded = await loadModel(path);
  const dataFiles = externalFilesOf(loaded.graph).map((name) => join(dirname(path), name));
  const model = await withSmallDataInside(loaded);
  if (model.graph.inputs.length === 0 || model.graph.outputs.length === 0) {
    throw new ModelFolderError(
      path,
      "a network with inputs and outputs",
      `${model.graph.inputs.length} and ${model.graph.outputs.length}`,
    );
  }
  if (!usesBfloat16(model.graph)) return { model, dataFiles };
  note(`${path}: bfloat16 is computed in float32, for which the runtime has kernels`);
  return { model: { ...model, graph: fromBfloat16(model.graph) }, dataFiles };
}

/**
 * A network ready to be hooked.
 * @param shapes what is known of its inputs' axes: with them its tree shows concrete shapes
 */
export function hooked(
  { model: path }: Network,
  model: Model,
  shapes: Readonly<Record<string, Shape>>,
  { session, maxSessions }: OpenNetworkOptions,
): HookedModel {
  const inputShapes = Object.fromEntries(
    model.graph.inputs.flatMap(({ name, shape }) => {
      const known = shapes[name];
      if (known === undefined) return shape === undefined ? [] : [[name, shape]];
      if (shape === undefined) return [[name, known]];
      return shape.length === known.length
        ? [[name, shape.map((d, i): Dim => (typeof d === "number" ? d : known[i]))]]
        : [[name, shape]];
    }),
  );
  return new HookedModel(model, {
    inputShapes,
    session: { name: path, ...session },
    ...(maxSessions !== undefined && { maxSessions }),
  });
}

/** Names of a denoising network's state and of its text states. @throws ModelFolderError if it is no denoising network */
export function denoisingInputs({ model: path }: Network, { graph }: Model): ReturnType<typeof networkInputs> {
  try {
    return networkInputs(graph.inputs);
  } catch (error) {
    const names = graph.inputs.map((v) => v.name).join(", ");
    throw new ModelFolderError(
      path,
      "a network with inputs for the noisy state and the timestep",
      names,
      (error as Error).message,
    );
  }
}
