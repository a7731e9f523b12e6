import type { Comms } from "./comms.js";
import type { MimeBundle } from "./messages.js";

/** Where the cell engine leaves itself for the library: `globalThis[NOTEBOOK_RUNTIME]`. */
export const NOTEBOOK_RUNTIME: unique symbol = Symbol.for("tweedie.notebook");

/** The convention (shared with Deno) by which a value displays itself: a method that returns a MIME bundle. */
export const JUPYTER_DISPLAY: unique symbol = Symbol.for("Jupyter.display");

/** A display as a cell asks for it; `transient.display_id` makes it updatable. */
export interface Display {
  readonly data: MimeBundle;
  readonly metadata?: Record<string, unknown>;
  readonly transient?: { readonly display_id?: string };
}

/** All that code inside a cell can know about the notebook around it. */
export interface NotebookRuntime {
  /** Shows a bundle in the current cell, or replaces the one with the same `display_id` when `update` is set. */
  display(display: Display, update?: boolean): void;
  /** Clears the current cell's outputs; with `wait`, only when the next output arrives. */
  clear(wait?: boolean): void;
  /** Aborted when the cell on whose behalf the caller runs is interrupted. */
  readonly signal: AbortSignal | undefined;
  /** Lines to code in the page. */
  readonly comms: Pick<Comms, "register" | "open">;
  /** What Jupyter's server calls this kernel; undefined where none does. */
  readonly kernelId: string | undefined;
  /** What is already in this document, for instance `"plotly-loaded"`. */
  readonly documentState: Map<string, unknown>;
}
