import { describe, expect, it } from "vitest";
import { Rng } from "../../../lib/tensor/random.js";
import { allPrompts, captionOf, grammarWords, parseCaption, phrase } from "../../../models/shapes/caption.js";
import { isHeldOutCombination, sampleScene } from "../../../models/shapes/scene.js";

describe("parseCaption", () => {
  it("reads what is asked for", () => {
    expect(parseCaption("a large striped blue square")).toEqual({
      kind: "single",
      count: 1,
      objects: [{ shape: "square", colour: "blue", size: "large", texture: "striped" }],
    });
    expect(parseCaption("two yellow crosses on a black background")).toEqual({
      kind: "count",
      count: 2,
      objects: [{ shape: "cross", colour: "yellow" }],
      background: "black",
    });
    expect(parseCaption("A red circle  left of an orange square on a gray background")).toEqual({
      kind: "relation",
      count: 2,
      objects: [
        { shape: "circle", colour: "red" },
        { shape: "square", colour: "orange" },
      ],
      relation: "left of",
      background: "gray",
    });
    expect(parseCaption("a red shape and a star").objects).toEqual([{ colour: "red" }, { shape: "star" }]);
  });

  it.each([
    ["", /expected "a" or "an", got the end \(word 1/],
    ["a red dog", /expected a shape, got "dog" \(word 3/],
    ["two red circle", /expected a plural shape, got "circle"/],
    ["a red circle on a red background", /expected one of black, gray, white, beige, navy, got "red"/],
    ["a red circle today", /expected the end, got "today"/],
    ["a red circle left a star", /expected the end, got "left"/],
  ])("refuses %j and says where", (caption, message) => {
    expect(() => parseCaption(caption)).toThrow(RangeError);
    expect(() => parseCaption(caption)).toThrow(message);
  });
});

describe("captionOf", () => {
  const rng = new Rng(3);
  const examples = Array.from({ length: 3000 }, () => {
    const scene = sampleScene(rng);
    return { scene, caption: captionOf(scene, rng) };
  });

  it("writes sentences that parse back to themselves and are true", () => {
    for (const { scene, caption } of examples) {
      const asked = parseCaption(caption);
      expect(phrase(asked)).toBe(caption);
      expect(asked.count).toBe(scene.objects.length);
      asked.objects.forEach((object, i) => {
        expect(scene.objects[i]).toMatchObject(object);
      });
      if (asked.background) expect(asked.background).toBe(scene.background);
      if (asked.relation) expect(asked.relation).toBe(scene.relation);
    }
  });

  it("leaves shape or colour out of one caption in ten", () => {
    const vague = examples.filter(({ caption }) => parseCaption(caption).objects.some((o) => !o.shape || !o.colour));
    expect(vague.length / examples.length).toBeCloseTo(0.1, 1);
  });

  it("says an before a vowel", () => {
    for (const { caption } of examples) expect(caption).not.toMatch(/\ba (orange)\b|\ban (?!orange)/);
  });

  it("uses grammar words only", () => {
    const known = new Set(grammarWords);
    const used = new Set(examples.flatMap(({ caption }) => caption.split(" ")));
    expect([...used].filter((word) => !known.has(word))).toEqual([]);
    expect(grammarWords.filter((word) => !used.has(word))).toEqual([]);
  });
});

describe("allPrompts", () => {
  it("lists each prompt once", () => {
    expect(allPrompts({ kinds: ["single"] })).toHaveLength(48);
    expect(allPrompts({ kinds: ["count"] })).toHaveLength(96);
    expect(allPrompts({ kinds: ["relation"] })).toHaveLength(6 * 5 * 8 * 7 * 4);
    const all = allPrompts({ backgrounds: true });
    expect(new Set(all).size).toBe(all.length);
    expect(all).toContain("a red circle above a blue square on a gray background");
    expect(all).not.toContain("a white star on a white background");
  });

  it("separates held-out combinations from those seen in training", () => {
    const seen = allPrompts({ kinds: ["relation"], combinations: "seen" });
    const heldOut = allPrompts({ kinds: ["relation"], combinations: "heldOut" });
    expect(seen.length + heldOut.length).toBe(6720);
    for (const prompt of heldOut) {
      const [a, b] = parseCaption(prompt).objects;
      expect(isHeldOutCombination({ shape: a!.shape!, colour: a!.colour! }, { shape: b!.shape!, colour: b!.colour! })).toBe(true);
    }
  });
});
