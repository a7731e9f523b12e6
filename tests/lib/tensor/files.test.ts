import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  bfloat16ToFloat32,
  decodePng,
  encodeNpy,
  encodePng,
  FormatError,
  float16ToFloat32,
  float32,
  float32ToBfloat16,
  float32ToFloat16,
  int64,
  openSafetensors,
  type Picture,
  Rng,
  readNpy,
  readSafetensors,
  scalar,
  Tensor,
  toFloat32,
  writeFileAtomic,
  writeSafetensors,
} from "../../../lib/tensor/index.js";
import golden from "../../golden/tensor-files.json" with { type: "json" };

const bytesOf = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, "base64"));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tensor-files-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("half floats", () => {
  it("round as numpy and ml_dtypes do", () => {
    const values = Float32Array.from(golden.half.float32);
    expect([...float32ToFloat16(values)]).toEqual(golden.half.float16);
    expect([...float32ToBfloat16(values)]).toEqual(golden.half.bfloat16);
  });

  it("make scalars of numbers, rounded", () => {
    expect(scalar(0.333251953125, "float16").data[0]).toBe(0x3555);
    expect(scalar(1, "bfloat16").data[0]).toBe(0x3f80);
  });

  it("return every float16 pattern through float32, NaN as NaN", () => {
    const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const values = float16ToFloat32(all);
    const back = float32ToFloat16(values);
    const isNan = (half: number): boolean => (half & 0x7fff) > 0x7c00;
    expect(all.filter((i) => (isNan(i) ? !(Number.isNaN(values[i]) && isNan(back[i]!)) : back[i] !== i))).toEqual(
      new Uint16Array(),
    );
    // sign, exponent 2^(e−15), fraction: 0x3555 = 1.0101010101₂ · 2⁻²
    expect(values[0x3555]).toBe(0.333251953125);
    expect(values[0x0001]).toBe(2 ** -24);
    expect(values[0xfbff]).toBe(-65504);
  });

  it("return every bfloat16 pattern through float32", () => {
    const all = Uint16Array.from({ length: 65536 }, (_, i) => i).filter((i) => (i & 0x7fff) <= 0x7f80);
    expect(float32ToBfloat16(bfloat16ToFloat32(all))).toEqual(all);
    expect(float32ToBfloat16(Float32Array.of(Number.NaN))[0]! & 0x7fff).toBeGreaterThan(0x7f80);
  });

  it("become float32 tensors, as every dtype does", () => {
    expect(toFloat32(new Tensor("float16", Uint16Array.of(0x3c00, 0xc000), [2]))).toEqual(float32([1, -2]));
    expect(toFloat32(int64([3, -4]))).toEqual(float32([3, -4]));
  });
});

describe("npy", () => {
  it.each(golden.npy)("reads numpy's $name", ({ shape, values, bytes }) => {
    const tensor = readNpy(bytesOf(bytes));
    expect(tensor.shape).toEqual(shape);
    expect(Array.from(tensor.data as ArrayLike<number | bigint>, (v) => (typeof v === "bigint" ? `${v}` : v))).toEqual(values);
  });

  it("writes what numpy writes, byte for byte", () => {
    for (const name of ["float32", "int64", "uint8 scalar", "bool", "empty"]) {
      const { bytes } = golden.npy.find((one) => one.name === name)!;
      expect(encodeNpy(readNpy(bytesOf(bytes)))).toEqual(bytesOf(bytes));
    }
  });

  it("refuses other bytes, truncated data and dtypes without a match", () => {
    const good = encodeNpy(float32([1, 2]));
    expect(() => readNpy(good.subarray(0, good.length - 1))).toThrow(FormatError);
    expect(() => readNpy(good.subarray(0, 30))).toThrow(FormatError);
    expect(() => readNpy(Uint8Array.from([1, 2, 3]))).toThrow(/magic/);
    const complex = new TextDecoder("latin1").decode(good).replace("<f4", "<c8");
    expect(() => readNpy(Uint8Array.from(Buffer.from(complex, "latin1")))).toThrow(/c8/);
    expect(() => encodeNpy(new Tensor("bfloat16", new Uint16Array(1), [1]))).toThrow(TypeError);
  });
});

