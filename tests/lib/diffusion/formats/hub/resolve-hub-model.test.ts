import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  HubError,
  type HubOptions,
  type HubProgress,
  hubCacheFolder,
  resolveHubModel,
} from "../../../../../lib/diffusion/formats/hub/index.js";
import { load } from "../../../../../lib/diffusion/formats/index.js";
import { encodeModel, type Initializer } from "../../../../../lib/onnx/index.js";
import { writeSmallPipeline } from "../../pipelines/small-pipeline.js";
import { HubServer } from "./hub-server.js";

const first = "1".repeat(40);
const second = "2".repeat(40);

/** A network that adds a weight to its input. */
function network(data: Initializer["data"]): Uint8Array {
  const value = { dtype: "float32", shape: [2] } as const;
  return encodeModel({
    irVersion: 8,
    opsets: [{ domain: "", version: 18 }],
    graph: {
      name: "add",
      nodes: [{ opType: "Add", domain: "", name: "add", inputs: ["x", "w"], outputs: ["y"], attributes: {} }],
      initializers: [{ name: "w", ...value, data }],
      inputs: [{ name: "x", ...value }],
      outputs: [{ name: "y", ...value }],
      valueInfo: [],
    },
  });
}

const whole = network({ kind: "bytes", bytes: new Uint8Array(8) });
const split = network({ kind: "external", location: "weights.pb", offset: 0, length: 8 });
const weights = new Uint8Array(300_000).map((_, i) => (i * 7919) >> 5);
const pipeline = {
  "model_index.json": '{"_class_name": "StableDiffusionPipeline"}',
  "scheduler/scheduler_config.json": "{}",
  "tokenizer/vocab.json": "{}",
  "tokenizer/merges.txt": "",
  "unet/config.json": "{}",
  "unet/model.onnx": split,
  "unet/weights.pb": weights,
  "unet/diffusion_pytorch_model.safetensors": "pytorch",
  "vae_decoder/model.onnx": whole,
  "text_encoder/pytorch_model.bin.index.json": "{}",
  "safety_checker/model.onnx": whole,
  "README.md": "# tiny",
};
const needed = Object.keys(pipeline).filter(
  (path) => !/safetensors|index\.json$|safety|README/.test(path) || path === "model_index.json",
);

let server: HubServer;
let cacheFolder: string;
let options: HubOptions;

beforeEach(async () => {
  for (const name of ["HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "TWEEDIE_OFFLINE"]) vi.stubEnv(name, "");
  server = await HubServer.start();
  server.models["acme/tiny"] = { commits: { [first]: pipeline }, refs: { main: first, "fp16/test": first } };
  cacheFolder = await mkdtemp(join(tmpdir(), "hub-"));
  options = { endpoint: server.endpoint, cacheFolder, retries: 0 };
});
afterEach(async () => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  server.close();
  await rm(cacheFolder, { recursive: true });
});

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((e) => e.isFile())
    .map((e) => relative(folder, join(e.parentPath, e.name)))
    .filter((path) => !path.startsWith("."))
    .sort();
}

async function failure(source: string, more: HubOptions = {}): Promise<HubError> {
  const error = await resolveHubModel(source, { ...options, ...more }).then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(HubError);
  return error as HubError;
}

