import type { Hash } from "node:crypto";
import { createHash } from "node:crypto";
import type { ListFileEntry } from "@huggingface/hub";
import { HubError } from "./hub-error.js";

/** A file as the hub lists it. */
export interface RepositoryFile {
  /** Relative to the repository, with `/` between names. */
  readonly path: string;
  readonly size: number;
  /** SHA-256 of a large file's content, or SHA-1 of a small one's as Git takes it; in hexadecimal. */
  readonly digest: string;
}

/** @throws HubError if the path is unsafe, or the entry has no size or no digest that content can be held to */
export function fileOfEntry(model: string, { path, size, oid, lfs, xetHash }: ListFileEntry): RepositoryFile {
  expectSafePath(model, path);
  // Where a file is kept outside Git, its `oid` is that of the pointer in its place.
  const digest = lfs ? lfs.oid : xetHash === undefined ? oid : undefined;
  const length = lfs ? lfs.size : size;
  const pattern = lfs ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{40}$/;
  if (!Number.isSafeInteger(length) || length < 0 || !pattern.test(String(digest))) {
    throw new HubError("corrupt", model, `lists ${path} without a size and a digest to check it by`);
  }
  return { path, size: length, digest: digest as string };
}

/** The hash that content of a file has to be put through for its `digest`. */
export function hashOf({ digest, size }: RepositoryFile): Hash {
  return digest.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
}

const reserved = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

/**
 * Refuses a path that would be written outside its folder, or be another file, on any system.
 * @throws HubError
 */
function expectSafePath(model: string, path: string): void {
  const safe = path.split("/").every((name) => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
    const plain = /^[^\\:*?"<>|\u0000-\u001f]{1,255}$/.test(name) && !/[. ]$/.test(name);
    return plain && !reserved.test(name);
  });
  if (safe && path.length <= 1024) return;
  throw new HubError(
    "unsafe-path",
    model,
    `lists a file ${JSON.stringify(path)}, which is refused: it could be written elsewhere`,
  );
}