describe("safetensors", () => {
  const tensors = {
    "b.weight": float32([0, 1, 2, 3, 4, 5], [2, 3]),
    "a.ids": int64([1, 2 ** 40]),
    mask: new Tensor("bool", Uint8Array.of(1, 0, 1), [3]),
    half: new Tensor("float16", Uint16Array.of(0x3e00, 0xc000), [2]),
    "a.bias": float32([0.5]),
  };

  it("reads a file of the reference implementation", () => {
    const file = readSafetensors(bytesOf(golden.safetensors));
    expect(file.metadata).toEqual({ format: "np" });
    expect(file.tensors).toEqual(tensors);
  });

  it("writes the reference implementation's bytes", async () => {
    const path = join(folder, "golden.safetensors");
    await writeSafetensors(path, tensors, { format: "np" });
    expect(Buffer.from(await readFile(path)).toString("base64")).toBe(golden.safetensors);
  });

  it("reads one tensor of an open file, and names the ones there are when asked for another", async () => {
    const path = join(folder, "lazy.safetensors");
    await writeSafetensors(path, { ...tensors, scalar: scalar(7), empty: float32([], [0, 4]) });
    await using file = await openSafetensors(path);
    expect([...file.names].sort()).toEqual([...Object.keys(tensors), "empty", "scalar"].sort());
    expect(file.describe("half")).toEqual({ dtype: "float16", shape: [2] });
    expect(await file.read("b.weight")).toEqual(tensors["b.weight"]);
    expect(await file.read("scalar")).toEqual(scalar(7));
    expect((await file.read("empty")).shape).toEqual([0, 4]);
    await expect(file.read("c")).rejects.toThrow(/no tensor "c"; it has/);
  });

  it("reads tensors that lie unaligned, from bytes and from a path", async () => {
    // A header of odd length puts float32 data at an odd offset.
    const bytes = withHeader({ a: entry(0, 4) }, 4);
    const odd = bytes.length % 4 === 0 ? withHeader({ ab: entry(0, 4) }, 4) : bytes;
    odd.set([0, 0, 0x80, 0x3f], odd.length - 4);
    const path = join(folder, "odd.safetensors");
    await writeFile(path, odd);
    for (const source of [odd, Buffer.from(odd), path]) {
      expect(Array.from(Object.values(readSafetensors(source).tensors)[0]!.data as Float32Array)).toEqual([1]);
    }
  });

  it("keeps names that are special to JavaScript", async () => {
    const path = join(folder, "names.safetensors");
    await writeSafetensors(
      path,
      Object.fromEntries([
        ["__proto__", float32([1])],
        ["constructor", float32([2])],
      ]),
    );
    const { tensors: read } = readSafetensors(path);
    expect(Object.keys(read).sort()).toEqual(["__proto__", "constructor"]);
  });

  const withHeader = (header: unknown, dataBytes: number): Uint8Array => {
    const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
    const bytes = new Uint8Array(8 + json.length + dataBytes);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
    bytes.set(json, 8);
    return bytes;
  };
  const entry = (start: number, end: number, shape: unknown = [1], dtype = "F32"): unknown => ({
    dtype,
    shape,
    data_offsets: [start, end],
  });

  it.each([
    ["an empty file", new Uint8Array(0)],
    ["a header longer than the file", Uint8Array.from([255, 0, 0, 0, 0, 0, 0, 0, 123, 125])],
    ["an absurd header length", Uint8Array.from([255, 255, 255, 255, 255, 255, 255, 255, 123, 125])],
    ["a header that is not JSON", withHeader("{nope", 0)],
    ["a header that is a list", withHeader([], 0)],
    ["data past the end", withHeader({ a: entry(0, 4) }, 3)],
    ["bytes that no tensor owns", withHeader({ a: entry(0, 4) }, 8)],
    ["a hole", withHeader({ a: entry(0, 4), b: entry(8, 12) }, 12)],
    ["an overlap", withHeader({ a: entry(0, 4), b: entry(0, 4) }, 4)],
    ["a size that differs from the shape", withHeader({ a: entry(0, 4, [2]) }, 4)],
    ["a negative dimension", withHeader({ a: entry(0, 4, [-1]) }, 4)],
    ["a size that overflows", withHeader({ a: entry(0, 4, [2 ** 40, 2 ** 40]) }, 4)],
    ["an unknown dtype", withHeader({ a: entry(0, 4, [1], "F31") }, 4)],
    ["an entry that is no entry", withHeader({ a: 3 }, 0)],
    ["metadata that is not text", withHeader({ __metadata__: { a: 1 } }, 0)],
  ])("refuses %s", async (_, bytes) => {
    expect(() => readSafetensors(bytes)).toThrow(FormatError);
    const path = join(folder, "bad.safetensors");
    await writeFile(path, bytes);
    await expect(openSafetensors(path)).rejects.toThrow(FormatError);
  });
});

describe("writeFileAtomic", () => {
  it("leaves the old file and no debris when the writing fails", async () => {
    const path = join(folder, "atomic", "file");
    await expect(writeFileAtomic(path, [])).rejects.toThrow(/ENOENT/);
    const target = join(folder, "kept");
    await writeFile(target, "old");
    const failing = function* (): Generator<Uint8Array> {
      yield Uint8Array.of(1);
      throw new Error("stopped");
    };
    await expect(writeFileAtomic(target, failing())).rejects.toThrow("stopped");
    expect(await readFile(target, "utf8")).toBe("old");
    expect((await readdir(folder)).filter((name) => name.endsWith(".part"))).toEqual([]);
  });
});

describe("png", () => {
  it.each(golden.png)("decodes Pillow's $channels-channel picture", ({ width, height, channels, pixels, bytes }) => {
    expect(decodePng(bytesOf(bytes))).toEqual({ width, height, channels, pixels: Uint8Array.from(pixels) });
  });

  it("returns what it encoded, noise and gradients, in every channel count", () => {
    const rng = new Rng(1);
    for (const channels of [1, 3, 4] as const) {
      for (const random of [true, false]) {
        const pixels = Uint8Array.from({ length: 17 * 13 * channels }, (_, i) => (random ? rng.int(256) : i >> 2));
        expect(decodePng(encodePng(pixels, 17, 13, channels))).toEqual({ width: 17, height: 13, channels, pixels });
      }
    }
  });

  it("writes a smooth picture far smaller than its pixels", () => {
    const pixels = Uint8Array.from({ length: 128 * 128 }, (_, i) => (i % 128) + (i >> 7));
    expect(encodePng(pixels, 128, 128, 1).length).toBeLessThan(pixels.length / 20);
  });

  it("refuses damaged, truncated and unsupported pictures", () => {
    const good = encodePng(new Uint8Array(12), 2, 2, 3);
    const damaged = good.slice();
    damaged[45]! ^= 1;
    expect(() => decodePng(damaged)).toThrow(/damaged/);
    for (const length of [0, 7, 20, 40, good.length - 1]) expect(() => decodePng(good.subarray(0, length))).toThrow(FormatError);
    expect(() => encodePng(new Uint8Array(5), 2, 2, 1)).toThrow(RangeError);
    const picture: Picture = decodePng(good);
    expect(picture.channels).toBe(3);
  });
});
