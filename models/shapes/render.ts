import type { Picture } from "../../lib/tensor/png.js";
import { float32, type Tensor } from "../../lib/tensor/tensor.js";
import { canvasSize, extentOf, type Rgb, type Scene, type SceneObject, type Shape, type Texture } from "./scene.js";

/** Signed distance to a shape of radius 1 around the origin, negative inside; y points up. */
type SignedDistance = (x: number, y: number) => number;

const cos36 = Math.cos(Math.PI / 5);
const sin36 = Math.sin(Math.PI / 5);
const cos72 = Math.cos((2 * Math.PI) / 5);
const sin72 = Math.sin((2 * Math.PI) / 5);

// Proportions give all shapes about the same visual weight, and keep a star's arms and a cross's arms wide at 9 px.
const squareHalfSide = 0.86;
const triangleInradius = 0.57;
const starTip = 1.16;
const starNotch = 0.54;
const crossArm = 1.02;
const crossHalfWidth = 0.34;
const ringMiddle = 0.8;
const ringHalfWidth = 0.24;

// Sharp corners are cut by the circle through them: beyond a corner the distance to its edges is too small, and the
// anti-aliased tip would grow past the shape.
const signedDistances: Readonly<Record<Shape, SignedDistance>> = {
  circle: (x, y) => Math.hypot(x, y) - 1,
  square: (x, y) => Math.max(Math.abs(x), Math.abs(y)) - squareHalfSide,
  triangle: (x, y) =>
    Math.max(
      Math.max(-y, 0.5 * y + 0.8660254037844386 * Math.abs(x)) - triangleInradius,
      Math.hypot(x, y) - 2 * triangleInradius,
    ),
  star: starDistance,
  cross: (x, y) => {
    const long = Math.max(Math.abs(x), Math.abs(y));
    const short = Math.min(Math.abs(x), Math.abs(y));
    return Math.max(long - crossArm, short - crossHalfWidth);
  },
  ring: (x, y) => Math.abs(Math.hypot(x, y) - ringMiddle) - ringHalfWidth,
};

/** Folds the plane into the half-arm between a tip and its neighbouring notch, where the outline is one straight edge. */
function starDistance(x: number, y: number): number {
  let across = Math.abs(x);
  let along = y;
  // Rotate by 72° towards the upright arm until the point lies in its wedge (at most two arms away).
  for (let arm = 0; arm < 2 && along * sin36 < across * cos36; arm++) {
    const turned = across * cos72 - along * sin72;
    along = across * sin72 + along * cos72;
    across = Math.abs(turned);
  }
  const edgeX = starNotch * sin36;
  const edgeY = starNotch * cos36 - starTip;
  const length = Math.hypot(edgeX, edgeY);
  return Math.max((across * -edgeY + (along - starTip) * edgeX) / length, Math.hypot(x, y) - starTip);
}

/** Width of the plain edge around a pattern, pixels. */
const rim = 1.5;

/** How much of the pattern's second colour shows at a point of the object's own frame, 0…1; lengths in pixels. */
const patterns: Readonly<Record<Texture, (x: number, y: number, pitch: number) => number>> = {
  solid: () => 0,
  striped: (x, y, pitch) => {
    const u = (x + y) * Math.SQRT1_2;
    const offset = Math.abs(u - pitch * Math.round(u / pitch));
    return coverage(pitch * 0.24 - offset);
  },
  dotted: (x, y, pitch) =>
    coverage(pitch * 0.27 - Math.hypot(x - pitch * Math.round(x / pitch), y - pitch * Math.round(y / pitch))),
};

/** Share of a pixel inside an edge that lies `depth` pixels away. */
function coverage(depth: number): number {
  return Math.min(1, Math.max(0, depth + 0.5));
}

/**
 * Draws a scene with anti-aliased edges; later objects lie on top.
 * @returns RGB bytes, row by row, 64 · 64 · 3
 */
export function renderScene(scene: Scene): Uint8Array {
  const pixels = new Uint8Array(canvasSize * canvasSize * 3);
  const [r, g, b] = scene.backgroundRgb;
  for (let i = 0; i < pixels.length; i += 3) {
    pixels[i] = r;
    pixels[i + 1] = g;
    pixels[i + 2] = b;
  }
  for (const object of scene.objects) drawObject(pixels, object);
  return pixels;
}

