import { randomBytes } from "node:crypto";
import { chmod, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type HubProgress, resolveHubModel } from "../../../../../lib/diffusion/formats/hub/index.js";
import { cacheFolder, failure, filesIn, first, network, options, server, split, weights } from "./hub-fixture.js";

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
