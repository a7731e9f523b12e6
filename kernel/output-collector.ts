import type { CellEvent } from "./messages.js";
import type { CodeCell, Output } from "./notebook-format.js";

/** Turns the events of running cells into the outputs that a notebook stores, as a notebook front end would. */
export class OutputCollector {
  /** Outputs of the whole document that can be updated, by display id. */
  readonly #displays = new Map<string, Extract<Output, { output_type: "display_data" }>[]>();
  readonly #clearNext = new WeakSet<CodeCell>();

  /** Applies one event to the cell that caused it. */
  add(cell: CodeCell, event: CellEvent): void {
    switch (event.type) {
      case "stream": {
        this.#clearIfAsked(cell);
        const last = cell.outputs.at(-1);
        if (last?.output_type === "stream" && last.name === event.name) last.text += event.text;
        else cell.outputs.push({ output_type: "stream", name: event.name, text: event.text });
        return;
      }
      case "display_data": {
        this.#clearIfAsked(cell);
        const output = { output_type: "display_data", data: event.data, metadata: event.metadata } as const;
        cell.outputs.push(output);
        const id = event.transient.display_id;
        if (id !== undefined) this.#displays.set(id, [...(this.#displays.get(id) ?? []), output]);
        return;
      }
      case "update_display_data": {
        const { data, metadata } = event;
        for (const output of this.#displays.get(event.transient.display_id ?? "") ?? [])
          Object.assign(output, { data, metadata });
        return;
      }
      case "clear_output":
        if (event.wait) this.#clearNext.add(cell);
        else cell.outputs.length = 0;
        return;
      case "execute_result": {
        this.#clearIfAsked(cell);
        const { execution_count } = cell;
        cell.outputs.push({ output_type: "execute_result", execution_count, data: event.data, metadata: event.metadata });
        return;
      }
      case "error": {
        this.#clearIfAsked(cell);
        const { type: _, ...error } = event;
        cell.outputs.push({ output_type: "error", ...error });
        return;
      }
      case "comm_open":
      case "comm_msg":
      case "comm_close":
      // Nothing of a conversation with a page stays in the notebook.
    }
  }

  #clearIfAsked(cell: CodeCell): void {
    if (this.#clearNext.delete(cell)) cell.outputs.length = 0;
  }
}
