import type { Model, ValueInfo } from "../onnx/index.js";
import type { Tensor } from "../tensor/index.js";
import type { Device } from "./devices.js";
import type { ResidentTensor } from "./resident.js";

export type GraphOptimizationLevel = "disabled" | "basic" | "extended" | "all";

/** A serialized model: its bytes or the path of its file. */
export interface ModelSource {
  readonly model: Uint8Array | string;
  /** `model` was made for this call, so that the backend may take its memory. */
  readonly owned: boolean;
  /** How errors call it. */
  readonly name: string;
}

export interface BackendOptions {
  readonly device: Device;
  readonly threads: number;
  readonly spinning?: boolean | undefined;
  readonly graphOptimizationLevel: GraphOptimizationLevel;
  /** Outputs that runs are going to retain. */
  readonly resident: readonly string[];
  /** Files that hold weights beside the model: their folder, or their contents by location. */
  readonly externalData?: string | Readonly<Record<string, Uint8Array>> | undefined;
  readonly signal?: AbortSignal | undefined;
}

export type Feeds = Readonly<Record<string, Tensor | ResidentTensor>>;

export interface BackendRun {
  /** Output names to compute. */
  readonly fetches: readonly string[];
  /** Those among them that stay where they were computed. */
  readonly retain: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

/** A loaded model. Feeds and names have been validated when they get here. */
export interface BackendSession {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** Milliseconds of all runs so far inside the runtime, without the way there and back. */
  readonly runMs: number;
  run(feeds: Feeds, request: BackendRun): Promise<Record<string, Tensor | ResidentTensor>>;
  release(): Promise<void>;
}

/** What executes graphs. Everything above knows only this. */
export interface Backend {
  readonly name: string;
  /** Devices this backend was built for; whether the machine has them shows when a model is opened. */
  devices(): Promise<readonly Device[]>;
  /** Why a device could not be opened, in words that say what to do; given what the runtime said. */
  explain?(device: Device, detail: string): string;
  /** What in a model would end the process, in words; such a model is not opened. */
  fatal?(model: Model, device: Device): string | undefined;
  /** The same computation in the form this backend runs fastest on that device, on this machine. */
  specialize?(model: Model, device: Device): Promise<Model>;
  open(source: ModelSource, options: BackendOptions): Promise<BackendSession>;
  upload(tensor: Tensor): Promise<ResidentTensor>;
  stats(): RuntimeStats;
  /** Ends it and everything that lives in it; the next use starts afresh. */
  close(): Promise<void>;
}

export interface RuntimeStats {
  readonly sessions: number;
  readonly residentTensors: number;
  readonly residentBytes: number;
}
