import { readFile, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";

/** The largest vocabularies take a tenth of this. */
const maxFileBytes = 2 ** 28;

/** A file of the folder, undefined where there is none. @throws TypeError on a link that leads out of the folder */
export async function readInside(folder: string, name: string): Promise<Buffer | undefined> {
  const path = join(folder, name);
  let real: string;
  try {
    real = await realpath(path);
  } catch {
    return undefined;
  }
  if (!real.startsWith((await realpath(folder)) + sep)) {
    throw new TypeError(`loadTokenizer: ${path} links to ${real}, outside its folder; copy the file into the folder`);
  }
  const found = await stat(real);
  if (!found.isFile() || found.size > maxFileBytes) {
    const what = found.isFile() ? `of ${found.size} bytes` : "that is none";
    throw new TypeError(`loadTokenizer: ${path} must be a file of at most ${maxFileBytes} bytes, got one ${what}`);
  }
  return readFile(real);
}

export function required(file: Buffer | undefined, folder: string, name: string): string {
  if (file !== undefined) return file.toString("utf8");
  throw new TypeError(
    `loadTokenizer: ${name} is missing in ${folder}; point to a CLIP tokenizer folder or one with tokenizer.json`,
  );
}

export function parseObject(text: string, where: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new TypeError(`loadTokenizer: ${where} is not JSON: ${(error as Error).message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(`loadTokenizer: ${where} must hold an object, got ${text.slice(0, 40)}`);
  }
  return value as Record<string, unknown>;
}

/** @throws TypeError unless it gives every piece a whole number */
export function parseVocab(vocab: unknown, where: string): Readonly<Record<string, number>> {
  for (const [piece, id] of Object.entries(vocab ?? {})) {
    if (typeof id !== "number" || !Number.isSafeInteger(id) || id < 0) {
      throw new TypeError(`loadTokenizer: ${where} gives "${piece}" the id ${JSON.stringify(id)}; ids are whole numbers`);
    }
  }
  return (vocab ?? {}) as Record<string, number>;
}

export function parseMerges(text: string, folder: string): [string, string][] {
  const lines = text.split(/\r?\n/).map((line, i) => ({ line, number: i + 1 }));
  return lines
    .filter(({ line, number }) => line !== "" && !(number === 1 && line.startsWith("#version")))
    .map(({ line, number }) => {
      const [left, right, ...rest] = line.split(" ");
      if (!left || !right || rest.length > 0) {
        throw new TypeError(`loadTokenizer: ${folder}/merges.txt line ${number} must hold two pieces, got "${line}"`);
      }
      return [left, right];
    });
}

/** Special tokens are written plainly or as an object with `content`. */
export function tokenText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "object" && value !== null && "content" in value && typeof value.content === "string")
    return value.content;
  return undefined;
}
