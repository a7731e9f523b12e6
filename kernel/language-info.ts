import ts from "typescript";

/** What notebooks record, and editors want to know, about the language of the cells. */
export const LANGUAGE_INFO: Readonly<Record<string, unknown>> = {
  name: "typescript",
  version: ts.version,
  mimetype: "text/typescript",
  file_extension: ".ts",
  pygments_lexer: "typescript",
  // `mode` is what JupyterLab reads, `name` and `typescript` what classic Notebook's editor wants.
  codemirror_mode: { mode: "typescript", name: "javascript", typescript: true },
};
