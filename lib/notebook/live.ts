import { type Displayable, documentId } from "../figures/document.js";
import { bundleOf } from "./display-value.js";
import { notebookRuntime } from "./runtime.js";
import { showResult } from "./widget.js";

export interface LiveOptions {
  /** Shortest time between two drawings, in milliseconds; default 500. */
  readonly intervalMs?: number;
}

/** An output that is redrawn in place. */
export interface Live {
  /** Says that the data changed: redraws now, or as soon as the interval is over. Cheap to call on every step. */
  refresh(): void;
  /** Draws the last state and ends the updates. */
  close(): void;
  [Symbol.dispose](): void;
}

/**
 * Shows what `draw` returns and keeps it up to date, at most twice a second by default. Outside a notebook nothing is drawn.
 * @example
 * import { live, lossCurve } from "tweedie";
 *
 * const losses = [1];
 * using plot = live(() => lossCurve([{ name: "loss", y: losses }]));
 * for (let step = 0; step < 10; step++) {
 *   losses.push(losses.at(-1)! * 0.8);
 *   plot.refresh();
 * }
 */
export function live(draw: () => Displayable, options: LiveOptions = {}): Live {
  const { intervalMs = 500 } = options;
  const runtime = notebookRuntime();
  if (runtime === undefined) return { refresh: () => undefined, close: () => undefined, [Symbol.dispose]: () => undefined };

  const display_id = documentId("tweedie-live");
  let shown = false;
  let drawnAt = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const drawNow = (): void => {
    clearTimeout(timer);
    timer = undefined;
    drawnAt = performance.now();
    const bundle = bundleOf(draw());
    if (bundle instanceof Promise)
      throw new TypeError("live: draw must return a figure that shows itself at once, got one that is asynchronous");
    showResult(bundle, display_id, shown);
    shown = true;
  };
  const refresh = (): void => {
    if (closed || timer !== undefined) return;
    const wait = drawnAt + intervalMs - performance.now();
    if (wait <= 0) drawNow();
    else {
      timer = setTimeout(drawNow, wait);
      timer.unref();
    }
  };
  const close = (): void => {
    if (closed) return;
    closed = true;
    drawNow();
  };
  drawNow();
  return { refresh, close, [Symbol.dispose]: close };
}
