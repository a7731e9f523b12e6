import type { ListFileEntry } from "@huggingface/hub";
import { nearestNames } from "../../../runtime/feeds.js";
import { HubError } from "./hub-error.js";
import { isCommit } from "./hub-reference.js";

/** How a hub is spoken to. */
export interface HubConnection {
  /** Such as "https://huggingface.co". */
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly fetch: typeof fetch;
  readonly signal: AbortSignal | undefined;
}

// Only who asks a hub waits for its package.
const hubPackage = (): Promise<typeof import("@huggingface/hub")> => import("@huggingface/hub");

/** A listing of more files is no model's. */
const maxFiles = 100_000;

/** One model on a hub. */
export class HubClient {
  readonly endpoint: string;
  readonly #model: string;
  readonly #connection: HubConnection;

  constructor(model: string, connection: HubConnection) {
    this.endpoint = connection.endpoint.replace(/\/+$/, "");
    this.#model = model;
    this.#connection = connection;
  }

  /** The commit that a branch or tag stands for now. */
  async commitOf(revision: string): Promise<string> {
    const { modelInfo } = await hubPackage();
    const info = { name: this.#model, revision, additionalFields: ["sha" as const], hubUrl: this.endpoint, fetch: this.#fetch };
    const { sha } = await modelInfo(info).catch((error: unknown) => this.#explain(error, revision));
    if (!isCommit(sha)) throw this.#error("server", `the hub named no commit for ${revision}, but ${JSON.stringify(sha)}`);
    return sha;
  }

  /** Every file of a commit, by its path. What the hub says of them is not to be trusted. */
  async files(commit: string): Promise<Map<string, ListFileEntry>> {
    const { listFiles } = await hubPackage();
    const repo = { type: "model" as const, name: this.#model };
    const files = new Map<string, ListFileEntry>();
    const listing = listFiles({ repo, revision: commit, recursive: true, hubUrl: this.endpoint, fetch: this.#fetch });
    try {
      for await (const entry of listing) {
        if (entry.type === "file") files.set(String(entry.path), entry);
        if (files.size > maxFiles) throw this.#error("no-model", `lists more than ${maxFiles} files, as no model does`);
      }
    } catch (error) {
      return await this.#explain(error, commit);
    }
    return files;
  }

  /**
   * A file from a byte on. It comes by plain HTTP also where the hub stores it in Xet, which it translates unless asked
   * not to: content checked by its SHA-256 can then be continued wherever it broke off.
   */
  read(commit: string, path: string, from: number, signal: AbortSignal): Promise<Response> {
    const encoded = path.split("/").map(encodeURIComponent).join("/");
    const range: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
    // A compressed answer would have other lengths than the file.
    const headers = { "accept-encoding": "identity", ...range };
    return this.#fetch(`${this.endpoint}/${this.#model}/resolve/${commit}/${encoded}`, { headers, signal });
  }

  /** Requests of this hub carry the token; those of other hosts, to which it redirects or links, do not. */
  readonly #fetch: typeof fetch = async (input, init) => {
    const { token, signal = null, fetch } = this.#connection;
    const url = new URL(input instanceof Request ? input.url : input);
    const headers = new Headers(init?.headers);
    if (token !== undefined && url.origin === new URL(this.endpoint).origin) headers.set("authorization", `Bearer ${token}`);
    let response: Response;
    try {
      response = await fetch(url, { signal, ...init, headers });
    } catch (error) {
      signal?.throwIfAborted();
      init?.signal?.throwIfAborted();
      throw this.#error("unreachable", `${url.host} cannot be reached (${causeOf(error)})`);
    }
    if (response.ok) return response;
    await response.body?.cancel();
    throw this.#refusal(response);
  };

  #refusal({ status, headers }: Response): HubError {
    const { token } = this.#connection;
    const code = headers.get("x-error-code");
    const page = `${this.endpoint}/${this.#model}`;
    if (status === 429) return this.#error("server", "the hub has too many requests (429); try again later");
    if (code === "GatedRepo" || status === 403) {
      const then = token === undefined ? "set HF_TOKEN to a token of that account" : "HF_TOKEN must be a token of that account";
      return this.#error("no-access", `is gated or not for everyone (${status}); accept its terms at ${page}, ${then}`);
    }
    if (code === "RevisionNotFound") return this.#error("no-revision", "has no such revision");
    if (code === "EntryNotFound") return this.#error("not-found", "a file that the hub listed is gone; try again");
    if (status === 401 && token !== undefined && code !== "RepoNotFound") {
      return this.#error("no-access", `HF_TOKEN is not accepted (401); make a new one at ${this.endpoint}/settings/tokens`);
    }
    // The hub says 401 for what does not exist too, so as not to tell what is private.
    if (status === 404 || status === 401) {
      const hint = token === undefined ? "; if it is private, set HF_TOKEN" : " that HF_TOKEN may see";
      return this.#error("not-found", `there is no such model${hint}`);
    }
    return this.#error("server", `the hub answered ${status}; try again later`);
  }

  /** Adds to an error about a name the names that exist and look like it. */
  async #explain(error: unknown, revision: string): Promise<never> {
    this.#connection.signal?.throwIfAborted();
    if (!(error instanceof HubError)) {
      // The package found something else than the protocol says.
      throw this.#error("server", `the hub's answer could not be read (${causeOf(error)})`);
    }
    const wrong = { "not-found": this.#model, "no-revision": revision }[error.reason as string];
    if (wrong === undefined) throw error;
    const known = await (error.reason === "no-revision" ? this.#revisions() : this.#namesakes()).catch(() => []);
    const near = nearestNames(wrong, known).map((n) => `"${n}"`);
    const what = error.reason === "no-revision" ? `has no revision "${revision}"` : error.message.replace(/^hub:[^:]*: /, "");
    throw this.#error(error.reason, `${what}; ${near.length > 0 ? `did you mean ${near.join(" or ")}?` : "check the spelling"}`);
  }

  async #revisions(): Promise<string[]> {
    const response = await this.#fetch(`${this.endpoint}/api/models/${this.#model}/refs`);
    const { branches, tags } = (await response.json()) as Record<"branches" | "tags", { name: string }[]>;
    return [...branches, ...tags].map((ref) => String(ref.name));
  }

  /** Models of the same owner, and models of the same name. */
  async #namesakes(): Promise<string[]> {
    const { listModels } = await hubPackage();
    const [owner, name] = this.#model.split("/") as [string, string];
    const names = new Set<string>();
    for (const search of [{ owner }, { query: name }]) {
      for await (const found of listModels({ search, limit: 100, hubUrl: this.endpoint, fetch: this.#fetch })) {
        names.add(String(found.name));
      }
    }
    return [...names];
  }

  #error(reason: HubError["reason"], message: string): HubError {
    return new HubError(reason, this.#model, message);
  }
}

/** "ENOTFOUND" rather than "fetch failed". */
function causeOf(error: unknown): string {
  const { cause, message } = error as Error & { cause?: { code?: string; message?: string } };
  return cause?.code ?? cause?.message ?? message;
}
