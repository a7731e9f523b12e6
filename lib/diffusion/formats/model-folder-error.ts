/** Something in a model folder is missing or not what a pipeline needs. */
export class ModelFolderError extends TypeError {
  override readonly name = "ModelFolderError";
  /** The file or folder, as a path. */
  readonly file: string;
  readonly expected: string;
  readonly found: string;

  constructor(file: string, expected: string, found: string, fix?: string) {
    super(`${file}: expected ${expected}, found ${found}${fix === undefined ? "" : `; ${fix}`}`);
    this.file = file;
    this.expected = expected;
    this.found = found;
  }
}
