import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { PACKAGE_ROOT, packageVersion } from "./package-root.js";

export const KERNEL_NAME = "tweedie";

/** Where kernels are registered: for this user, under an installation prefix, or in the active Python environment. */
export type InstallTarget =
  | { readonly kind: "user" }
  | { readonly kind: "prefix"; readonly prefix: string }
  | { readonly kind: "sys-prefix" };

export interface InstallOptions {
  /** The kernelspec's name, which notebooks record. */
  readonly name?: string;
  /** What people choose in Jupyter. */
  readonly displayName?: string;
}

interface KernelSpec {
  readonly argv: readonly string[];
  readonly metadata?: { readonly tweedie?: { readonly files?: readonly string[] } };
}

const LOGOS = ["logo-svg.svg", "logo-32x32.png", "logo-64x64.png"];

/** Registers the kernel with Jupyter; no Python is run, so it works before Jupyter is there.
 * @returns the folder of the kernelspec
 * @throws RangeError for `sys-prefix` outside a Python environment, and where another kernel has the name */
export function installKernel(target: InstallTarget, options: InstallOptions = {}): string {
  const folder = kernelFolder(target, options.name);
  expectOurs(folder, "install: choose another name with --name");
  const kernels = path.dirname(folder);
  mkdirSync(kernels, { recursive: true });
  // Jupyter must never see half a kernelspec: it is made beside its place, then moved there.
  const temporary = mkdtempSync(path.join(kernels, ".tweedie-"));
  try {
    const spec = {
      argv: [process.execPath, fileURLToPath(new URL("./cli.js", import.meta.url)), "kernel", "{connection_file}"],
      display_name: options.displayName ?? "TypeScript (tweedie)",
      language: "typescript",
      // By message would do as well, but jupyter_client's managers and clients number their messages alike: then the answer to
      // an interrupt looks like the end of the cell. Windows has no signals.
      interrupt_mode: process.platform === "win32" ? "message" : "signal",
      metadata: {
        debugger: false,
        // What uninstalling takes away again.
        tweedie: { version: packageVersion(path.join(PACKAGE_ROOT, "package.json")), files: ["kernel.json", ...LOGOS] },
      },
    };
    writeFileSync(path.join(temporary, "kernel.json"), `${JSON.stringify(spec, null, 2)}\n`);
    for (const logo of LOGOS) cpSync(fileURLToPath(new URL(`./assets/${logo}`, import.meta.url)), path.join(temporary, logo));
    rmSync(folder, { recursive: true, force: true });
    renameSync(temporary, folder);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return folder;
}

/** Removes what `installKernel` wrote, and the folder unless something else is in it.
 * @returns the kernelspec's folder, or undefined if there was none
 * @throws RangeError where another kernel has the name */
export function uninstallKernel(target: InstallTarget, { name }: Pick<InstallOptions, "name"> = {}): string | undefined {
  const folder = kernelFolder(target, name);
  if (!existsSync(folder)) return undefined;
  expectOurs(folder, "uninstall: remove it with jupyter kernelspec remove");
  // A folder without kernel.json is no kernel any more: it goes first.
  for (const file of readSpec(folder)?.metadata?.tweedie?.files ?? ["kernel.json", ...LOGOS])
    rmSync(path.join(folder, path.basename(file)), { force: true });
  if (readdirSync(folder).length === 0) rmdirSync(folder);
  return folder;
}

/** The command that an installed kernelspec starts, or undefined where none is installed. */
export function installedCommand(target: InstallTarget): readonly string[] | undefined {
  return readSpec(kernelFolder(target))?.argv;
}

function readSpec(folder: string): KernelSpec | undefined {
  try {
    return JSON.parse(readFileSync(path.join(folder, "kernel.json"), "utf8")) as KernelSpec;
  } catch {
    return undefined;
  }
}

/** Earlier versions left no mark in the kernelspec, but started the same command. */
function expectOurs(folder: string, remedy: string): void {
  const spec = readSpec(folder);
  if (!spec || spec.metadata?.tweedie || (spec.argv?.[2] === "kernel" && path.basename(spec.argv[1] ?? "") === "cli.js")) return;
  throw new RangeError(`${remedy}; ${folder} holds a kernel that is not tweedie's`);
}

function kernelFolder(target: InstallTarget, name: string = KERNEL_NAME): string {
  // What jupyter_client takes for a kernel's name.
  if (!/^[a-z0-9._-]+$/.test(name) || /^\.+$/.test(name))
    throw new RangeError(`expected a kernel name of a-z, 0-9, dot, dash and underscore, got ${JSON.stringify(name)}`);
  return path.join(dataFolder(target), "kernels", name);
}

/** @see https://docs.jupyter.org/en/latest/use/jupyter-directories.html */
function dataFolder(target: InstallTarget): string {
  switch (target.kind) {
    case "prefix":
      return path.join(path.resolve(target.prefix), "share", "jupyter");
    case "sys-prefix": {
      const prefix = process.env.VIRTUAL_ENV ?? process.env.CONDA_PREFIX;
      if (!prefix) {
        throw new RangeError(
          "install: expected an active Python environment (VIRTUAL_ENV or CONDA_PREFIX), got none; activate it, or use --prefix <folder>",
        );
      }
      return path.join(prefix, "share", "jupyter");
    }
    case "user": {
      if (process.env.JUPYTER_DATA_DIR) return process.env.JUPYTER_DATA_DIR;
      const home = os.homedir();
      if (process.platform === "darwin") return path.join(home, "Library", "Jupyter");
      if (process.platform === "win32") return path.join(process.env.APPDATA ?? path.join(home, "AppData", "Roaming"), "jupyter");
      return path.join(process.env.XDG_DATA_HOME ?? path.join(home, ".local", "share"), "jupyter");
    }
  }
}
