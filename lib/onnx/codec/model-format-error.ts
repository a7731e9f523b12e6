/** Bytes that are not the ONNX model they claim to be, or that point where a model may not reach. */
export class ModelFormatError extends Error {
  override readonly name = "ModelFormatError";
  /** The file the bytes came from, when there is one. */
  readonly path: string | undefined;
  /** Byte at which the format was broken. */
  readonly offset: number | undefined;

  constructor(message: string, where: { readonly path?: string | undefined; readonly offset?: number | undefined } = {}) {
    const at = where.offset === undefined ? "" : ` at byte ${where.offset}`;
    super(`${message}${at}${where.path === undefined ? "" : ` (${where.path})`}`);
    this.path = where.path;
    this.offset = where.offset;
  }
}