describe("a model of the hub", () => {
  it("is a folder with what a pipeline needs, its networks' external data included, and nothing of PyTorch's", async () => {
    const folder = await resolveHubModel("hub:acme/tiny", options);
    expect(await filesIn(folder)).toEqual([...needed].sort());
    expect(new Uint8Array(await readFile(join(folder, "unet/weights.pb")))).toEqual(weights);
    expect(server.downloads.filter((path) => !needed.includes(path))).toEqual([]);
  });

  it("is downloaded once; afterwards one request asks whether the branch moved, and a commit needs none", async () => {
    const folder = await resolveHubModel("hub:acme/tiny", options);
    server.log.length = 0;
    expect(await resolveHubModel("hub:acme/tiny", options)).toBe(folder);
    expect(server.log.map(({ path }) => path)).toEqual(["/api/models/acme/tiny/revision/main"]);
    expect(await resolveHubModel(`hub:acme/tiny@${first}`, options)).toBe(folder);
    expect(server.log).toHaveLength(1);
  });

  it("at a moved branch is another folder, which shares the contents that did not change", async () => {
    const folder = await resolveHubModel("hub:acme/tiny", options);
    server.models["acme/tiny"] = {
      commits: { [first]: pipeline, [second]: { ...pipeline, "unet/config.json": '{"new": 1}' } },
      refs: { main: second },
    };
    server.log.length = 0;
    const moved = await resolveHubModel("hub:acme/tiny", options);
    expect(server.downloads).toEqual(["unet/config.json"]);
    expect(await readFile(join(moved, "unet/config.json"), "utf8")).toBe('{"new": 1}');
    expect(await readFile(join(folder, "unet/config.json"), "utf8")).toBe("{}");
    expect((await stat(join(moved, "unet/weights.pb"))).ino).toBe((await stat(join(folder, "unet/weights.pb"))).ino);
  });

  it("may be a branch with a slash in its name, or a single network without model_index.json", async () => {
    server.models["acme/controlnet"] = {
      commits: { [first]: { "config.json": "{}", "model.onnx": split, "weights.pb": weights } },
      refs: { main: first },
    };
    expect(await resolveHubModel("hub:acme/tiny@fp16/test", options)).toContain(first);
    expect(await filesIn(await resolveHubModel("hub:acme/controlnet", options))).toEqual([
      "config.json",
      "model.onnx",
      "weights.pb",
    ]);
  });

  it("opens and generates as the folder that was published", async () => {
    const published = await mkdtemp(join(tmpdir(), "published-"));
    try {
      await writeSmallPipeline(published);
      const paths = (await readdir(published, { recursive: true, withFileTypes: true })).filter((e) => e.isFile());
      const files = await Promise.all(
        paths.map(
          async (e) => [relative(published, join(e.parentPath, e.name)), await readFile(join(e.parentPath, e.name))] as const,
        ),
      );
      server.models["acme/sd"] = { commits: { [first]: Object.fromEntries(files) }, refs: { main: first } };
      const [own, downloaded] = await Promise.all([load(published), load(await resolveHubModel("hub:acme/sd", options))]);
      expect(downloaded.digest).toBe(own.digest);
      const [a, b] = [own, downloaded].map((pipe) => pipe.generate("a photo of a cat", { steps: 2, seed: 1 }));
      expect((await b!).images[0]!.pixels).toEqual((await a!).images[0]!.pixels);
    } finally {
      await rm(published, { recursive: true });
    }
  });

  it("is told from other sources by how it is written", async () => {
    for (const source of [
      "acme/tiny",
      "hub:tiny",
      "hub:acme/../tiny",
      "hub:../..",
      "hub:acme/tiny@a@b",
      "hub:acme/tiny@../x",
      "hub:a/b/c",
    ]) {
      await expect(resolveHubModel(source, options)).rejects.toThrow(TypeError);
    }
    expect(server.log).toEqual([]);
  });
});

