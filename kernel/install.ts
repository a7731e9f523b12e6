import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const KERNEL_NAME = "tweedie";

/** Where kernels are registered: for this user, under an installation prefix, or in the active Python environment. */
export type InstallTarget =
  | { readonly kind: "user" }
  | { readonly kind: "prefix"; readonly prefix: string }
  | { readonly kind: "sys-prefix" };

/** Registers the kernel with Jupyter; no Python is run, so it works before Jupyter is there.
 * @returns the folder of the kernelspec
 * @throws RangeError for `sys-prefix` outside a Python environment */
export function installKernel(target: InstallTarget): string {
  const folder = kernelFolder(target);
  const kernels = path.dirname(folder);
  mkdirSync(kernels, { recursive: true });
  // Jupyter must never see half a kernelspec: it is made beside its place, then moved there.
  const temporary = mkdtempSync(path.join(kernels, ".tweedie-"));
  try {
    const spec = {
      argv: [process.execPath, fileURLToPath(new URL("./cli.js", import.meta.url)), "kernel", "{connection_file}"],
      display_name: "TypeScript (tweedie)",
      language: "typescript",
      // By message would do as well, but jupyter_client's managers and clients number their messages alike: then the answer to
      // an interrupt looks like the end of the cell. Windows has no signals.
      interrupt_mode: process.platform === "win32" ? "message" : "signal",
      metadata: { debugger: false },
    };
    writeFileSync(path.join(temporary, "kernel.json"), `${JSON.stringify(spec, null, 2)}\n`);
    cpSync(fileURLToPath(new URL("./assets/logo-svg.svg", import.meta.url)), path.join(temporary, "logo-svg.svg"));
    rmSync(folder, { recursive: true, force: true });
    renameSync(temporary, folder);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return folder;
}

/** Removes the kernelspec.
 * @returns its folder, or undefined if there was none */
export function uninstallKernel(target: InstallTarget): string | undefined {
  const folder = kernelFolder(target);
  if (!existsSync(folder)) return undefined;
  rmSync(folder, { recursive: true });
  return folder;
}

/** The command that an installed kernelspec starts, or undefined where none is installed. */
export function installedCommand(target: InstallTarget): readonly string[] | undefined {
  try {
    const spec = JSON.parse(readFileSync(path.join(kernelFolder(target), "kernel.json"), "utf8")) as { argv: string[] };
    return spec.argv;
  } catch {
    return undefined;
  }
}

function kernelFolder(target: InstallTarget): string {
  return path.join(dataFolder(target), "kernels", KERNEL_NAME);
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
