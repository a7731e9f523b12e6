import { constants } from "node:fs";
import { chmod, type FileHandle, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HubError } from "./hub-error.js";
import { hashOf, type RepositoryFile } from "./repository-file.js";

/** The content of a file from a byte on. */
export type ReadFrom = (from: number) => Promise<Response>;

export interface DownloadOptions {
  /** Named in errors. */
  readonly model: string;
  readonly signal: AbortSignal;
  /** Called with the bytes that are on disk so far. */
  readonly onReceived: (bytes: number) => void;
  /** How often a broken connection is tried again before the error is thrown. */
  readonly retries: number;
}

/**
 * Downloads a file's content to `path`, where it appears whole and checked, or not at all. What was received before an
 * interruption, by this process or one that is gone, stands in a `.part` file beside it and is continued.
 * @throws HubError `corrupt`, the partial file deleted, if the content is not what its digest says
 */
export async function download(path: string, file: RepositoryFile, read: ReadFrom, options: DownloadOptions): Promise<void> {
  const { signal, onReceived, retries } = options;
  if (await isWhole(path, file)) return onReceived(file.size);
  const part = await claimPart(path);
  for (let failures = 0; ; failures++) {
    try {
      await completePart(part, file, read, options);
      break;
    } catch (error) {
      if (error instanceof HubError && error.reason === "corrupt") await rm(part, { force: true });
      const passing = error instanceof HubError && (error.reason === "unreachable" || error.reason === "server");
      if (!passing || failures === retries) throw error;
      await sleep(250 * 2 ** failures, undefined, { signal });
    }
  }
  // Snapshots share the content; who edits a file of one must not change the others.
  await chmod(part, 0o444);
  await rename(part, path);
}

/** Whether the content is there; nothing unchecked ever gets its name. */
export async function isWhole(path: string, { size }: { readonly size: number }): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() === true && found.size === size;
}

/** This process's partial file: it bears the process's number, and that of a process which is gone is taken over. */
async function claimPart(path: string): Promise<string> {
  const folder = dirname(path);
  const own = `${path}.${process.pid}.part`;
  for (const name of await readdir(folder)) {
    const [digest, pid, suffix] = name.split(".");
    if (digest !== basename(path) || suffix !== "part" || isRunning(Number(pid))) continue;
    // Where it is gone, another process was faster.
    await rename(join(folder, name), own).catch(() => undefined);
  }
  return own;
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function completePart(part: string, file: RepositoryFile, read: ReadFrom, options: DownloadOptions): Promise<void> {
  const handle = await open(part, constants.O_RDWR | constants.O_CREAT, 0o644);
  try {
    const { size } = await handle.stat();
    const start = size > file.size ? 0 : size;
    if (await receive(handle, file, start, read, options)) return;
    // What was there before may be at fault, and what came now be right.
    if (start > 0 && (await receive(handle, file, 0, read, options))) return;
  } finally {
    await handle.close();
  }
  const expected = `${file.digest.length === 64 ? "SHA-256" : "Git's SHA-1"} ${file.digest}`;
  throw new HubError("corrupt", `${options.model}/${file.path}`, `what came is not what the hub lists (${expected}); try again`);
}

/** Keeps the first `start` bytes and receives the others. @returns whether the whole has the file's digest */
async function receive(
  handle: FileHandle,
  file: RepositoryFile,
  start: number,
  read: ReadFrom,
  { model, signal, onReceived }: DownloadOptions,
): Promise<boolean> {
  const subject = `${model}/${file.path}`;
  const response = start < file.size ? await read(start) : undefined;
  // A server need not honour ranges.
  let at = response === undefined || startOf(response) === start ? start : 0;
  if (response !== undefined && startOf(response) !== at) {
    await response.body?.cancel();
    throw new HubError("server", subject, `asked for the bytes from ${start}, got those from ${startOf(response)}`);
  }
  await handle.truncate(at);
  const hash = hashOf(file);
  if (at > 0) for await (const chunk of handle.createReadStream({ start: 0, end: at - 1, autoClose: false })) hash.update(chunk);
  onReceived(at);
  try {
    for await (const chunk of response?.body ?? []) {
      if (at + chunk.length > file.size) throw new HubError("corrupt", subject, `more came than the ${file.size} bytes listed`);
      hash.update(chunk);
      for (let done = 0; done < chunk.length; ) {
        done += (await handle.write(chunk, done, chunk.length - done, at + done)).bytesWritten;
      }
      at += chunk.length;
      onReceived(at);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw isBrokenConnection(error) ? new HubError("unreachable", subject, `the connection broke after ${at} bytes`) : error;
  }
  if (at < file.size) throw new HubError("unreachable", subject, `the connection ended after ${at} of ${file.size} bytes`);
  await handle.sync();
  return hash.digest("hex") === file.digest;
}

/** The first byte that a response holds. */
function startOf({ status, headers }: Response): number {
  return status === 206 ? Number(/^bytes (\d+)-/.exec(headers.get("content-range") ?? "")?.[1]) : 0;
}

/** `fetch` reports one as a TypeError; errors of the disk bear a code of their own. */
function isBrokenConnection(error: unknown): boolean {
  return error instanceof TypeError;
}
