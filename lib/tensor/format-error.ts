/** Bytes that are not what their format requires: truncated, damaged, or of a kind that is not supported. */
export class FormatError extends TypeError {
  readonly format: "npy" | "png" | "safetensors";

  constructor(format: FormatError["format"], message: string) {
    super(`${format}: ${message}`);
    this.name = "FormatError";
    this.format = format;
  }
}
