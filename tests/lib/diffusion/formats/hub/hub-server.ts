import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A model on the test's hub. */
export interface TestModel {
  /** Contents by path, of each commit. */
  readonly commits: Record<string, Record<string, Uint8Array | string>>;
  /** Branches and tags. */
  readonly refs: Record<string, string>;
  /** The token without which nothing of it is shown (private), or no file of it given (gated). */
  readonly privateTo?: string;
  readonly gatedTo?: string;
  /** Entries put into its listing as they are. */
  readonly listed?: readonly object[];
}

/** What goes wrong with a file, by its path; `times` it does, default always. */
export interface Fault {
  readonly kind: "cut" | "corrupt" | "longer" | "shorter" | "no-ranges" | "error";
  /** Bytes that are sent before the connection is cut. */
  readonly after?: number;
  times?: number;
}

export interface LoggedRequest {
  readonly host: "hub" | "cdn";
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

export const largeBytes = 1000;

/** Two local servers that speak as the hub and its content network do: large files are redirected to the second. */
export class HubServer {
  readonly models: Record<string, TestModel> = {};
  readonly faults: Record<string, Fault> = {};
  readonly log: LoggedRequest[] = [];
  /** Waited for before a file's second half is sent. */
  hold: Promise<unknown> | undefined;
  readonly #hub: Server;
  readonly #cdn: Server;

  private constructor(hub: Server, cdn: Server) {
    this.#hub = hub.on("request", (request, response) => this.#serve("hub", request, response));
    this.#cdn = cdn.on("request", (request, response) => this.#serve("cdn", request, response));
  }

  static async start(): Promise<HubServer> {
    const servers = [createServer(), createServer()] as const;
    await Promise.all(servers.map((server) => new Promise<void>((done) => server.listen(0, "127.0.0.1", done))));
    return new HubServer(...servers);
  }

