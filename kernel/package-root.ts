import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** Root folder of the tweedie package, from `kernel/` in the sources and from `dist/kernel/` alike. */
export const PACKAGE_ROOT: string = findPackageRoot();

/** Version in a package's manifest, read without loading the package. */
export function packageVersion(manifest: string): string {
  return (JSON.parse(readFileSync(manifest, "utf8")) as { version: string }).version;
}

function findPackageRoot(): string {
  const parent = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
  return path.basename(parent) === "dist" ? path.dirname(parent) : parent;
}
