import { documentId, forgetLibrary, type MimeBundle, plotlyLoader } from "../figures/document.js";
import { bundleOf } from "./display-value.js";
import { notebookRuntime } from "./runtime.js";

/**
 * Shows values in the running cell, each as its richest form; outside a notebook, as text on standard output.
 * A value that takes time to draw itself gets its place at once and is filled in when it is ready.
 */
export function show(...values: readonly unknown[]): void {
  for (const value of values) {
    const bundle = typeof value === "string" ? { "text/plain": value } : bundleOf(value);
    if (bundle instanceof Promise) showLater(bundle);
    else emit(bundle);
  }
}

/** Clears the outputs of the running cell; with `wait` not before its next one comes, so that nothing flickers. Outside a notebook nothing happens. */
export function clearOutput({ wait = false }: { readonly wait?: boolean } = {}): void {
  notebookRuntime()?.clear(wait);
}

/**
 * Brings plotly.js into the notebook again, after the output that held it has been cleared: figures that were opened as still
 * pictures come alive.
 */
export function restoreFigures(): void {
  forgetLibrary();
  const data = { "text/html": `${plotlyLoader()}<small>plotly.js for the figures of this notebook</small>`, "text/plain": "" };
  notebookRuntime()?.display({ data, metadata: {}, transient: {} });
}

function emit(data: MimeBundle, id?: string, update = false): void {
  const runtime = notebookRuntime();
  if (runtime === undefined) console.log(String(data["text/plain"] ?? ""));
  else runtime.display({ data, metadata: {}, transient: id === undefined ? {} : { display_id: id } }, update);
}

function showLater(pending: Promise<MimeBundle>): void {
  if (notebookRuntime() === undefined) {
    pending.then(
      (data) => emit(data),
      (error: unknown) => console.error(error),
    );
    return;
  }
  const id = documentId("tweedie-later");
  emit({ "text/plain": "…" }, id);
  pending.then(
    (data) => emit(data, id, true),
    (error: unknown) => emit({ "text/plain": `This value could not be shown: ${error}` }, id, true),
  );
}
