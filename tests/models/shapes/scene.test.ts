import { describe, expect, it } from "vitest";
import { Rng } from "../../../lib/tensor/random.js";
import { contains, factors } from "../../../models/shapes/factors.js";
import {
  backgrounds,
  canvasSize,
  colours,
  contrasts,
  extentOf,
  isHeldOutCombination,
  type Scene,
  type SceneOptions,
  type Shape,
  sampleScene,
  shapes,
} from "../../../models/shapes/scene.js";

function scenes(n: number, options: SceneOptions = {}, seed = 0): Scene[] {
  const rng = new Rng(seed);
  return Array.from({ length: n }, () => sampleScene(rng, options));
}

const pairKey = (a: string, b: string): string => [a, b].sort().join("+");

describe("sampleScene", () => {
  it("gives the same scenes for the same seed and others for another", () => {
    expect(scenes(20)).toEqual(scenes(20));
    expect(scenes(20)).not.toEqual(scenes(20, {}, 1));
  });

  it("draws single, relation and count scenes in the proportions 5 : 3 : 2", () => {
    const all = scenes(4000);
    const share = (kind: string): number => all.filter((scene) => scene.kind === kind).length / all.length;
    expect(share("single")).toBeCloseTo(0.5, 1);
    expect(share("relation")).toBeCloseTo(0.3, 1);
    expect(share("count")).toBeCloseTo(0.2, 1);
  });

  it("keeps every object inside the canvas", () => {
    for (const { objects } of scenes(2000)) {
      for (const { x, y, radius, shape } of objects) {
        const reach = radius * extentOf[shape];
        expect(Math.min(x, y, canvasSize - x, canvasSize - y)).toBeGreaterThan(reach);
      }
    }
  });

  it("never lets objects overlap", () => {
    for (const { objects } of scenes(2000, { kinds: ["relation", "count"] })) {
      objects.forEach((a, i) => {
        for (const b of objects.slice(i + 1)) {
          const distance = Math.max(Math.abs(a.x - b.x), Math.abs(a.y - b.y), Math.hypot(a.x - b.x, a.y - b.y));
          expect(distance).toBeGreaterThan(a.radius * extentOf[a.shape] + b.radius * extentOf[b.shape]);
        }
      });
    }
  });

  it("places related objects clearly along the relation's axis", () => {
    for (const { objects, relation } of scenes(1000, { kinds: ["relation"] })) {
      const [a, b] = objects as [Scene["objects"][0], Scene["objects"][0]];
      const dx = b.x - a.x;
      const dy = b.y - a.y;
      const along = { "left of": dx, "right of": -dx, above: dy, below: -dy }[relation!];
      const across = relation === "left of" || relation === "right of" ? dy : dx;
      expect(along).toBeGreaterThan(a.radius + b.radius);
      expect(Math.abs(across)).toBeLessThanOrEqual(0.4 * along + 1e-9);
      expect(a.shape).not.toBe(b.shape);
      expect(a.colour).not.toBe(b.colour);
    }
  });

  it("repeats one object in count scenes", () => {
    const all = scenes(600, { kinds: ["count"] });
    for (const { objects } of all) {
      const [first, ...rest] = objects;
      for (const other of rest) expect({ ...other, x: 0, y: 0 }).toEqual({ ...first, x: 0, y: 0 });
    }
    const threes = all.filter((scene) => scene.objects.length === 3).length;
    expect(threes / all.length).toBeCloseTo(0.5, 1);
  });

  it("leaves a gap between small (9…12 px) and large (16…20 px), and patterns only large objects", () => {
    for (const { objects } of scenes(2000)) {
      for (const { size, radius, texture } of objects) {
        expect(radius).toBeGreaterThanOrEqual(size === "small" ? 9 : 16);
        expect(radius).toBeLessThanOrEqual(size === "small" ? 12 : 20);
        if (texture !== "solid") expect(size).toBe("large");
      }
    }
  });

  it("obeys every restriction", () => {
    const options = {
      kinds: ["single"],
      shapes: ["star"],
      colours: ["blue", "green"],
      backgrounds: ["white"],
      sizes: ["large"],
      textures: ["striped"],
    } as const;
    for (const { background, objects } of scenes(100, options)) {
      expect(background).toBe("white");
      expect(objects).toHaveLength(1);
      expect(objects[0]).toMatchObject({ shape: "star", size: "large", texture: "striped" });
      expect(["blue", "green"]).toContain(objects[0]!.colour);
    }
    for (const scene of scenes(50, { kinds: ["count"], counts: [3] })) expect(scene.objects).toHaveLength(3);
    for (const scene of scenes(50, { kinds: ["relation"], relations: ["above"] })) expect(scene.relation).toBe("above");
  });

  it("says what is impossible", () => {
    const rng = new Rng(0);
    expect(() => sampleScene(rng, { colours: ["white"], backgrounds: ["white"] })).toThrow(/must contrast/);
    expect(() => sampleScene(rng, { kinds: ["single"], sizes: ["small"], textures: ["dotted"] })).toThrow(RangeError);
    expect(() => sampleScene(rng, { shapes: [] })).toThrow(/"shapes" is empty/);
  });

  it("plants a shortcut with the asked strength", () => {
    const colourOf = Object.fromEntries(shapes.map((shape, i) => [shape, colours[i]!])) as Record<
      Shape,
      (typeof colours)[number]
    >;
    const all = scenes(2000, { kinds: ["single"], backgrounds: ["black"], shortcut: { colourOf, strength: 0.9 } });
    const own = all.filter(({ objects }) => objects[0]!.colour === colourOf[objects[0]!.shape]).length;
    expect(own / all.length).toBeGreaterThan(0.88);
    expect(own / all.length).toBeLessThan(0.92);
  });
});

