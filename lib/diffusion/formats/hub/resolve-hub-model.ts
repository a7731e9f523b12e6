import { once } from "node:events";
import { readFile, statfs } from "node:fs/promises";
import { posix } from "node:path";
import { decodeModel, tensorsOf } from "../../../onnx/index.js";
import { beginTask, currentSignal } from "../../../runtime/index.js";
import { download, isWhole } from "./download.js";
import { HubCache, hubCacheFolder, type Snapshot } from "./hub-cache.js";
import { HubClient } from "./hub-client.js";
import { HubError } from "./hub-error.js";
import { type HubReference, isCommit, parseHubSource } from "./hub-reference.js";
import { fileOfEntry, type RepositoryFile } from "./repository-file.js";
import { expectDistinct, type Selection, selectExternalData, selectFiles } from "./select-files.js";

/** How far a download is. */
export interface HubProgress {
  /** The file that bytes came of, as the repository names it. */
  readonly file: string;
  /** Of the file; what an earlier call received counts. */
  readonly receivedBytes: number;
  readonly totalBytes: number;
  /** Of the model, as far as its files are known: those that its networks refer to become known when the networks are there. */
  readonly modelReceivedBytes: number;
  readonly modelTotalBytes: number;
}

export interface HubOptions {
  /** Which variant of its networks is taken, such as "fp16" for `model_fp16.onnx`; default the plain ones. */
  readonly variant?: string;
  /** Make no request: open what was downloaded before. Default: whether HF_HUB_OFFLINE or TWEEDIE_OFFLINE is "1". */
  readonly offline?: boolean;
  /** Ends the download; what was received remains and is continued by the next. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: HubProgress) => void;
  /** Default: `hubCacheFolder()`. */
  readonly cacheFolder?: string;
  /** Default: HF_ENDPOINT, else https://huggingface.co. */
  readonly endpoint?: string;
  /** An access token; default HF_TOKEN. No other host than the endpoint's is sent it. */
  readonly token?: string;
  /** Another `fetch`, such as one that goes through a proxy. */
  readonly fetch?: typeof fetch;
  /** How often a broken connection is tried again, after 250 ms and then twice as long each time; default 4. */
  readonly retries?: number;
}

const parallelDownloads = 4;

/** Callers of one model come one after another, so that the later find what the first downloaded. */
const queues = new Map<string, Promise<unknown>>();

/**
 * A folder for `load` with a model of the hub, downloaded unless it is there: configurations, tokenizers, and networks in ONNX
 * format with their external data, each held to its digest. A branch is looked up each time; if the hub cannot be reached, it
 * opens as it was last time, with a warning.
 * @param source "hub:owner/name" or "hub:owner/name@revision"; a branch, tag or commit, default "main"
 * @throws TypeError if the source is written otherwise
 * @throws HubError, with a `reason`, if the model cannot be had
 * @throws the signal's reason (an AbortError) if it is aborted
 */
export async function resolveHubModel(source: string, options: HubOptions = {}): Promise<string> {
  const reference = parseHubSource(source);
  const { variant, signal = currentSignal() } = options;
  if (variant !== undefined && !/^\w{1,32}$/.test(variant)) {
    throw new TypeError(`hub: a variant is a short name such as "fp16", got ${JSON.stringify(variant)}`);
  }
  const cache = new HubCache(options.cacheFolder ?? hubCacheFolder(), reference.model);
  const before = queues.get(cache.folder);
  const turn = afterwards(before, signal).then(() => resolve(reference, cache, { ...options, ...(signal && { signal }) }));
  const settled = Promise.allSettled([before, turn]);
  queues.set(cache.folder, settled);
  const { path } = await turn.finally(() => {
    if (queues.get(cache.folder) === settled) queues.delete(cache.folder);
  });
  return path;
}

/** Waits for a caller's turn, or until it gives up. */
async function afterwards(before: Promise<unknown> | undefined, signal: AbortSignal | undefined): Promise<void> {
  const done = new AbortController();
  try {
    await Promise.race([before, ...(signal && !signal.aborted ? [once(signal, "abort", { signal: done.signal })] : [])]);
  } finally {
    done.abort();
  }
  signal?.throwIfAborted();
}

async function resolve(reference: HubReference, cache: HubCache, options: HubOptions): Promise<Snapshot> {
  const { model, revision } = reference;
  const { variant } = options;
  const known = await cache.find(reference, variant);
  if (known !== undefined && isCommit(revision)) return known;
  if (options.offline ?? isOffline()) return known ?? (await refuseOffline(reference, cache, variant));
  const client = clientOf(model, options);
  let commit: string;
  try {
    commit = isCommit(revision) ? revision : await client.commitOf(revision);
  } catch (error) {
    const passing = error instanceof HubError && (error.reason === "unreachable" || error.reason === "server");
    if (known === undefined || !passing) throw error;
    console.warn(
      `${error.message}; opening ${revision} as it was on ${known.downloadedAt.slice(0, 10)} (commit ${known.commit.slice(0, 12)})`,
    );
    return known;
  }
  await cache.create();
  const snapshot = (await cache.snapshot(commit, variant)) ?? (await downloadSnapshot(model, commit, client, cache, options));
  await cache.remember(revision, commit);
  return snapshot;
}