describe("variants of a network", () => {
  const half = Buffer.concat([whole, Buffer.from([])]);
  const commits = {
    [first]: {
      "unet/model.onnx": whole,
      "unet/model_fp16.onnx": split,
      "unet/weights.pb": weights,
      "vae_decoder/model.onnx": half,
    },
  };

  it("are chosen by option and take the plain one's name; networks without it stay plain", async () => {
    server.models["acme/tiny"] = { commits, refs: { main: first } };
    const plain = await resolveHubModel("hub:acme/tiny", options);
    const fp16 = await resolveHubModel("hub:acme/tiny", { ...options, variant: "fp16" });
    expect(new Uint8Array(await readFile(join(plain, "unet/model.onnx")))).toEqual(whole);
    expect(new Uint8Array(await readFile(join(fp16, "unet/model.onnx")))).toEqual(split);
    expect(await filesIn(fp16)).toEqual(["unet/model.onnx", "unet/weights.pb", "vae_decoder/model.onnx"]);
  });

  it("that do not exist are refused, naming those that do", async () => {
    server.models["acme/tiny"] = { commits, refs: { main: first } };
    const { reason, message } = await failure("hub:acme/tiny", { variant: "int8" });
    expect(reason).toBe("no-model");
    expect(message).toBe('hub:acme/tiny: has no variant "int8"; it has the plain one, "fp16"');
  });

  it("must be chosen among where none is plain", async () => {
    const files = { "model_q4.onnx": whole, "model_fp16.onnx": whole };
    server.models["acme/tiny"] = { commits: { [first]: files }, refs: { main: first } };
    expect((await failure("hub:acme/tiny")).message).toMatch(/several variants of model\.onnx, pass one of "q4", "fp16"/);
    const only = { "model_fp16.onnx": whole };
    server.models["acme/only"] = { commits: { [first]: only }, refs: { main: first } };
    expect(await filesIn(await resolveHubModel("hub:acme/only", options))).toEqual(["model.onnx"]);
  });

  it("need networks in ONNX format in the first place", async () => {
    const files = { "config.json": "{}", "model.safetensors": "x" };
    server.models["acme/tiny"] = { commits: { [first]: files }, refs: { main: first } };
    expect((await failure("hub:acme/tiny")).message).toMatch(
      /found only PyTorch's \(\.safetensors\); export it with "optimum-cli export onnx/,
    );
  });
});

describe("an interrupted download", () => {
  const name = "unet/weights.pb";
  const cut = (after: number) => ({ kind: "cut", after, times: 1 }) as const;
  const ranges = (): (string | undefined)[] =>
    server.log.filter((r) => r.host === "cdn" && r.path.endsWith("weights.pb")).map((r) => r.range);
  const parts = async (): Promise<string[]> =>
    (await readdir(join(cacheFolder, "acme--tiny/blobs"))).filter((file) => file.endsWith(".part"));

  it("is continued by the next call from the byte where it broke off", async () => {
    server.faults[name] = cut(100_000);
    expect((await failure("hub:acme/tiny")).reason).toBe("unreachable");
    const [part] = await parts();
    const { size } = await stat(join(cacheFolder, "acme--tiny/blobs", part!));
    expect(size).toBe(100_000);
    const folder = await resolveHubModel("hub:acme/tiny", options);
    expect(ranges()).toEqual([undefined, "bytes=100000-"]);
    expect(new Uint8Array(await readFile(join(folder, name)))).toEqual(weights);
    expect(await parts()).toEqual([]);
  });

  it("is continued within one call as often as asked", async () => {
    server.faults[name] = cut(100_000);
    await resolveHubModel("hub:acme/tiny", { ...options, retries: 1 });
    expect(ranges()).toEqual([undefined, "bytes=100000-"]);
  });

  it("is taken over from a process that is gone, not from one that runs", async () => {
    server.faults[name] = cut(100_000);
    await failure("hub:acme/tiny");
    const blobs = join(cacheFolder, "acme--tiny/blobs");
    const [part] = await parts();
    const half = await readFile(join(blobs, part!));
    await rm(join(blobs, part!));
    const digest = part!.split(".")[0];
    await writeFile(join(blobs, `${digest}.${2 ** 30}.part`), half); // above every system's highest process number
    await writeFile(join(blobs, `${digest}.${process.ppid}.part`), "other");
    await resolveHubModel("hub:acme/tiny", options);
    expect(ranges().at(-1)).toBe("bytes=100000-");
    expect(await parts()).toEqual([`${digest}.${process.ppid}.part`]);
  });

  it("starts over where the server does not know ranges, or the partial file holds something else or too much", async () => {
    for (const damage of ["no-ranges", "other bytes", "too many bytes"]) {
      await rm(join(cacheFolder, "acme--tiny"), { recursive: true, force: true });
      server.faults[name] = cut(100_000);
      await failure("hub:acme/tiny");
      const path = join(cacheFolder, "acme--tiny/blobs", (await parts())[0]!);
      if (damage === "no-ranges") server.faults[name] = { kind: "no-ranges" };
      if (damage === "other bytes") await writeFile(path, randomBytes(1000));
      if (damage === "too many bytes") await truncate(path, 400_000);
      const folder = await resolveHubModel("hub:acme/tiny", options);
      expect(new Uint8Array(await readFile(join(folder, name)))).toEqual(weights);
      delete server.faults[name];
    }
  });

  it("by a signal throws its reason, keeps what came and leaves no snapshot", async () => {
    let release = (): void => {};
    server.hold = new Promise<void>((done) => {
      release = done;
    });
    const stop = new AbortController();
    const onProgress = ({ file, receivedBytes }: HubProgress): void => {
      if (file === name && receivedBytes > 0) stop.abort(new Error("enough"));
    };
    server.models["acme/tiny"] = { commits: { [first]: { "unet/model.onnx": split, [name]: weights } }, refs: { main: first } };
    setTimeout(release, 300);
    await expect(resolveHubModel("hub:acme/tiny", { ...options, onProgress, signal: stop.signal })).rejects.toThrow("enough");
    expect(await parts()).toHaveLength(1);
    expect(await readdir(join(cacheFolder, "acme--tiny/snapshots"))).toEqual([]);
    server.hold = undefined;
    await resolveHubModel("hub:acme/tiny", options);
    expect(ranges().at(-1)).toMatch(/^bytes=[1-9]/);
  });
});

