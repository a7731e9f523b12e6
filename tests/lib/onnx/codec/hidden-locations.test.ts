import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadModel, ModelFormatError } from "../../../../lib/onnx/index.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tweedie-hidden-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A length-delimited field. */
function field(number: number, content: Uint8Array | string): Buffer {
  const bytes = Buffer.from(content);
  const varint = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >> 7)]);
  return Buffer.concat([Buffer.from([...varint(number * 8 + 2), ...varint(bytes.length)]), bytes]);
}

const entry = (key: string, value: string): Buffer => field(13, Buffer.concat([field(1, key), field(2, value)]));
const tensor = (type: number): Buffer =>
  Buffer.concat([Buffer.from([8, 2, 16, type]), field(8, "w"), entry("location", "../secret"), Buffer.from([112, 1])]);
const attribute = (content: Buffer): Buffer => field(5, Buffer.concat([field(1, "value"), content]));
const graph = (content: Buffer): Buffer => field(7, content);

describe("files that a model refers to out of sight", () => {
  const cases: readonly [string, Buffer][] = [
    ["an initializer of 4-bit integers", graph(field(5, tensor(22)))],
    ["an initializer of strings", graph(field(5, tensor(8)))],
    ["a sparse initializer", graph(field(15, field(1, tensor(1))))],
    ["a list of tensors in an attribute", graph(field(1, attribute(field(10, tensor(1)))))],
    ["a sparse tensor in an attribute", graph(field(1, attribute(field(22, field(1, tensor(1))))))],
    [
      "a constant inside a function",
      Buffer.concat([graph(Buffer.alloc(0)), field(25, field(7, attribute(field(5, tensor(1)))))]),
    ],
    [
      "a tensor in a branch",
      graph(field(1, attribute(Buffer.concat([field(6, field(5, tensor(23))), Buffer.from([0xa0, 1, 5])])))),
    ],
  ];
  it.each(cases)("are refused: %s", async (_, bytes) => {
    const path = join(folder, "model.onnx");
    await writeFile(path, bytes);
    await expect(loadModel(path)).rejects.toThrow(ModelFormatError);
    await expect(loadModel(path)).rejects.toThrow(/in the file "\.\.\/secret"; keep it in the model/);
  });
  it("are not seen in text", async () => {
    const path = join(folder, "model.onnx");
    await writeFile(path, Buffer.concat([field(6, 'def f(location="../secret"): pass'), graph(field(10, "location ../secret"))]));
    await expect(loadModel(path)).resolves.toBeDefined();
  });
});
