import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { saveModel } from "../../../lib/onnx/index.js";
import { Classifier, ClassifierFolderError } from "../../../lib/predictors/index.js";
import { GraphBuilder } from "../../../lib/program/index.js";
import { float32, zeros } from "../../../lib/tensor/index.js";

const heads = [
  { name: "channel", labels: ["red", "green", "blue"] },
  { name: "bright", labels: ["red", "green", "blue"], multiLabel: true },
];
let folder: string;

/** Logits are ten times the mean of each channel. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "classifier-"));
  const g = new GraphBuilder();
  const images = g.input("images", "float32", ["batch", 3, 2, 2]);
  const means = images.mean([2, 3]).mul(10);
  for (const { name } of heads) g.output(means, name);
  await saveModel(g.model(), join(folder, "model.onnx"));
  await writeFile(join(folder, "config.json"), JSON.stringify({ image_size: 2, heads }));
});
afterAll(() => rm(folder, { recursive: true }));

/** Pictures of one colour each. */
function plain(...colours: readonly (readonly number[])[]): ReturnType<typeof float32> {
  return float32(
    colours.flatMap((colour) => colour.flatMap((value) => [value, value, value, value])),
    [colours.length, 3, 2, 2],
  );
}

describe("Classifier", () => {
  it("names the label with the largest logit, whatever the batch size", async () => {
    await using classifier = await Classifier.open(folder);
    const images = plain([1, 0, -1], [-1, 0, 1], [0, 0.5, 0]);
    for (const batch of [1, 2, 256]) {
      const { channel } = await classifier.classify(images, { batch });
      expect(channel!.top).toEqual(["red", "blue", "green"]);
    }
  });

  it("gives a softmax for exclusive labels and a sigmoid for independent ones", async () => {
    await using classifier = await Classifier.open(folder);
    const { channel, bright } = await classifier.classify(plain([0.1, 0, 0]));
    const e = Math.E;
    [e / (e + 2), 1 / (e + 2), 1 / (e + 2)].forEach((p, i) => {
      expect(channel!.probabilities.data[i]).toBeCloseTo(p, 6);
    });
    [e / (e + 1), 0.5, 0.5].forEach((p, i) => {
      expect(bright!.probabilities.data[i]).toBeCloseTo(p, 6);
    });
  });

  it("refuses pictures of another size and questions it was not trained for", async () => {
    await using classifier = await Classifier.open(folder);
    await expect(classifier.classify(zeros([1, 3, 4, 4]))).rejects.toThrow(RangeError);
    await expect(classifier.classify(zeros([1, 3, 2, 2]), { heads: ["size"] })).rejects.toThrow(/no head "size"; it has channel/);
  });

  it("refuses a folder whose parts do not belong together", async () => {
    const other = await mkdtemp(join(tmpdir(), "classifier-"));
    await saveModel(new GraphBuilder().model(), join(other, "model.onnx")).catch(() => undefined);
    await writeFile(join(other, "config.json"), JSON.stringify({ image_size: 2 }));
    await expect(Classifier.open(other)).rejects.toThrow(ClassifierFolderError);
    await rm(other, { recursive: true });
  });
});
