/** Representations of one value by MIME type; binary types are base64 text, as Jupyter wants them. */
export type MimeBundle = Record<string, unknown>;

/** One thing a cell makes visible, shaped like the content of the Jupyter message of the same name. */
export type CellEvent =
  | { readonly type: "stream"; readonly name: "stdout" | "stderr"; readonly text: string }
  | {
      readonly type: "display_data" | "update_display_data";
      readonly data: MimeBundle;
      readonly metadata: Record<string, unknown>;
      readonly transient: { readonly display_id?: string };
    }
  | { readonly type: "clear_output"; readonly wait: boolean }
  | { readonly type: "execute_result"; readonly data: MimeBundle; readonly metadata: Record<string, unknown> }
  | ({ readonly type: "error" } & CellError);

/** Why a cell failed. `traceback` lines carry positions in the TypeScript the user wrote. */
export interface CellError {
  readonly ename: string;
  readonly evalue: string;
  readonly traceback: readonly string[];
}

export interface Completion {
  readonly matches: readonly string[];
  /** Replaced range, UTF-16 offsets into the code. */
  readonly start: number;
  readonly end: number;
}

export interface Completeness {
  readonly status: "complete" | "incomplete";
  readonly indent?: string;
}

/** What a front end asks of the engine process. */
export type EngineRequest =
  | {
      readonly op: "execute";
      readonly id: number;
      readonly label: string;
      readonly code: string;
      readonly silent: boolean;
      /** The notebook cell that holds the code, where the front end knows it; stays the same when it is run again. */
      readonly cellId?: string | undefined;
    }
  | { readonly op: "complete" | "inspect"; readonly id: number; readonly code: string; readonly cursor: number }
  | { readonly op: "isComplete"; readonly id: number; readonly code: string };

/** What the engine process tells its front end. `event.id` is the id of the cell that caused it. */
export type EngineMessage =
  | { readonly op: "ready" }
  | { readonly op: "event"; readonly id: number; readonly event: CellEvent }
  | { readonly op: "executed"; readonly id: number; readonly ok: boolean }
  | { readonly op: "answer"; readonly id: number; readonly value: unknown };
