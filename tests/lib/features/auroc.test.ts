import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  auroc,
  aurocInterval,
  conceptsOf,
  detection,
  featureAuroc,
  featureAurocs,
  searchFeatures,
} from "../../../lib/features/index.js";
import { SparseCodes } from "../../../lib/sae/index.js";
import { float32, Rng } from "../../../lib/tensor/index.js";

/** Codes [60, 6] with many ties, a dead and a signed feature; two sets of labels; scikit-learn 1.2.1's `roc_auc_score`. */
const golden = JSON.parse(readFileSync("tests/golden/auroc.json", "utf8")) as {
  codes: number[];
  labels: number[][];
  auroc: number[][];
};
const codes = float32(golden.codes, [60, 6]);

describe("auroc", () => {
  it("counts pairs: ties are half a win", () => {
    // Positives 3, 1, 1; negatives 2, 1, 0: wins 3 + 1.5 + 1.5 of 9.
    expect(auroc([3, 1, 1, 2, 1, 0], [1, 1, 1, 0, 0, 0])).toBeCloseTo(6 / 9, 15);
    expect(auroc([0, 0, 5, 5], [false, false, true, true])).toBe(1);
    expect(auroc([0, 0, -5, -5], [false, false, true, true])).toBe(0);
    expect(auroc([7, 7, 7], [1, 0, 0])).toBe(0.5);
    expect(auroc([1, 2], [1, 1])).toBeNaN();
    expect(() => auroc([1, 2], [1])).toThrow(/expected 2 labels/);
  });
});

describe("featureAurocs", () => {
  it("are scikit-learn's, with zeros as one tie", () => {
    featureAurocs(codes, golden.labels).forEach((areas, l) => {
      areas.forEach((area, f) => {
        expect(area).toBeCloseTo(golden.auroc[l]![f]!, 13);
      });
    });
  });

  it("are the same from sparse codes", async () => {
    const positive = float32(
      codes.data.map((v) => Math.max(v, 0)),
      codes.shape,
    );
    async function* parts(): AsyncGenerator<Float32Array> {
      yield positive.data;
    }
    const sparse = await SparseCodes.fromDense(6, parts());
    expect([...featureAuroc(sparse, golden.labels[0]!)]).toEqual([...featureAuroc(positive, golden.labels[0]!)]);
  });
});

describe("aurocInterval", () => {
  it("solves Newcombe's equation", () => {
    // Solved independently by bisection in Python.
    const cases = [
      [0.5, 50, 50, 0.38966736752339853, 0.6103326324766014],
      [1, 10, 10, 0.8002136128811059, 1],
      [0.9, 30, 70, 0.8061200148894283, 0.9490713346115858],
      [0.9, 5, 500, 0.6620364122965529, 0.9729565365716238],
    ] as const;
    for (const [area, positives, negatives, low, high] of cases) {
      const interval = aurocInterval(area, positives, negatives);
      expect(interval.low).toBeCloseTo(low, 12);
      expect(interval.high).toBeCloseTo(high, 12);
    }
    expect(aurocInterval(Number.NaN, 0, 5)).toEqual({ low: 0, high: 1 });
  });

  it("covers the true area about as often as it says", () => {
    // Normal scores one apart: the true area is Φ(1/√2).
    const truth = 0.7602499389065233;
    const rng = new Rng(1);
    let covered = 0;
    for (let trial = 0; trial < 400; trial++) {
      const scores = Array.from({ length: 60 }, (_, i) => rng.normal() + (i < 20 ? 1 : 0));
      const labels = scores.map((_, i) => i < 20);
      const { low, high } = aurocInterval(auroc(scores, labels), 20, 40);
      if (low <= truth && truth <= high) covered++;
    }
    expect(covered / 400).toBeGreaterThan(0.92);
    expect(covered / 400).toBeLessThan(0.98);
  });
});

