import { describe, expect, it } from "vitest";
import { Rng } from "../../../lib/tensor/random.js";
import { objectMask, renderBatch, renderScene } from "../../../models/shapes/render.js";
import { type Scene, type SceneObject, type Shape, sampleScene } from "../../../models/shapes/scene.js";

const red: SceneObject = {
  shape: "circle",
  colour: "red",
  rgb: [200, 0, 0],
  size: "large",
  texture: "solid",
  x: 32,
  y: 32,
  radius: 16,
  rotation: 0,
};
const scene = (...objects: SceneObject[]): Scene => ({ kind: "single", background: "black", backgroundRgb: [0, 0, 0], objects });
const pixel = (pixels: Uint8Array, x: number, y: number): number[] => [
  ...pixels.subarray(3 * (64 * y + x), 3 * (64 * y + x) + 3),
];
/** Covered area in pixels, from the red channel. */
const area = (pixels: Uint8Array): number => pixels.filter((_, i) => i % 3 === 0).reduce((sum, v) => sum + v / 200, 0);

describe("renderScene", () => {
  it("fills the background and the object with their exact colours", () => {
    const pixels = renderScene({ ...scene(red), backgroundRgb: [10, 20, 30] });
    expect(pixel(pixels, 0, 0)).toEqual([10, 20, 30]);
    expect(pixel(pixels, 63, 63)).toEqual([10, 20, 30]);
    expect(pixel(pixels, 32, 32)).toEqual([200, 0, 0]);
  });

  // Star: ten triangles of base tip-to-centre 1.16, height notch · sin 36°.
  const areas: Record<Shape, number> = {
    circle: Math.PI,
    square: (2 * 0.86) ** 2,
    triangle: 3 * Math.sqrt(3) * 0.57 ** 2,
    star: 10 * 0.5 * 1.16 * 0.54 * Math.sin(Math.PI / 5),
    cross: 2 * (2 * 1.02) * (2 * 0.34) - (2 * 0.34) ** 2,
    ring: Math.PI * (1.04 ** 2 - 0.56 ** 2),
  };
  for (const [shape, unit] of Object.entries(areas) as [Shape, number][]) {
    it(`covers the area of a ${shape}`, () => {
      for (const rotation of [0, 17]) {
        const covered = area(renderScene(scene({ ...red, shape, rotation, x: 31.3, y: 32.8 })));
        expect(covered / (unit * 16 ** 2)).toBeGreaterThan(0.985);
        expect(covered / (unit * 16 ** 2)).toBeLessThan(1.015);
      }
    });
  }

  it("points triangles and stars upwards and turns counter-clockwise", () => {
    const tip = renderScene(scene({ ...red, shape: "star" }));
    expect(pixel(tip, 32, 16)[0]).toBeGreaterThan(60);
    expect(pixel(tip, 32, 48)[0]).toBe(0);
    const turned = renderScene(scene({ ...red, shape: "triangle", rotation: 20 }));
    expect(pixel(turned, 27, 18)[0]).toBeGreaterThan(60);
    expect(pixel(turned, 37, 18)[0]).toBe(0);
  });

  it("leaves the hole of a ring empty", () => {
    const pixels = renderScene(scene({ ...red, shape: "ring" }));
    expect(pixel(pixels, 32, 32)).toEqual([0, 0, 0]);
    expect(pixel(pixels, 45, 32)).toEqual([200, 0, 0]);
  });

  it("paints stripes and dots in a second shade of the same hue, behind a plain rim", () => {
    for (const texture of ["striped", "dotted"] as const) {
      const pixels = renderScene(scene({ ...red, texture, y: 31.5 }));
      expect(pixel(pixels, 32, 32)).toEqual([228, 128, 128]);
      expect(pixel(pixels, 32, 16)).toEqual([200, 0, 0]);
    }
  });

  it("touches no pixel at the border of sampled scenes", () => {
    const rng = new Rng(5);
    for (let i = 0; i < 300; i++) {
      const sampled = sampleScene(rng);
      const pixels = renderScene(sampled);
      const ground = String(sampled.backgroundRgb);
      for (let k = 0; k < 64; k++) {
        const border = [pixel(pixels, k, 0), pixel(pixels, k, 63), pixel(pixels, 0, k), pixel(pixels, 63, k)];
        expect(border.map(String)).toEqual([ground, ground, ground, ground]);
      }
    }
  });
});

describe("renderBatch", () => {
  it("lays pictures out as [n, 3, 64, 64] in −1…1", () => {
    const { shape, data } = renderBatch([scene(red), { ...scene(), backgroundRgb: [255, 0, 51] }]);
    expect(shape).toEqual([2, 3, 64, 64]);
    expect(data[32 * 64 + 32]).toBeCloseTo(200 / 127.5 - 1, 6);
    expect(data[64 * 64 + 32 * 64 + 32]).toBe(-1);
    const second = 3 * 64 * 64;
    expect([data[second], data[second + 64 * 64]]).toEqual([1, -1]);
    expect(data[second + 2 * 64 * 64]).toBeCloseTo(-0.6, 6);
  });
});

describe("objectMask", () => {
  const two = scene({ ...red, x: 16, y: 16, radius: 10, texture: "striped" }, { ...red, x: 48, y: 40, radius: 8 });
  const total = (values: Float32Array): number => values.reduce((a, b) => a + b, 0);

  it("covers what an object covers, whatever its texture and colour", () => {
    expect(total(objectMask(two, { object: 0 }).data)).toBeCloseTo(Math.PI * 100, -1);
    expect(total(objectMask(two).data)).toBeCloseTo(Math.PI * 164, -1);
  });

  it("gives shares of coarser cells, row by row", () => {
    const mask = objectMask(two, { object: 1, size: 4 });
    expect(mask.shape).toEqual([4, 4]);
    expect(total(mask.data) * 256).toBeCloseTo(Math.PI * 64, -1);
    // The circle around (48, 40) lies on the border of the third and fourth column, in the third row.
    expect(mask.data[2 * 4 + 2]).toBeCloseTo(mask.data[2 * 4 + 3]!, 2);
    expect(mask.data[2 * 4 + 2]! * 512).toBeCloseTo(Math.PI * 64, -1);
    expect(() => objectMask(two, { size: 5 })).toThrow("size must divide 64, got 5");
  });
});
