import { createRequire } from "node:module";
import { packageVersion } from "./package-root.js";

/** Version of the TypeScript that cells are written in. */
export const TYPESCRIPT_VERSION: string = packageVersion(createRequire(import.meta.url).resolve("typescript/package.json"));

/** What notebooks record, and editors want to know, about the language of the cells. */
export const LANGUAGE_INFO: Readonly<Record<string, unknown>> = {
  name: "typescript",
  version: TYPESCRIPT_VERSION,
  mimetype: "text/typescript",
  file_extension: ".ts",
  pygments_lexer: "typescript",
  // `mode` is what JupyterLab reads, `name` and `typescript` what classic Notebook's editor wants.
  codemirror_mode: { mode: "typescript", name: "javascript", typescript: true },
};
