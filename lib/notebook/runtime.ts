import { createRequire } from "node:module";
import { type MimeBundle, notebookSymbol } from "../figures/document.js";

/** One output as Jupyter's messages carry it. */
export interface DisplayData {
  readonly data: MimeBundle;
  readonly metadata?: { readonly [key: string]: unknown };
  readonly transient?: { readonly display_id?: string };
}

/** The kernel's end of a line to code in the page. */
export interface Comm {
  onMessage: ((data: Record<string, unknown>) => void | Promise<void>) | undefined;
  send(data: Record<string, unknown>): void;
}

/** What a kernel offers the library, at `globalThis[Symbol.for("tweedie.notebook")]`. */
export interface NotebookRuntime {
  /** Puts an output into the running cell, or with `update` replaces those of the same `display_id`. */
  display(output: DisplayData, update?: boolean): void;
  /** Clears the running cell's outputs, with `wait` not before the next one comes. */
  clear(wait?: boolean): void;
  /** Aborted when the user interrupts the running cell. */
  readonly signal: AbortSignal | undefined;
  /** Lines to code in the page, where the kernel has them. */
  readonly comms?: { register(target: string, onOpen: (comm: Comm) => void): void };
  /** What Jupyter's server calls the kernel; undefined where none does. */
  readonly kernelId?: string | undefined;
  /** What the document already holds, such as plotly.js. */
  readonly documentState: Map<string, unknown>;
}

/** The kernel this code runs in: ours, a best effort on stock tslab, or undefined outside any notebook. */
export function notebookRuntime(): NotebookRuntime | undefined {
  return (globalThis as { [notebookSymbol]?: NotebookRuntime })[notebookSymbol] ?? stockTslab();
}

interface TslabJupyter {
  readonly lastWriteDisplayData?: ((output: object, update: boolean) => void) | null;
}

/**
 * Stock tslab writes displays through a variable of its loaded module. It must be that very module (a second copy
 * is "Not ready"), so it is looked up among the modules already loaded, never imported.
 */
function stockTslab(): NotebookRuntime | undefined {
  const cache = createRequire(import.meta.url).cache as Record<string, { exports: TslabJupyter } | undefined>;
  const path = Object.keys(cache).find((key) => /[\\/]tslab[\\/]dist[\\/]jupyter\.js$/.test(key));
  const jupyter = path === undefined ? undefined : cache[path]?.exports;
  if (typeof jupyter?.lastWriteDisplayData !== "function") return undefined;
  return {
    display: (output, update = false) => jupyter.lastWriteDisplayData?.({ metadata: {}, transient: {}, ...output }, update),
    clear: () => undefined,
    signal: undefined,
    documentState: new Map(),
  };
}
