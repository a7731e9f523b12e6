import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import { PACKAGE_ROOT } from "./package-root.js";

/** The parts of onnxruntime-node's install metadata that say what its installer fetches. */
interface InstallMetadata {
  readonly requirements: Readonly<Record<string, readonly string[]>>;
  readonly manifests: Readonly<Record<string, Readonly<Record<string, { readonly package: string }>>>>;
  readonly packages: Readonly<
    Record<string, { readonly name: string; readonly versions: readonly { readonly feed: string; readonly version: string }[] }>
  >;
  readonly feeds: Readonly<Record<string, { readonly index: string }>>;
}

/** What is fetched for a machine, from where and to where. */
export interface CudaInstallation {
  readonly packages: readonly { readonly name: string; readonly version: string; readonly feed: string }[];
  readonly files: readonly string[];
  readonly folder: string;
  /** onnxruntime-node's own installer. */
  readonly installer: string;
}

/** What onnxruntime-node's installer fetches for a machine; undefined where there is nothing. */
export function cudaInstallation(
  platform: string = `${process.platform}/${process.arch}`,
  root: string = path.dirname(createRequire(path.join(PACKAGE_ROOT, "package.json")).resolve("onnxruntime-node/package.json")),
): CudaInstallation | undefined {
  const metadata = createRequire(import.meta.url)(path.join(root, "script", "install-metadata.js")) as InstallMetadata;
  const manifests = (metadata.requirements[platform] ?? []).map((name) => metadata.manifests[`${platform}:${name}`]!);
  if (manifests.length === 0) return undefined;
  const wanted = new Set(manifests.flatMap((manifest) => Object.values(manifest).map((file) => file.package)));
  const packages = [...wanted].flatMap((name) => {
    const { name: title, versions } = metadata.packages[name]!;
    return versions.map(({ feed, version }) => ({ name: title, version, feed: metadata.feeds[feed]!.index }));
  });
  return {
    packages,
    files: manifests.flatMap((manifest) => Object.keys(manifest).map((file) => path.basename(file))),
    folder: path.join(root, "bin", "napi-v6", ...platform.split("/")),
    installer: path.join(root, "script", "install.js"),
  };
}

/** The plan in words. */
export function describeInstallation({ packages, files, folder }: CudaInstallation): string {
  const from = packages.map(({ name, version, feed }) => `  ${name} ${version}\n    from ${feed}`).join("\n");
  return `onnxruntime-node's own installer will fetch, some hundred megabytes,\n${from}\nand put\n  ${files.join("\n  ")}\ninto ${folder}\nThey also need CUDA 12 and cuDNN 9, which come with neither.\n`;
}

/** Runs the installer, whose output is shown. @returns its exit code */
export function runInstaller({ installer }: CudaInstallation): Promise<number> {
  const env: NodeJS.ProcessEnv = { ...process.env, ONNXRUNTIME_NODE_INSTALL: "true" };
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [installer], { cwd: path.dirname(path.dirname(installer)), env, stdio: "inherit" });
    child.on("error", reject).on("exit", (code) => resolve(code ?? 1));
  });
}