  get endpoint(): string {
    return addressOf(this.#hub);
  }

  close(): void {
    for (const server of [this.#hub, this.#cdn]) {
      server.closeAllConnections();
      server.close();
    }
  }

  /** Requests for files' contents, as paths in their repository. */
  get downloads(): string[] {
    return this.log.flatMap(({ path, host }) => (host === "hub" ? (/\/resolve\/[^/]+\/(.+)/.exec(path)?.[1] ?? []) : []));
  }

  #serve(host: "hub" | "cdn", request: IncomingMessage, response: ServerResponse): unknown {
    const { pathname, searchParams } = new URL(request.url ?? "/", this.endpoint);
    const { authorization, range } = request.headers;
    this.log.push({ host, path: decodeURIComponent(pathname), authorization, range });
    const refuse = (status: number, code?: string): unknown =>
      response.writeHead(status, code ? { "x-error-code": code } : {}).end("no");
    const json = (value: unknown, headers: Record<string, string> = {}): unknown =>
      response.writeHead(200, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
    if (host === "cdn") return this.#send(pathname.split("/").slice(1).map(decodeURIComponent), request, response);

    if (pathname === "/api/models") {
      const { author, search } = Object.fromEntries(searchParams) as { author?: string; search?: string };
      const found = Object.keys(this.models).filter((id) => (author ? id.startsWith(`${author}/`) : id.includes(search ?? "")));
      return json(found.map((id) => ({ _id: id, id, lastModified: 0 })));
    }
    const [, model = "", action = "", revision = "", path = ""] =
      /^(?:\/api\/models)?\/([^/]+\/[^/]+)\/(revision|tree|refs|resolve)\/?([^/]*)\/?(.*)$/.exec(pathname) ?? [];
    const found = this.models[model];
    const token = authorization?.replace("Bearer ", "");
    if (found === undefined || (found.privateTo !== undefined && token !== found.privateTo)) return refuse(401, "RepoNotFound");
    if (action === "refs") return json({ branches: Object.keys(found.refs).map((name) => ({ name })), tags: [] });
    const sha = found.refs[decodeURIComponent(revision)] ?? decodeURIComponent(revision);
    const files = found.commits[sha];
    if (files === undefined) return refuse(404, "RevisionNotFound");
    if (action === "revision") return json({ _id: model, id: model, sha, lastModified: 0 });
    if (action === "tree") return this.#list(found, files, request, json);

    if (found.gatedTo !== undefined && token !== found.gatedTo) return refuse(token === undefined ? 401 : 403, "GatedRepo");
    const name = decodeURIComponent(path);
    const content = files[name];
    if (content === undefined) return refuse(404, "EntryNotFound");
    // The hub answers so to whoever says that it speaks Xet.
    if (request.headers.accept?.includes("xet")) return json({}, { "content-type": "application/vnd.xet-fileinfo+json" });
    if (content.length < largeBytes) return this.#send([model, sha, name], request, response);
    const location = `${addressOf(this.#cdn)}/${[model, sha, name].map(encodeURIComponent).join("/")}`;
    const digest = createHash("sha256").update(content).digest("hex");
    response
      .writeHead(302, { location, "x-repo-commit": sha, "x-linked-etag": `"${digest}"`, "x-linked-size": content.length })
      .end();
  }

  /** Two entries a page. */
  #list(
    { listed = [] }: TestModel,
    files: Record<string, Uint8Array | string>,
    request: IncomingMessage,
    json: (value: unknown, headers?: Record<string, string>) => unknown,
  ): unknown {
    const entries = [{ type: "directory", path: "unet", oid: "0", size: 0 }, ...Object.entries(files).map(entryOf), ...listed];
    const url = new URL(request.url ?? "/", this.endpoint);
    const at = Number(url.searchParams.get("cursor") ?? 0);
    url.searchParams.set("cursor", `${at + 2}`);
    return json(entries.slice(at, at + 2), at + 2 < entries.length ? { link: `<${url}>; rel="next"` } : {});
  }

  async #send([model, sha, name]: string[], request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    let content = Buffer.from(this.models[model!]!.commits[sha!]![name!]!);
    const fault = this.faults[name!];
    const active = fault !== undefined && (fault.times === undefined || fault.times-- > 0) ? fault.kind : undefined;
    if (active === "error") return response.writeHead(503).end();
    if (active === "corrupt") content[content.length - 1]! ^= 1;
    if (active === "longer") content = Buffer.concat([content, Buffer.from("more")]);
    if (active === "shorter") content = content.subarray(0, -1);
    const from = active === "no-ranges" ? 0 : Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const headers = { etag: `"${sha}"`, "content-length": content.length - from };
    if (from > 0)
      response.writeHead(206, { ...headers, "content-range": `bytes ${from}-${content.length - 1}/${content.length}` });
    else response.writeHead(200, headers);
    if (active === "cut") return response.write(content.subarray(from, fault!.after), () => response.destroy());
    const middle = Math.floor((from + content.length) / 2);
    if (this.hold !== undefined) {
      response.write(content.subarray(from, middle));
      await this.hold;
    }
    return response.end(content.subarray(this.hold === undefined ? from : middle));
  }
}

function entryOf([path, content]: [string, Uint8Array | string]): object {
  const bytes = Buffer.from(content);
  const gitSha1 = (data: Uint8Array): string => createHash("sha1").update(`blob ${data.length}\0`).update(data).digest("hex");
  if (bytes.length < largeBytes) return { type: "file", path, size: bytes.length, oid: gitSha1(bytes) };
  const oid = createHash("sha256").update(bytes).digest("hex");
  const pointer = Buffer.from(`version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize ${bytes.length}\n`);
  const lfs = { oid, size: bytes.length, pointerSize: pointer.length };
  return { type: "file", path, size: bytes.length, oid: gitSha1(pointer), lfs, xetHash: "f".repeat(64) };
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
