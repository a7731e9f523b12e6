import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { type HubProgress, hubCacheFolder, resolveHubModel } from "../../../../../lib/diffusion/formats/hub/index.js";
import { load } from "../../../../../lib/diffusion/formats/index.js";
import { writeSmallPipeline } from "../../pipelines/small-pipeline.js";
import {
  cacheFolder,
  failure,
  filesIn,
  first,
  needed,
  options,
  pipeline,
  second,
  server,
  split,
  weights,
  whole,
} from "./hub-fixture.js";

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
