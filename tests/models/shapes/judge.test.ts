import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Classifier } from "../../../lib/predictors/index.js";
import { Rng } from "../../../lib/tensor/index.js";
import { captionOf, parseCaption } from "../../../models/shapes/caption.js";
import { exampleAt } from "../../../models/shapes/dataset.js";
import { judgePictures, openJudge, openShortcut, type Verdict } from "../../../models/shapes/judge.js";
import { answersOf, pairLabels, type Question, questions } from "../../../models/shapes/questions.js";
import { renderBatch } from "../../../models/shapes/render.js";
import type { Scene, SceneOptions } from "../../../models/shapes/scene.js";
import { relationSeen, scoreOf, scorePictures, sharesOf } from "../../../models/shapes/score.js";
import { shortcut } from "../../../models/shapes/shortcut.js";

function testScenes(n: number, scene: SceneOptions = { combinations: "any" }): Scene[] {
  return Array.from({ length: n }, (_, i) => exampleAt(901, i, { split: "test", scene }).scene);
}

describe("answersOf", () => {
  it("has one answer where all objects agree and none where they do not", () => {
    for (const scene of testScenes(40)) {
      const answer = (question: Question): readonly string[] =>
        answersOf(question, scene).map((i) => questions[question].labels[i]!);
      const [a, b] = scene.objects;
      expect(answer("shape")).toEqual(scene.kind === "relation" ? [] : [a!.shape]);
      expect(answer("count")).toEqual([["one", "two", "three"][scene.objects.length - 1]]);
      expect(answer("background")).toEqual([scene.background]);
      expect(new Set(answer("pairs"))).toEqual(new Set([a!, b ?? a!].map((o) => `${o.colour} ${o.shape}`)));
    }
    expect(pairLabels).toHaveLength(48);
  });
});

const verdict: Verdict = {
  shape: "circle",
  colour: "red",
  background: "gray",
  count: 2,
  size: "small",
  texture: "solid",
  pairs: [],
};

describe("scoreOf", () => {
  const [scene] = testScenes(1, { kinds: ["relation"], relations: ["left of"] });
  const image = renderBatch([scene!]).row(0);

  it("asks only for what the caption names", () => {
    expect(scoreOf(parseCaption("a red shape"), { ...verdict, count: 1 }, image)).toEqual({ count: true, colour: true });
    expect(scoreOf(parseCaption("two striped blue circles on a gray background"), verdict, image)).toEqual({
      count: true,
      background: true,
      shape: true,
      colour: false,
      texture: false,
    });
  });

  it("tells exchanged colours from a missing object", () => {
    const asked = parseCaption("a red circle and a blue star");
    const score = (...pairs: string[]): object => scoreOf(asked, { ...verdict, pairs }, image);
    expect(score("red circle", "blue star")).toEqual({ count: true, bound: true, swapped: false, half: false });
    expect(score("blue circle", "red star")).toEqual({ count: true, bound: false, swapped: true, half: false });
    expect(score("red circle", "red star")).toEqual({ count: true, bound: false, swapped: false, half: true });
    expect(score("red circle", "blue star", "red star")).toMatchObject({ bound: false, half: false });
  });

  it("sees how two objects lie in every render", () => {
    const scenes = testScenes(200, { kinds: ["relation"], combinations: "any" });
    const images = renderBatch(scenes);
    scenes.forEach((s, i) => {
      const [a, b] = s.objects;
      expect(relationSeen(images.row(i), a!.colour, b!.colour, s)).toBe(s.relation);
    });
  });
});

describe("the judge", () => {
  let judge: Classifier;
  let scenes: Scene[];
  let verdicts: Verdict[];
  beforeAll(async () => {
    judge = await openJudge();
    scenes = testScenes(300);
    verdicts = await judgePictures(judge, renderBatch(scenes));
  });
  afterAll(() => judge?.release());

  it("scores renders by their captions: nearly all is as said", async () => {
    const captions = scenes.map((scene, i) => captionOf(scene, new Rng(i)));
    const shares = sharesOf(await scorePictures(judge, renderBatch(scenes), captions));
    for (const aspect of ["shape", "colour", "background", "count", "size", "texture"] as const)
      expect(shares[aspect]!.share, aspect).toBeGreaterThan(0.98);
  });

  it("is right about every single-answer question of test renders", () => {
    for (const question of ["shape", "colour", "background", "count", "size", "texture"] as const) {
      const asked = scenes.flatMap((scene, i) => {
        const [answer] = answersOf(question, scene);
        if (answer === undefined) return [];
        const said = question === "count" ? verdicts[i]!.count - 1 : questions[question].labels.indexOf(verdicts[i]![question]);
        return [said === answer];
      });
      expect(asked.filter(Boolean).length / asked.length, question).toBeGreaterThan(0.99);
    }
  });

  it("names exactly the coloured shapes that are there", () => {
    const right = scenes.filter((scene, i) => {
      const there = answersOf("pairs", scene).map((label) => pairLabels[label]!);
      return there.length === verdicts[i]!.pairs.length && there.every((pair) => verdicts[i]!.pairs.includes(pair));
    });
    expect(right.length / scenes.length).toBeGreaterThan(0.97);
  });
});

describe("the classifier with the shortcut", () => {
  it("loses accuracy where colour no longer predicts shape", async () => {
    await using classifier = await openShortcut();
    const accuracy = async (scene: SceneOptions): Promise<number> => {
      const scenes = testScenes(200, scene);
      const { shape } = await classifier.classify(renderBatch(scenes));
      return scenes.filter((s, i) => s.objects[0]!.shape === shape!.top[i]).length / scenes.length;
    };
    expect(await accuracy({ kinds: ["single"], shortcut })).toBeGreaterThan(0.9);
    expect(await accuracy({ kinds: ["single"] })).toBeLessThan(0.6);
  });
});
