/** ONNX Runtime refused or failed: says in which operation, on which model and, if it told, at which node. */
export class RuntimeError extends Error {
  override readonly name = "RuntimeError";
  readonly operation: string;
  readonly model: string;
  readonly node: string | undefined;
  /** What ONNX Runtime said. */
  readonly detail: string;

  constructor(operation: string, model: string, detail: string) {
    const node = nodeNamedIn(detail);
    super(`${operation}: ${model}${node === undefined ? "" : `, node ${node}`}: ${detail}`);
    this.operation = operation;
    this.model = model;
    this.node = node;
    this.detail = detail;
  }
}

/** The work would not fit into memory; nothing was started. */
export class MemoryBudgetError extends RangeError {
  override readonly name = "MemoryBudgetError";
  readonly neededBytes: number;
  readonly availableBytes: number;

  constructor(what: string, neededBytes: number, availableBytes: number) {
    super(
      `${what}: needs about ${megabytes(neededBytes)}, only ${megabytes(availableBytes)} may be used; ` +
        "release sessions, dispose resident tensors, use smaller batches or raise memoryBudgetBytes",
    );
    this.neededBytes = neededBytes;
    this.availableBytes = availableBytes;
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 23 ? 1 : 0)} MiB`;
}

/** ONNX Runtime words it as `running MatMul node. Name:'x'` when executing and `In Node, ("x", MatMul, …)` when loading. */
function nodeNamedIn(detail: string): string | undefined {
  const running = /running (\S+) node\. Name:'([^']*)'/.exec(detail);
  if (running) return `"${running[2]}" (${running[1]})`;
  const loading = /[Nn]ode, \("([^"]*)", (\w+)/.exec(detail) ?? /[Nn]ode \(([^)]*)\) Op \((\w+)\)/.exec(detail);
  return loading ? `"${loading[1]}" (${loading[2]})` : undefined;
}
