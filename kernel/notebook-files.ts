import { existsSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { UsageError } from "./command-line.js";

/** A notebook that was asked for. */
export interface NotebookFile {
  readonly file: string;
  /** Its place below the folder that was named, so that results can be laid out alike. */
  readonly place: string;
}

const GLOB = /[*?{[]/;

/** The notebooks among files, folders (with everything below) and globs, each once, in order.
 * @param except a folder that is left out where it lies below a named one: the results of earlier runs
 * @throws UsageError for a name behind which there is no notebook */
export function findNotebooks(names: readonly string[], except?: string): NotebookFile[] {
  const found = new Map<string, NotebookFile>();
  for (const name of names) {
    const matches = notebooksOf(name, except && path.resolve(except));
    if (matches.length === 0) throw new UsageError(`expected notebooks, got ${name}, where there is none`);
    for (const match of matches) if (!found.has(path.resolve(match.file))) found.set(path.resolve(match.file), match);
  }
  return [...found.values()];
}

function notebooksOf(name: string, except: string | undefined): NotebookFile[] {
  if (existsSync(name)) {
    return statSync(name).isDirectory()
      ? notebooksBelow(name, except).map((file) => ({ file, place: path.relative(name, file) }))
      : [{ file: name, place: path.basename(name) }];
  }
  // A file that is not there is told by whoever reads it.
  if (!GLOB.test(name)) return [{ file: name, place: path.basename(name) }];
  const parts = name.split(/[\\/]/);
  const fixed = parts.findIndex((part) => GLOB.test(part));
  const folder = parts.slice(0, fixed).join("/") || (name.startsWith("/") ? "/" : ".");
  const pattern = new RegExp(`^${globSource(parts.slice(fixed).join("/"))}$`);
  if (!existsSync(folder)) return [];
  return notebooksBelow(folder, except)
    .map((file) => ({ file, place: path.relative(folder, file) }))
    .filter(({ place }) => pattern.test(place.replaceAll("\\", "/")));
}

function notebooksBelow(folder: string, except: string | undefined): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const file = path.join(folder, entry.name);
      if (entry.name.startsWith(".") || entry.name === "node_modules" || path.resolve(file) === except) return [];
      if (entry.isDirectory()) return notebooksBelow(file, except);
      return entry.name.endsWith(".ipynb") ? [file] : [];
    });
}

/** `*` and `?` stay within a folder, `**` does not, `{a,b}` are alternatives, `[a-c]` characters. */
function globSource(glob: string): string {
  return glob.replace(/[.+^$()|\\]/g, "\\$&").replace(/\*\*\/|\*\*|\*|\?|\{[^{}]*\}|\[!/g, (part) => {
    if (part === "**/") return "(?:.*/)?";
    if (part === "**") return ".*";
    if (part === "*") return "[^/]*";
    if (part === "?") return "[^/]";
    if (part === "[!") return "[^";
    return `(?:${part.slice(1, -1).split(",").map(globSource).join("|")})`;
  });
}