describe("searchFeatures", () => {
  const rng = new Rng(9);
  const colours = Array.from({ length: 120 }, () => rng.choice(["red", "green", "blue"]));
  // Feature 3 fires on red, feature 5 mostly on blue, the other 198 at random.
  const planted = float32(
    Float32Array.from({ length: 120 * 200 }, (_, i) => {
      const [image, feature] = [Math.floor(i / 200), i % 200];
      const noise = Math.max(0, rng.normal() - 0.5);
      if (feature === 3) return colours[image] === "red" ? 2 + noise : 0;
      if (feature === 5) return noise + (colours[image] === "blue" ? 1 : 0);
      return noise;
    }),
    [120, 200],
  );
  const found = searchFeatures({ codes: planted, concepts: conceptsOf({ colour: colours }), seed: 1 });

  it("finds planted features and scores them on pictures that had no part in the choice", () => {
    expect(found.map((f) => f.concept)).toEqual(["colour = blue", "colour = green", "colour = red"]);
    const [blue, green, red] = found as [(typeof found)[0], (typeof found)[0], (typeof found)[0]];
    expect([red.feature, red.trainAuroc, red.auroc]).toEqual([3, 1, 1]);
    expect(red.low).toBeGreaterThan(0.85);
    expect(red.positives + red.negatives).toBe(60);
    expect([blue.feature, blue.candidates[0]!.feature]).toEqual([5, 5]);
    expect(blue.auroc).toBeGreaterThan(0.8);
    // The best of 200 random features looks good where it was chosen, and only there.
    expect(green.trainAuroc).toBeGreaterThan(0.65);
    expect(green.low).toBeLessThan(0.5);
  });

  it("tells what else the feature detects, on the held-out pictures", () => {
    const red = found[2]!;
    expect(red.perConcept.map((c) => c.name)).toEqual(["colour = blue", "colour = green", "colour = red"]);
    expect(red.perConcept[2]!.auroc).toBe(red.auroc);
    expect(red.perConcept[0]!.auroc).toBeLessThan(0.5);
    const { auroc: area, low, high, positives } = detection(planted, red.feature, conceptsOf({ colour: colours })[2]!);
    expect([area, high, positives]).toEqual([1, 1, colours.filter((c) => c === "red").length]);
    expect(low).toBeGreaterThan(red.low);
    expect(() => detection(planted, 200, conceptsOf({ colour: colours })[0]!)).toThrow(/0…199, got 200/);
  });

  it("selects on the pictures it is told to, and scores on all others", () => {
    // Feature 0 is right on the first half only, feature 1 on the second only.
    const present = [1, 0, 1, 0, 1, 0, 1, 0];
    const codes = float32(
      present.flatMap((p, i) => (i < 4 ? [p, 1 - p] : [1 - p, p])),
      [8, 2],
    );
    const concepts = [{ name: "c", present }];
    expect(searchFeatures({ codes, concepts, selectOn: [0, 1, 2, 3] })[0]).toMatchObject({ feature: 0, trainAuroc: 1, auroc: 0 });
    expect(searchFeatures({ codes, concepts, selectOn: [4, 5, 6, 7] })[0]).toMatchObject({ feature: 1, trainAuroc: 1, auroc: 0 });
    expect(() => searchFeatures({ codes, concepts, selectOn: [8] })).toThrow(/0…7, got 8/);
    expect(() => searchFeatures({ codes, concepts, selectOn: [] })).toThrow(/some but not all .* got 0 of 8/);
  });

  it("keeps pictures of one group on one side", () => {
    // The code tells groups apart perfectly, so only a split by group shows that it says nothing about the concept.
    const groups = Array.from({ length: 40 }, (_, i) => i >> 1);
    const [one] = searchFeatures({
      codes: float32(
        groups.map((g) => g % 2),
        [40, 1],
      ),
      concepts: [{ name: "odd", present: groups.map((g) => g % 2) }],
      groups,
      trainShare: 0.25,
    });
    expect(one!.positives + one!.negatives).toBe(30);
    expect(one!.auroc).toBe(1);
  });

  it("refuses what cannot be split", () => {
    const concepts = [{ name: "all", present: [1, 0] }];
    expect(() => searchFeatures({ codes: float32([1, 0], [2, 1]), concepts, trainShare: 1 })).toThrow(/nothing to score on/);
    expect(() => searchFeatures({ codes: float32([1, 0, 1], [3, 1]), concepts })).toThrow(/all has 2 labels for 3 pictures/);
  });
});
