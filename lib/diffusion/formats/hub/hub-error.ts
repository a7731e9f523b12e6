/**
 * Why a model of the hub could not be had. `unreachable` and `server` may pass by themselves; the message of every other
 * says what to do.
 */
export type HubErrorReason =
  | "unreachable"
  | "server"
  | "not-found"
  | "no-revision"
  | "no-access"
  | "no-model"
  | "offline"
  | "unsafe-path"
  | "corrupt"
  | "no-space";

/** A model of the hub that could not be had. Its message never contains the access token. */
export class HubError extends Error {
  override readonly name = "HubError";
  readonly reason: HubErrorReason;
  /** `owner/name`, or with a file `owner/name/path`. */
  readonly subject: string;

  constructor(reason: HubErrorReason, subject: string, message: string, options?: ErrorOptions) {
    super(`hub:${subject}: ${message}`, options);
    this.reason = reason;
    this.subject = subject;
  }
}
