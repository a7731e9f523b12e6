import { fileURLToPath } from "node:url";

const compiled = import.meta.url.includes("/dist/");

/** Folder of the embedded models' files, whether this runs from sources or from the compiled package. */
export const shapesFolder: string = fileURLToPath(new URL(compiled ? "../../../models/shapes/" : "./", import.meta.url));