describe("contrasts", () => {
  it("leaves every colour several backgrounds and never its own name", () => {
    for (const colour of colours) {
      expect(backgrounds.filter((background) => contrasts(colour, background)).length).toBeGreaterThanOrEqual(3);
      if ((backgrounds as readonly string[]).includes(colour)) expect(contrasts(colour, colour as "white")).toBe(false);
    }
  });
});

describe("held-out combinations", () => {
  const looks = shapes.flatMap((shape) => colours.map((colour) => ({ shape, colour })));
  const pairs = looks.flatMap((a) =>
    looks.filter((b) => a.shape !== b.shape && a.colour !== b.colour).map((b) => [a, b] as const),
  );

  it("are one seventh of all, whichever object comes first", () => {
    const share = pairs.filter(([a, b]) => isHeldOutCombination(a, b)).length / pairs.length;
    expect(share).toBeCloseTo(1 / 7, 2);
    for (const [a, b] of pairs) expect(isHeldOutCombination(a, b)).toBe(isHeldOutCombination(b, a));
  });

  it("leave every object, pair of shapes and pair of colours in training", () => {
    const seen = pairs.filter(([a, b]) => !isHeldOutCombination(a, b));
    expect(new Set(seen.map(([a]) => a)).size).toBe(48);
    expect(new Set(seen.map(([a, b]) => pairKey(a.shape, b.shape))).size).toBe(15);
    expect(new Set(seen.map(([a, b]) => pairKey(a.colour, b.colour))).size).toBe(28);
  });

  it("never occur in training scenes and always where only they are asked for", () => {
    const held = (scene: Scene): boolean => isHeldOutCombination(scene.objects[0]!, scene.objects[1]!);
    expect(scenes(2000, { kinds: ["relation"] }).some(held)).toBe(false);
    expect(scenes(300, { kinds: ["relation"], combinations: "heldOut" }).every(held)).toBe(true);
    expect(scenes(300, { kinds: ["relation"], combinations: "any" }).some(held)).toBe(true);
  });
});

describe("factors", () => {
  it("lists the complete ground truth of a related pair", () => {
    const scene = scenes(1, { kinds: ["relation"], relations: ["above"] })[0]!;
    const truth = factors(scene);
    expect(truth).toMatchObject({ kind: "relation", count: 2, relation: "above", background: scene.background });
    expect(truth.shape).toBe(scene.objects[0]!.shape);
    expect(truth.other?.colour).toBe(scene.objects[1]!.colour);
    expect(truth.other!.y).toBeGreaterThan(truth.y);
  });

  it("binds properties to objects", () => {
    const base = scenes(1, {
      kinds: ["relation"],
      shapes: ["circle", "square"],
      colours: ["red", "blue"],
      combinations: "any",
    })[0]!;
    const [a, b] = base.objects;
    expect(contains(base, { shape: a!.shape, colour: a!.colour })).toBe(true);
    expect(contains(base, { shape: a!.shape, colour: b!.colour })).toBe(false);
    expect(contains(base, {})).toBe(true);
  });
});
