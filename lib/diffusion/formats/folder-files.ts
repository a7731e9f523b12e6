import { open, readdir, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { ModelFolderError } from "./model-folder-error.js";

/** A parsed JSON object; `file` is named in errors about its fields. */
export interface JsonFile {
  readonly file: string;
  readonly values: Readonly<Record<string, unknown>>;
}

/** No configuration of a pipeline comes near this. */
const maxJsonBytes = 2 ** 24;

/** What is at a path. */
export async function kindOf(path: string): Promise<"a folder" | "a file" | "nothing" | "something else"> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return "nothing";
  return found.isDirectory() ? "a folder" : found.isFile() ? "a file" : "something else";
}

/**
 * The path of a file that exists and really lies in the folder.
 * @throws ModelFolderError if there is none, or a link leads out of the folder
 */
export async function fileInside(root: string, relative: string, fix?: string): Promise<string> {
  const path = join(root, relative);
  const real = await realpath(path).catch(() => undefined);
  if (real === undefined) throw new ModelFolderError(path, "a file", "nothing", fix);
  await expectInside(root, path, real);
  const kind = await kindOf(real);
  if (kind !== "a file") throw new ModelFolderError(path, "a file", kind, fix);
  return path;
}

/** Names in a folder that really lies in another one. @throws ModelFolderError as `fileInside` */
export async function namesInside(root: string, relative: string): Promise<string[]> {
  return (await readdir(await folderInside(root, relative))).sort();
}

/** The path of a folder that really lies in another one. @throws ModelFolderError if a link leads out */
export async function folderInside(root: string, relative: string): Promise<string> {
  const path = join(root, relative);
  await expectInside(root, path, await realpath(path));
  return path;
}

async function expectInside(root: string, path: string, real: string): Promise<void> {
  const folder = await realpath(root);
  if (real === folder || real.startsWith(folder + sep)) return;
  throw new ModelFolderError(path, "a file inside the model folder", `a link to ${real}`, "copy the file into the folder");
}

/** A JSON object of a folder. @throws ModelFolderError if it is missing or not that */
export async function readJson(root: string, relative: string, fix?: string): Promise<JsonFile> {
  const file = await fileInside(root, relative, fix);
  const text = await readText(file);
  let value: unknown;
  try {
    // Python writes infinities bare, which JSON does not have.
    value = JSON.parse(text.replace(/(:\s*)(-?Infinity)(?=\s*[,}])/g, '$1"$2"'));
  } catch (error) {
    throw new ModelFolderError(file, "JSON", `${JSON.stringify(text.slice(0, 40))} (${(error as Error).message})`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ModelFolderError(file, "a JSON object", text.slice(0, 40));
  }
  return { file, values: value as Record<string, unknown> };
}

async function readText(path: string): Promise<string> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    if (size > maxJsonBytes) throw new ModelFolderError(path, `at most ${maxJsonBytes} bytes of JSON`, `${size} bytes`);
    return new TextDecoder("utf-8", { fatal: true }).decode(await file.readFile());
  } catch (error) {
    if (error instanceof ModelFolderError) throw error;
    throw new ModelFolderError(path, "text in UTF-8", (error as Error).message);
  } finally {
    await file.close();
  }
}

/** A value in an error's words, however deep or long it is. */
export function shown(value: unknown): string {
  try {
    const text = JSON.stringify(value ?? null);
    return text.length > 60 ? `${text.slice(0, 60)}…` : text;
  } catch {
    return "a value nested too deep to show";
  }
}

/** Limits of a whole number. */
export interface NumberLimits {
  readonly least?: number;
  readonly most?: number;
  /** What it is where the file does not say. */
  readonly otherwise?: number | undefined;
}

function fieldOf(config: JsonFile, key: string): unknown {
  return Object.hasOwn(config.values, key) ? config.values[key] : undefined;
}

/** A finite number of a config, or `otherwise` where it is absent or null. @throws ModelFolderError if it is something else */
export function numberIn(config: JsonFile, key: string, otherwise?: number): number {
  const value = fieldOf(config, key) ?? otherwise;
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw new ModelFolderError(config.file, `a number "${key}"`, shown(value));
  }
  return value;
}

/** A whole number of a config. @throws ModelFolderError if it is something else or out of its limits, by default 1…2²⁰ */
export function countIn(config: JsonFile, key: string, { least = 1, most = 2 ** 20, otherwise }: NumberLimits = {}): number {
  const value = fieldOf(config, key) ?? otherwise;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < least || value > most) {
    throw new ModelFolderError(config.file, `a whole number "${key}", ${least}…${most}`, shown(value));
  }
  return value;
}

/** As `countIn`, undefined where the file says nothing. */
export function optionalCountIn(config: JsonFile, key: string, limits: NumberLimits = {}): number | undefined {
  return fieldOf(config, key) == null ? undefined : countIn(config, key, limits);
}

/** True or false. @throws ModelFolderError if it is something else */
export function flagIn(config: JsonFile, key: string, otherwise: boolean): boolean {
  const value = fieldOf(config, key) ?? otherwise;
  if (typeof value !== "boolean") throw new ModelFolderError(config.file, `true or false for "${key}"`, shown(value));
  return value;
}

/** As many finite numbers as are needed, undefined where the file says nothing. @throws ModelFolderError if it is something else */
export function optionalNumbersIn(config: JsonFile, key: string, count: number): readonly number[] | undefined {
  const value = fieldOf(config, key);
  if (value == null) return undefined;
  if (!Array.isArray(value) || value.length !== count || !value.every(Number.isFinite)) {
    throw new ModelFolderError(config.file, `${count} numbers "${key}"`, shown(value));
  }
  return value as number[];
}

/** How many entries a list of a config has. @throws ModelFolderError if it is no list, or has none or too many */
export function lengthIn(config: JsonFile, key: string, { most = 2 ** 10, otherwise }: NumberLimits = {}): number {
  const value = fieldOf(config, key);
  if (value === undefined && otherwise !== undefined) return otherwise;
  if (!Array.isArray(value) || value.length === 0 || value.length > most) {
    throw new ModelFolderError(config.file, `a list "${key}" of at most ${most}`, shown(value));
  }
  return value.length;
}
