import { describe, expect, test } from "vitest";
import { type Comm, featureBrowser, interact, type NotebookRuntime } from "../../../lib/notebook/index.js";
import { htmlOf, insideNotebook } from "./fake-notebook.js";

describe("interact", () => {
  test("starts in the middle, or where it is told to, and hands values of the controls' types to draw", async () => {
    const drawn: object[] = [];
    const controls = { steps: [5, 50], strength: [-8, 8], share: [0, 1], word: ["a", "b"], on: true } as const;
    const { values, result } = await interact(controls, (v) => drawn.push(v) && v.steps + v.word.length);
    expect(values).toEqual({ steps: 28, strength: 0, share: 0.5, word: "a", on: true });
    expect([drawn, result]).toEqual([[values], 29]);
    const told = await interact(controls, () => 1, { start: { steps: 7, word: "b", on: false, share: 0.52 } });
    expect(String(told)).toBe("steps = 7, strength = 0, share = 0.5, word = b, on = false");
  });

  test("draws what the page asks for, tells its errors, and remembers the last", async () => {
    const opened = new Map<string, (comm: Comm) => void>();
    const sent: object[] = [];
    const shown = await insideNotebook(async (_, runtime) => {
      Object.assign(runtime, {
        comms: { register: (id: string, onOpen: (comm: Comm) => void) => opened.set(id, onOpen) },
      } satisfies Partial<NotebookRuntime>);
      const moved = await interact({ k: [0, 4] }, ({ k }) => {
        if (k > 3) throw new RangeError("too far");
        return `k is ${k}`;
      });
      const comm: Comm = { onMessage: undefined, send: (data) => void sent.push(data) };
      [...opened.values()][0]!(comm);
      await comm.onMessage!({ k: 3 });
      await comm.onMessage!({ k: 4 });
      expect(moved.values).toEqual({ k: 3 });
    });
    expect(shown.map(({ output, update }) => [update, output.data["text/plain"]])).toEqual([
      [false, "controls: k"],
      [false, "'k is 2'"],
      [true, "'k is 3'"],
    ]);
    expect(sent).toEqual([{ done: true }, { error: "RangeError: too far" }]);
  });

  test("names cannot become markup, and every control has a label", async () => {
    const shown = await insideNotebook(() => interact({ '"><img src=x>': [0, 1], plain: ["<b>", "x"] }, () => 1));
    expect(htmlOf(shown[0]!)).not.toMatch(/<img|<b>/);
    expect(htmlOf(shown[0]!).match(/<label/g)).toHaveLength(2);
  });

  test("what leaves no choice, and too many pictures to draw ahead, are refused", async () => {
    await expect(interact({ k: [3, 3] }, () => 1)).rejects.toThrow("k is a slider [min, max] or [min, max, step], got [3, 3]");
    await expect(interact({ k: ["only"] }, () => 1)).rejects.toThrow("at least two words");
    await expect(interact({ a: [0, 100], b: [0, 100], c: [0, 100] }, () => 1, { precompute: 7 })).rejects.toThrow(
      "would draw 343 pictures, over 200",
    );
  });
});

describe("featureBrowser", () => {
  const card = (feature: number) => ({ feature, examples: [], activations: [1, 2] });

  test("draws ahead what it is told to and lists only that", async () => {
    const listed = [{ feature: 7, label: "<red>", firingRate: 0.25 }, { feature: 9 }, { feature: 11 }];
    const [shown] = await insideNotebook(() => featureBrowser(listed, card, { precompute: 2 }));
    expect(htmlOf(shown!).match(/data-feature="\d+"/g)).toEqual(['data-feature="7"', 'data-feature="9"']);
    expect(htmlOf(shown!).match(/data-frame="\d+"/g)).toHaveLength(2);
    expect(htmlOf(shown!)).toContain('&lt;red&gt; <span style="opacity:.65">fires 25 %');
    expect(htmlOf(shown!)).toContain("(2 of 3)");
  });

  test("an empty list is refused", async () => {
    await expect(featureBrowser([], card)).rejects.toThrow("at least one feature");
  });
});
