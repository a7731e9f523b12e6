import { randomUUID } from "node:crypto";
import { copyFile, link, mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { writeFileAtomic } from "../../../tensor/index.js";
import { isWhole } from "./download.js";
import { type HubReference, isCommit } from "./hub-reference.js";
import type { RepositoryFile } from "./repository-file.js";

/** A finished download: a folder as `load` takes it. */
export interface Snapshot {
  readonly path: string;
  readonly commit: string;
  /** When it was downloaded, ISO 8601. */
  readonly downloadedAt: string;
}

/** Written last into a snapshot. */
interface SnapshotRecord {
  readonly model: string;
  readonly commit: string;
  readonly variant: string | undefined;
  readonly downloadedAt: string;
  /** By path in the folder. */
  readonly files: Readonly<Record<string, RepositoryFile>>;
}

const recordFile = ".tweedie-hub.json";

/** Where downloads are kept: `$TWEEDIE_HOME/hub`, else `$XDG_CACHE_HOME/tweedie/hub`, else `~/.cache/tweedie/hub`. */
export function hubCacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return join(env.TWEEDIE_HOME || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "tweedie"), "hub");
}

/**
 * What the cache holds of one model:
 *
 *     owner--name/refs/<branch or tag>               the commit it stood for when last asked
 *     owner--name/snapshots/<commit>[+<variant>]/    folders as `load` takes them
 *     owner--name/blobs/<digest>                     contents, which snapshots share by hard links
 */
export class HubCache {
  readonly folder: string;
  readonly #model: string;

  constructor(cacheFolder: string, model: string) {
    this.folder = join(cacheFolder, model.replace("/", "--"));
    this.#model = model;
  }

  blob(file: RepositoryFile): string {
    return join(this.folder, "blobs", file.digest);
  }

  async create(): Promise<void> {
    for (const name of ["blobs", "refs", "snapshots"]) await mkdir(join(this.folder, name), { recursive: true });
  }

  /** The finished snapshot of a revision as it was when the hub was last asked. */
  async find({ revision }: HubReference, variant: string | undefined): Promise<Snapshot | undefined> {
    const commit = isCommit(revision) ? revision : (await readFile(this.#ref(revision), "utf8").catch(() => "")).trim();
    return isCommit(commit) ? this.snapshot(commit, variant) : undefined;
  }

  /** The finished snapshot of a commit, if every file of it is there. */
  async snapshot(commit: string, variant: string | undefined): Promise<Snapshot | undefined> {
    const path = this.#snapshotPath(commit, variant);
    try {
      const { files, downloadedAt } = JSON.parse(await readFile(join(path, recordFile), "utf8")) as SnapshotRecord;
      for (const [name, file] of Object.entries(files)) if (!(await isWhole(join(path, name), file))) return undefined;
      return { path, commit, downloadedAt };
    } catch {
      return undefined; // no record, or one that something else has written to
    }
  }

  /** Names of the snapshots there are: `<commit>` or `<commit>+<variant>`. */
  async list(): Promise<string[]> {
    const names = await readdir(join(this.folder, "snapshots")).catch(() => []);
    return names.filter((name) => isCommit(name.slice(0, 40)));
  }

  async remember(revision: string, commit: string): Promise<void> {
    if (!isCommit(revision)) await writeFileAtomic(this.#ref(revision), [new TextEncoder().encode(`${commit}\n`)]);
  }

  /** Makes a snapshot of blobs that are all there; it appears whole. */
  async assemble(commit: string, variant: string | undefined, files: ReadonlyMap<string, RepositoryFile>): Promise<Snapshot> {
    const temporary = join(this.folder, "snapshots", `.${randomUUID()}`);
    try {
      for (const [name, file] of files) {
        const path = join(temporary, name);
        await mkdir(dirname(path), { recursive: true });
        // Not every file system has hard links.
        await link(this.blob(file), path).catch(() => copyFile(this.blob(file), path));
      }
      const downloadedAt = new Date().toISOString();
      const record: SnapshotRecord = { model: this.#model, commit, variant, downloadedAt, files: Object.fromEntries(files) };
      await writeFileAtomic(join(temporary, recordFile), [new TextEncoder().encode(`${JSON.stringify(record, null, 1)}\n`)]);
      const path = this.#snapshotPath(commit, variant);
      await rename(temporary, path).catch(async () => {
        // One is there: another process's, as good as this, or one that has lost files.
        if (await this.snapshot(commit, variant)) return;
        await rm(path, { recursive: true, force: true });
        await rename(temporary, path);
      });
      return { path, commit, downloadedAt };
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  }

  #snapshotPath(commit: string, variant: string | undefined): string {
    return join(this.folder, "snapshots", variant === undefined ? commit : `${commit}+${variant}`);
  }

  /** Names of branches may hold slashes. */
  #ref(revision: string): string {
    return join(this.folder, "refs", encodeURIComponent(revision));
  }
}