/** A scene as a picture, for figures and for `collect`. */
export function pictureOf(scene: Scene): Picture {
  return { pixels: renderScene(scene), width: canvasSize, height: canvasSize, channels: 3 };
}

/**
 * Where objects are: the share of each cell that they cover, float32 [size, size].
 * @param options `object` is the number of one of them, default all; `size` divides 64, default 64
 */
export function objectMask(
  scene: Scene,
  { object, size = canvasSize }: { readonly object?: number; readonly size?: number } = {},
): Tensor<"float32"> {
  const cell = canvasSize / size;
  if (!Number.isInteger(cell)) throw new RangeError(`objectMask: size must divide ${canvasSize}, got ${size}`);
  const chosen = object === undefined ? scene.objects : scene.objects.slice(object, object + 1);
  const white = chosen.map((o): SceneObject => ({ ...o, rgb: [255, 255, 255], texture: "solid" }));
  const pixels = renderScene({ ...scene, backgroundRgb: [0, 0, 0], objects: white });
  const mask = new Float32Array(size * size);
  for (let p = 0; p < canvasSize * canvasSize; p++) {
    const [y, x] = [Math.floor(p / canvasSize / cell), Math.floor((p % canvasSize) / cell)];
    mask[y * size + x]! += pixels[3 * p]! / 255 / (cell * cell);
  }
  return float32(mask, [size, size]);
}

/** Pictures of all scenes as the networks take them: float32 [scenes, 3, 64, 64] in −1…1. */
export function renderBatch(scenes: readonly Scene[]): Tensor<"float32"> {
  const plane = canvasSize * canvasSize;
  const data = new Float32Array(scenes.length * 3 * plane);
  scenes.forEach((scene, index) => {
    const pixels = renderScene(scene);
    const start = index * 3 * plane;
    for (let i = 0; i < plane; i++) {
      data[start + i] = pixels[3 * i]! / 127.5 - 1;
      data[start + plane + i] = pixels[3 * i + 1]! / 127.5 - 1;
      data[start + 2 * plane + i] = pixels[3 * i + 2]! / 127.5 - 1;
    }
  });
  return float32(data, [scenes.length, 3, canvasSize, canvasSize]);
}

function drawObject(pixels: Uint8Array, object: SceneObject): void {
  const { radius, rgb } = object;
  const distance = signedDistances[object.shape];
  const pattern = patterns[object.texture];
  const patterned = object.texture !== "solid";
  const pitch = Math.max(5.5, radius * 0.42);
  const second = secondColour(rgb);
  const angle = (object.rotation * Math.PI) / 180;
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  const reach = radius * extentOf[object.shape] + 1;
  const left = Math.max(0, Math.floor(object.x - reach));
  const right = Math.min(canvasSize - 1, Math.ceil(object.x + reach));
  const top = Math.max(0, Math.floor(object.y - reach));
  const bottom = Math.min(canvasSize - 1, Math.ceil(object.y + reach));
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) {
      const dx = column + 0.5 - object.x;
      const dy = object.y - row - 0.5;
      const x = cos * dx + sin * dy;
      const y = cos * dy - sin * dx;
      const depth = -radius * distance(x / radius, y / radius);
      const alpha = coverage(depth);
      if (alpha === 0) continue;
      // The rim stays plain, so that a pattern never frays the outline.
      const mix = patterned ? coverage(depth - rim) * pattern(x, y, pitch) : 0;
      const at = 3 * (row * canvasSize + column);
      for (let channel = 0; channel < 3; channel++) {
        const paint = rgb[channel]! + mix * (second[channel]! - rgb[channel]!);
        const under = pixels[at + channel]!;
        pixels[at + channel] = under + alpha * (paint - under) + 0.5;
      }
    }
  }
}

/** A shade for stripes and dots that keeps the hue: darker for light colours, lighter for dark ones. */
function secondColour(rgb: Rgb): Rgb {
  const light = 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2] > 110;
  const [target, share] = light ? [0, 0.4] : [255, 0.5];
  return [rgb[0] + share * (target - rgb[0]), rgb[1] + share * (target - rgb[1]), rgb[2] + share * (target - rgb[2])];
}
