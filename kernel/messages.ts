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
  | CommMessage
  | ({ readonly type: "error" } & CellError);

/** Why a cell failed. `traceback` lines carry positions in the TypeScript the user wrote. */
export interface CellError {
  readonly ename: string;
  readonly evalue: string;
  readonly traceback: readonly string[];
}

/** What the two ends of a comm say to each other: the kernel's one, and the one in the page. */
export interface CommMessage {
  readonly type: "comm_open" | "comm_msg" | "comm_close";
  readonly comm_id: string;
  /** What the other end is to connect it with; only when it opens. */
  readonly target_name?: string;
  readonly data: Record<string, unknown>;
}

/** Open comms by id, as `comm_info_reply` lists them. */
export type CommInfo = Record<string, { readonly target_name: string }>;

export interface Completion {
  readonly matches: readonly string[];
  /** Replaced range, UTF-16 offsets into the code. */
  readonly start: number;
  readonly end: number;
  /** For the first of the matches: what they are and what their documentation says. */
  readonly details: readonly CompletionDetail[];
}

export interface CompletionDetail {
  readonly text: string;
  /** `function`, `method`, `property`, `const`, `class`, …, in TypeScript's words. */
  readonly type: string;
  readonly signature: string;
  readonly documentation: string;
}

export interface Completeness {
  readonly status: "complete" | "incomplete" | "invalid";
  readonly indent?: string;
}

/** A line that a cell asks of the person in front of it. */
export interface InputQuestion {
  readonly prompt: string;
  /** Whether what is typed must not be seen. */
  readonly password: boolean;
}

/** What a front end asks of the engine process. */
export type EngineRequest =
  | {
      readonly op: "execute";
      readonly id: number;
      readonly label: string;
      readonly code: string;
      readonly silent: boolean;
      /** Whether somebody is there to answer `input()`. */
      readonly allowInput: boolean;
      /** The notebook cell that holds the code, where the front end knows it; stays the same when it is run again. */
      readonly cellId?: string | undefined;
    }
  | { readonly op: "comm"; readonly id: number; readonly message: CommMessage }
  | { readonly op: "complete" | "inspect"; readonly id: number; readonly code: string; readonly cursor: number }
  | { readonly op: "isComplete"; readonly id: number; readonly code: string }
  | { readonly op: "comms"; readonly id: number; readonly target?: string | undefined }
  /** Answer to the question with this id. */
  | { readonly op: "input"; readonly id: number; readonly value: string };

/** What the engine process tells its front end. `id` is the id of the cell (or question) that it is about. */
export type EngineMessage =
  | { readonly op: "ready" }
  | { readonly op: "event"; readonly id: number; readonly event: CellEvent }
  /** The running cell may take this long, and all later ones as well if `always`; undefined: as long as it likes. */
  | { readonly op: "limit"; readonly id: number; readonly ms: number | undefined; readonly always: boolean }
  | ({ readonly op: "input"; readonly id: number; readonly question: number } & InputQuestion)
  | { readonly op: "executed"; readonly id: number; readonly ok: boolean }
  | { readonly op: "answer"; readonly id: number; readonly value: unknown };
