import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { installedCommand } from "./install.js";
import { TYPESCRIPT_VERSION } from "./language-info.js";
import { PACKAGE_ROOT, packageVersion } from "./package-root.js";
import { loadTslab, TSLAB_VERSION } from "./typescript-shim.js";

export interface Finding {
  readonly what: string;
  readonly status: "ok" | "missing" | "broken";
  readonly detail: string;
}

/** Looks at everything that tweedie stands on. `broken` must be repaired; `missing` only switches something off. */
export async function diagnose(): Promise<Finding[]> {
  const require = createRequire(path.join(PACKAGE_ROOT, "package.json"));
  const [major, minor] = process.versions.node.split(".").map(Number) as [number, number];
  const nodeIsRecent = major > 20 || (major === 20 && minor >= 19);
  return [
    nodeIsRecent
      ? { what: "Node.js", status: "ok", detail: process.version }
      : { what: "Node.js", status: "broken", detail: `${process.version}; tweedie needs 20.19 or later` },
    attempt("cell compiler", "run npm ci", () => {
      loadTslab();
      return `TypeScript ${TYPESCRIPT_VERSION} under tslab ${TSLAB_VERSION}`;
    }),
    attempt("Jupyter sockets", "run npm ci", () => {
      require("zeromq");
      return "zeromq loads";
    }),
    await attemptAsync("ONNX Runtime", "run npm ci", async () => {
      const name: string = "onnxruntime-node";
      await import(name);
      return `${name} ${packageVersion(require.resolve(`${name}/package.json`))}`;
    }),
    memory(),
    attempt("figures", "run npm ci", () => {
      const { version } = require("plotly.js-cartesian-dist-min/package.json") as { version: string };
      return `Plotly ${version}`;
    }),
    existsSync(path.join(PACKAGE_ROOT, "dist", "lib", "index.js"))
      ? { what: "library", status: "ok", detail: path.join(PACKAGE_ROOT, "dist") }
      : { what: "library", status: "broken", detail: "not built; run npm run build" },
    jupyter(),
    kernelspec(),
  ];
}

/** A model takes about twice its weights while it is opened. */
function memory(): Finding {
  const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const available = process.availableMemory();
  const detail = `${gibibytes(available)} available; models with up to ${gibibytes(available / 2)} of weights can be opened`;
  return { what: "memory", status: "ok", detail };
}

function kernelspec(): Finding {
  const command = installedCommand({ kind: "user" });
  if (!command) return { what: "kernel in Jupyter", status: "missing", detail: "run tweedie install" };
  const gone = command.slice(0, 2).find((file) => !existsSync(file));
  if (gone) return { what: "kernel in Jupyter", status: "broken", detail: `${gone} is gone; run tweedie install again` };
  return { what: "kernel in Jupyter", status: "ok", detail: command[1]! };
}

function jupyter(): Finding {
  const { status, stdout } = spawnSync("jupyter", ["--version"], { encoding: "utf8" });
  if (status !== 0) return { what: "Jupyter", status: "missing", detail: "not on the PATH; tweedie run works without it" };
  const version = /(?:notebook|jupyterlab|jupyter_core|core)\s*:\s*(\S+)/.exec(stdout)?.[0] ?? "found";
  return { what: "Jupyter", status: "ok", detail: version.replace(/\s*:\s*/, " ") };
}

function attempt(what: string, remedy: string, check: () => string): Finding {
  try {
    return { what, status: "ok", detail: check() };
  } catch (error) {
    return { what, status: "broken", detail: `${firstLine(error)}; ${remedy}` };
  }
}

async function attemptAsync(what: string, remedy: string, check: () => Promise<string>): Promise<Finding> {
  try {
    return { what, status: "ok", detail: await check() };
  } catch (error) {
    return { what, status: "broken", detail: `${firstLine(error)}; ${remedy}` };
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0]!;
}
