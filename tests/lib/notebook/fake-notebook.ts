import type { DisplayData, NotebookRuntime } from "../../../lib/notebook/index.js";

const symbol = Symbol.for("tweedie.notebook");

/** Everything that was displayed, in order; `update` tells replacements. */
export interface Shown {
  readonly output: DisplayData;
  readonly update: boolean;
}

/** Runs `body` inside a notebook that only keeps what it is given. */
export async function insideNotebook(
  body: (shown: Shown[], runtime: NotebookRuntime) => unknown,
  signal?: AbortSignal,
): Promise<Shown[]> {
  const shown: Shown[] = [];
  const runtime: NotebookRuntime = {
    display: (output, update = false) => void shown.push({ output, update }),
    clear: () => undefined,
    signal,
    documentState: new Map(),
  };
  const globals = globalThis as { [symbol]?: NotebookRuntime };
  globals[symbol] = runtime;
  try {
    await body(shown, runtime);
  } finally {
    delete globals[symbol];
  }
  return shown;
}

export function htmlOf(shown: Shown): string {
  return String(shown.output.data["text/html"] ?? "");
}
