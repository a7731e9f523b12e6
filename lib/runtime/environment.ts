import { createRequire } from "node:module";
import type { Device } from "./devices.js";

/** What computed a result: with the result's own settings, what is needed to make it again. */
export interface Environment {
  /** Name and version of this library. */
  readonly library: string;
  /** Name and version of the runtime. */
  readonly runtime: string;
  readonly device: Device;
}

const versions: Map<string, string> = new Map();

/** The environment of what ran on a device; part of every result's manifest. */
export function environment(device: Device): Environment {
  return { library: versionOf("tweedie"), runtime: versionOf("onnxruntime-node"), device };
}

function versionOf(name: string): string {
  const known = versions.get(name);
  if (known !== undefined) return known;
  const { version } = createRequire(import.meta.url)(`${name}/package.json`) as { version: string };
  versions.set(name, `${name} ${version}`);
  return `${name} ${version}`;
}