describe("content", () => {
  it.each([
    ["corrupt", "unet/weights.pb", "corrupt", /not what the hub lists \(SHA-256 [0-9a-f]{64}\)/],
    ["corrupt", "model_index.json", "corrupt", /not what the hub lists \(Git's SHA-1 [0-9a-f]{40}\)/],
    ["longer", "unet/weights.pb", "corrupt", /more came than the 300000 bytes listed/],
    ["shorter", "unet/weights.pb", "unreachable", /ended after 299999 of 300000 bytes/],
    ["error", "unet/weights.pb", "server", /answered 503/],
  ] as const)("that is %s (%s) is refused as %s", async (kind, path, reason, message) => {
    server.faults[path] = { kind };
    const error = await failure("hub:acme/tiny");
    expect(error.reason).toBe(reason);
    expect(error.message).toMatch(message);
    expect(await readdir(join(cacheFolder, "acme--tiny/snapshots"))).toEqual([]);
    if (reason === "corrupt") {
      expect((await readdir(join(cacheFolder, "acme--tiny/blobs"))).filter((file) => file.endsWith(".part"))).toEqual([]);
    }
  });

  it("that was lost from a snapshot is made good", async () => {
    const folder = await resolveHubModel("hub:acme/tiny", options);
    await chmod(join(folder, "unet/weights.pb"), 0o644);
    await truncate(join(folder, "unet/weights.pb"), 5);
    expect((await failure("hub:acme/tiny", { offline: true })).reason).toBe("offline");
    expect(await resolveHubModel("hub:acme/tiny", options)).toBe(folder);
    expect(new Uint8Array(await readFile(join(folder, "unet/weights.pb")))).toEqual(weights);
  });
});

describe("hostile listings", () => {
  const sha1 = "a".repeat(40);
  it.each([
    "../outside.json",
    "unet/../../outside.json",
    "/etc/outside.json",
    "unet\\..\\outside.json",
    "C:/outside.json",
    "unet/./a.json",
    "unet//a.json",
    "con.json",
    "unet/nul.json",
    "a\0.json",
    "x. /a.json",
    "a:b.json",
    `${"n".repeat(256)}.json`,
  ])("with the path %j are refused", async (path) => {
    server.models["acme/tiny"] = { ...server.models["acme/tiny"]!, listed: [{ type: "file", path, size: 2, oid: sha1 }] };
    expect((await failure("hub:acme/tiny")).reason).toBe("unsafe-path");
    expect(await filesIn(cacheFolder)).toEqual([]);
  });

  it.each([
    ["UNET/config.json", /some systems hold for one/],
    ["unet/config.json/a.json", /unet\/config\.json as a file and as a folder/],
  ])("with %s beside unet/config.json are refused", async (path, message) => {
    server.models["acme/tiny"] = { ...server.models["acme/tiny"]!, listed: [{ type: "file", path, size: 2, oid: sha1 }] };
    expect((await failure("hub:acme/tiny")).message).toMatch(message);
  });

  it.each([
    [{ size: -1, oid: sha1 }, "corrupt"],
    [{ size: 2 }, "corrupt"],
    [{ size: 2, oid: "../../outside" }, "corrupt"],
    [{ size: 2, oid: sha1, xetHash: "b".repeat(64) }, "corrupt"],
    [{ size: 2, oid: sha1, lfs: { oid: sha1, size: 2 } }, "corrupt"],
    [{ size: Number.MAX_SAFE_INTEGER, oid: sha1 }, "no-space"],
  ])("with an entry %j are refused", async (entry, reason) => {
    server.models["acme/tiny"] = { ...server.models["acme/tiny"]!, listed: [{ type: "file", path: "a.json", ...entry }] };
    expect((await failure("hub:acme/tiny")).reason).toBe(reason);
  });

  it("are read no further where a network refers to data outside the repository", async () => {
    const files = {
      "unet/model.onnx": network({ kind: "external", location: "../../secret", offset: 0, length: 8 }),
      "unet/x.pb": "x",
    };
    server.models["acme/tiny"] = { commits: { [first]: files }, refs: { main: first } };
    expect((await failure("hub:acme/tiny")).message).toMatch(/refers to "\.\.\/\.\.\/secret", which the repository lacks/);
  });
});

describe("offline", () => {
  it.each(["HF_HUB_OFFLINE", "TWEEDIE_OFFLINE"])("%s=1 opens what was downloaded, without any request", async (name) => {
    const folder = await resolveHubModel("hub:acme/tiny", options);
    server.log.length = 0;
    vi.stubEnv(name, "1");
    expect(await resolveHubModel("hub:acme/tiny", options)).toBe(folder);
    expect(server.log).toEqual([]);
  });

  it("says what was not downloaded and what was", async () => {
    await resolveHubModel("hub:acme/tiny", options);
    const { reason, message } = await failure("hub:acme/tiny@v2", { offline: true });
    expect(reason).toBe("offline");
    expect(message).toContain(`v2 was not downloaded (${join(cacheFolder, "acme--tiny")} has ${first})`);
    expect((await failure("hub:acme/other", { offline: true })).message).toMatch(/has no download of it/);
  });

  it("without meaning to be, opens what was downloaded and says so", async () => {
    const folder = await resolveHubModel("hub:acme/tiny", options);
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    server.close();
    expect(await resolveHubModel("hub:acme/tiny", options)).toBe(folder);
    expect(warn.mock.calls).toEqual([
      [expect.stringMatching(/cannot be reached \(ECONNREFUSED\); opening main as it was on .* \(commit 111111111111\)/)],
    ]);
    expect((await failure("hub:acme/other")).reason).toBe("unreachable");
  });
});

describe("access", () => {
  const token = "hf_secret";

  it("to a private or gated model is by HF_TOKEN, which no other host is sent", async () => {
    server.models["acme/tiny"] = { ...server.models["acme/tiny"]!, privateTo: token, gatedTo: token };
    vi.stubEnv("HF_TOKEN", token);
    vi.stubEnv("HF_ENDPOINT", `${server.endpoint}/`);
    await resolveHubModel("hub:acme/tiny", { cacheFolder });
    const sent = (host: string): Set<string | undefined> =>
      new Set(server.log.filter((r) => r.host === host).map((r) => r.authorization));
    expect(sent("hub")).toEqual(new Set([`Bearer ${token}`]));
    expect(sent("cdn")).toEqual(new Set([undefined]));
  });

  it.each([
    [undefined, /gated .* \(401\); accept its terms at http.*acme\/tiny, set HF_TOKEN to a token of that account/],
    ["hf_other", /gated .* \(403\); accept its terms at http.*acme\/tiny, HF_TOKEN must be a token of that account/],
  ])("to a gated model with token %s says what to do and no token", async (other, message) => {
    server.models["acme/tiny"] = { ...server.models["acme/tiny"]!, gatedTo: token };
    const error = await failure("hub:acme/tiny", other === undefined ? {} : { token: other });
    expect(error.reason).toBe("no-access");
    expect(error.message).toMatch(message);
    expect(JSON.stringify([error.stack, error])).not.toContain("hf_");
  });

  it("with something that cannot be a token is refused without repeating it", async () => {
    const error = await resolveHubModel("hub:acme/tiny", { ...options, token: "hf_se\ncret" }).catch((e: Error) => e);
    expect(error).toBeInstanceOf(TypeError);
    expect(String(error)).not.toContain("hf_");
  });

  it.each([
    ["hub:acme/tinny", "not-found", /there is no such model; if it is private, set HF_TOKEN; did you mean "acme\/tiny"\?/],
    ["hub:acne/tiny", "not-found", /did you mean "acme\/tiny"\?/],
    ["hub:acme/tiny@mian", "no-revision", /has no revision "mian"; did you mean "main"\?/],
    [`hub:acme/tiny@${second}`, "no-revision", /has no revision "2{40}"; check the spelling/],
  ])("to %s, which does not exist, is %s", async (source, reason, message) => {
    const error = await failure(source);
    expect(error.reason).toBe(reason);
    expect(error.message).toMatch(message);
  });
});

describe("callers at once", () => {
  it("of one model download it once between them", async () => {
    const folders = await Promise.all(Array.from({ length: 5 }, () => resolveHubModel("hub:acme/tiny", options)));
    expect(new Set(folders).size).toBe(1);
    expect(new Set(server.downloads).size).toBe(server.downloads.length);
  });

  it("are not ended by one that gives up, nor held by another's download", async () => {
    let release = (): void => {};
    server.hold = new Promise<void>((done) => {
      release = done;
    });
    const stop = new AbortController();
    const calls = [
      resolveHubModel("hub:acme/tiny", options),
      resolveHubModel("hub:acme/tiny", { ...options, signal: stop.signal }),
      resolveHubModel("hub:acme/tiny", options),
    ];
    stop.abort(new Error("enough"));
    await expect(calls[1]).rejects.toThrow("enough");
    release();
    expect(await calls[0]).toBe(await calls[2]);
  });
});

describe("progress", () => {
  it("counts each file's bytes and the model's up to their totals", async () => {
    const seen: HubProgress[] = [];
    await resolveHubModel("hub:acme/tiny", { ...options, onProgress: (p) => seen.push(p) });
    const ofWeights = seen.filter((p) => p.file === "unet/weights.pb");
    expect(ofWeights[0]).toMatchObject({ receivedBytes: 0, totalBytes: 300_000 });
    expect(ofWeights.at(-1)).toMatchObject({ receivedBytes: 300_000 });
    const last = seen.at(-1)!;
    expect(last.modelReceivedBytes).toBe(last.modelTotalBytes);
    expect(last.modelTotalBytes).toBe(
      300_000 + split.length + whole.length + 2 + '{"_class_name": "StableDiffusionPipeline"}'.length,
    );
  });
});

describe("hubCacheFolder", () => {
  it("is under TWEEDIE_HOME, XDG_CACHE_HOME or the home folder, in this order", () => {
    expect(hubCacheFolder({ TWEEDIE_HOME: "/big", XDG_CACHE_HOME: "/cache" })).toBe(join("/big", "hub"));
    expect(hubCacheFolder({ XDG_CACHE_HOME: "/cache" })).toBe(join("/cache", "tweedie", "hub"));
    expect(hubCacheFolder({})).toMatch(/\.cache.tweedie.hub$/);
  });
});