async function downloadSnapshot(
  model: string,
  commit: string,
  client: HubClient,
  cache: HubCache,
  options: HubOptions,
): Promise<Snapshot> {
  const entries = await client.files(commit);
  const fileAt = (path: string): RepositoryFile => fileOfEntry(model, entries.get(path)!);
  const files = new Map<string, RepositoryFile>();
  const received = new Map<string, number>();
  const fetchFiles = async (batch: ReadonlyMap<string, RepositoryFile>): Promise<void> => {
    for (const [target, file] of batch) files.set(target, file);
    expectDistinct(model, files.keys());
    await expectSpace(model, [...batch.values()], cache);
    // Files of one content are downloaded once.
    const blobs = [...new Map([...batch.values()].map((file) => [file.digest, file])).values()];
    const told = options.onProgress;
    using task = beginTask(`download ${model}`, { total: megabytes(sum(blobs.map(({ size }) => size))), unit: "MB", told });
    await inParallel(blobs, options.signal, (file, signal) =>
      download(cache.blob(file), file, (from) => client.read(commit, file.path, from, signal), {
        model,
        signal,
        retries: options.retries ?? 4,
        onReceived: (bytes) => {
          received.set(file.digest, bytes);
          task.at(megabytes(sum(blobs.map(({ digest }) => received.get(digest) ?? 0))));
          options.onProgress?.(progressOf(file, received, files));
        },
      }),
    );
  };

  const selection = selectFiles(model, entries.keys(), options.variant);
  await fetchFiles(new Map([...selection].map(([target, path]) => [target, fileAt(path)])));
  const data = new Map<string, RepositoryFile>();
  for (const [target, path] of selection) {
    if (!target.endsWith(".onnx") || !mayHaveExternalData(path, selection, entries.keys())) continue;
    const locations = externalLocations(await readFile(cache.blob(fileAt(path))), path);
    for (const found of selectExternalData(model, path, locations, (name) => entries.has(name))) data.set(found, fileAt(found));
  }
  await fetchFiles(data);
  return cache.assemble(commit, options.variant, files);
}

/** Whether anything else is in or below the network's folder; most networks are one file, which then need not be read. */
function mayHaveExternalData(network: string, selection: Selection, paths: Iterable<string>): boolean {
  const folder = posix.dirname(network);
  const known = new Set(selection.values());
  return [...paths].some(
    (path) => !known.has(path) && !path.endsWith(".onnx") && (folder === "." || path.startsWith(`${folder}/`)),
  );
}

/** The files, relative to the network's folder, that its weights are in. */
function externalLocations(bytes: Uint8Array, path: string): Set<string> {
  const locations = new Set<string>();
  for (const { data } of tensorsOf(decodeModel(bytes, path).graph)) if (data.kind === "external") locations.add(data.location);
  return locations;
}

function megabytes(bytes: number): number {
  return Math.ceil(bytes / 1e6);
}

function progressOf(
  file: RepositoryFile,
  received: ReadonlyMap<string, number>,
  files: ReadonlyMap<string, RepositoryFile>,
): HubProgress {
  const sizes = new Map([...files.values()].map(({ digest, size }) => [digest, size]));
  return {
    file: file.path,
    receivedBytes: received.get(file.digest) ?? 0,
    totalBytes: file.size,
    modelReceivedBytes: sum(received.values()),
    modelTotalBytes: sum(sizes.values()),
  };
}

/** @throws HubError before the first byte if the disk is too small */
async function expectSpace(model: string, files: readonly RepositoryFile[], cache: HubCache): Promise<void> {
  const missing = await Promise.all(files.map(async (file) => ((await isWhole(cache.blob(file), file)) ? 0 : file.size)));
  const { bavail, bsize } = await statfs(cache.folder);
  if (sum(missing) <= bavail * bsize) return;
  const [needed, free] = [sum(missing), bavail * bsize].map((bytes) => `${Math.ceil(bytes / 2 ** 20)} MiB`);
  throw new HubError(
    "no-space",
    model,
    `needs ${needed}, only ${free} are free in ${cache.folder}; set TWEEDIE_HOME to a larger disk`,
  );
}

/** Runs a job on every item, a few at once. The first failure ends the others and is thrown when they have ended. */
async function inParallel<T>(
  items: readonly T[],
  signal: AbortSignal | undefined,
  job: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failed = new AbortController();
  const either = AbortSignal.any([failed.signal, ...(signal ? [signal] : [])]);
  const rest = items.values();
  const work = async (): Promise<void> => {
    for (const item of rest) {
      either.throwIfAborted();
      await job(item, either);
    }
  };
  const workers = Array.from({ length: parallelDownloads }, () => work().catch((error: unknown) => failed.abort(error)));
  await Promise.all(workers);
  either.throwIfAborted();
}

function clientOf(model: string, options: HubOptions): HubClient {
  const endpoint = options.endpoint ?? (process.env.HF_ENDPOINT || "https://huggingface.co");
  if (!/^https?:\/\//.test(endpoint) || !URL.canParse(endpoint)) {
    throw new TypeError(`hub: the endpoint (HF_ENDPOINT) is an http or https address, got ${JSON.stringify(endpoint)}`);
  }
  const token = (options.token ?? process.env.HF_TOKEN)?.trim() || undefined;
  // What follows would quote the token.
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
    throw new TypeError("hub: HF_TOKEN holds characters that no token has");
  return new HubClient(model, { endpoint, token, fetch: options.fetch ?? fetch, signal: options.signal });
}

function isOffline(): boolean {
  return [process.env.HF_HUB_OFFLINE, process.env.TWEEDIE_OFFLINE].some((value) => /^(1|true|yes|on)$/i.test(value ?? ""));
}

async function refuseOffline({ model, revision }: HubReference, cache: HubCache, variant: string | undefined): Promise<never> {
  const kept = await cache.list();
  const what = variant === undefined ? revision : `variant "${variant}" of ${revision}`;
  const have = kept.length === 0 ? "no download of it" : `${kept.join(", ")}`;
  throw new HubError("offline", model, `offline, and ${what} was not downloaded (${cache.folder} has ${have}); go online once`);
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const n of numbers) total += n;
  return total;
}
