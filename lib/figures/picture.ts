import { encodePng, type Picture } from "../tensor/png.js";
import { Tensor } from "../tensor/tensor.js";
import { type ColorScale, colorAt } from "./palette.js";

export type { Picture } from "../tensor/png.js";

/** Pictures as they are, or a tensor `[n, channels, height, width]` (float32 in `range`, or uint8 in 0…255). */
export type Pictures = readonly Picture[] | Tensor;

/** @throws RangeError unless the pixels fill the size */
function expectPicture(picture: Picture, where: string): Picture {
  const { pixels, width, height, channels } = picture;
  if (pixels.length !== width * height * channels || pixels.length === 0) {
    throw new RangeError(
      `${where}: a ${width}×${height} picture with ${channels} channels needs ${width * height * channels} bytes, got ${pixels.length}`,
    );
  }
  return picture;
}

/**
 * Pictures from a tensor `[n, c, h, w]` or `[c, h, w]`, c = 1, 3 or 4.
 * @param range the float values shown as black and white; default [0, 1], VAE and U-Net pixels are often [-1, 1]
 * @throws TypeError for a dtype other than float32 and uint8; RangeError for another shape
 */
export function picturesOf(images: Pictures, range: readonly [number, number] = [0, 1]): readonly Picture[] {
  if (!(images instanceof Tensor)) return images.map((p) => expectPicture(p, "picturesOf"));
  const shape = images.shape.length === 3 ? [1, ...images.shape] : images.shape;
  const [n, c, h, w] = shape as [number, number, number, number];
  if (shape.length !== 4 || (c !== 1 && c !== 3 && c !== 4)) {
    throw new RangeError(
      `picturesOf: expected a tensor [n, 1 | 3 | 4, height, width], got ${images}; latents must be decoded first`,
    );
  }
  if (images.dtype !== "float32" && images.dtype !== "uint8") {
    throw new TypeError(`picturesOf: expected float32 or uint8, got ${images}; convert it first`);
  }
  const values = images.data as Float32Array | Uint8Array;
  const [low, high] = images.dtype === "uint8" ? [0, 255] : range;
  const scale = 255 / (high - low);
  const plane = h * w;
  return Array.from({ length: n }, (_, i) => {
    const pixels = new Uint8ClampedArray(plane * c);
    for (let k = 0; k < c; k++) {
      const from = (i * c + k) * plane;
      for (let p = 0; p < plane; p++) pixels[p * c + k] = (values[from + p]! - low) * scale;
    }
    return { pixels: new Uint8Array(pixels.buffer), width: w, height: h, channels: c };
  });
}

/** The picture as a `data:` address that an `img` element or a Plotly image takes. */
export function pngUri(picture: Picture): string {
  const { pixels, width, height, channels } = picture;
  return `data:image/png;base64,${Buffer.from(encodePng(pixels, width, height, channels)).toString("base64")}`;
}

/** Area average (shrinking) or nearest pixel (growing) to exactly `width` × `height`. */
export function resizePicture(picture: Picture, width: number, height: number): Picture {
  const { pixels, channels, width: w, height: h } = picture;
  if (w === width && h === height) return picture;
  const out = new Uint8ClampedArray(width * height * channels);
  for (let y = 0; y < height; y++) {
    const y0 = Math.floor((y * h) / height);
    const y1 = Math.max(y0 + 1, Math.floor(((y + 1) * h) / height));
    for (let x = 0; x < width; x++) {
      const x0 = Math.floor((x * w) / width);
      const x1 = Math.max(x0 + 1, Math.floor(((x + 1) * w) / width));
      for (let k = 0; k < channels; k++) {
        let sum = 0;
        for (let v = y0; v < y1; v++) for (let u = x0; u < x1; u++) sum += pixels[(v * w + u) * channels + k]!;
        out[(y * width + x) * channels + k] = sum / ((y1 - y0) * (x1 - x0));
      }
    }
  }
  return { pixels: new Uint8Array(out.buffer), width, height, channels };
}

/** The picture with at most `side` pixels along its longer side. */
export function shrinkPicture(picture: Picture, side: number): Picture {
  const factor = Math.min(1, side / Math.max(picture.width, picture.height));
  const shrunk = (length: number): number => Math.max(1, Math.round(length * factor));
  return resizePicture(picture, shrunk(picture.width), shrunk(picture.height));
}

/** Many small pictures in one, row by row: one PNG instead of thousands. */
export interface SpriteSheet {
  readonly sheet: Picture;
  readonly columns: number;
  /** Width and height of one sprite in pixels. */
  readonly size: number;
}

/** Lays pictures, each made `size` × `size` RGB, into a sheet that is about square. */
export function spriteSheet(pictures: readonly Picture[], size: number): SpriteSheet {
  const columns = Math.max(1, Math.ceil(Math.sqrt(pictures.length)));
  const rows = Math.max(1, Math.ceil(pictures.length / columns));
  const width = columns * size;
  const pixels = new Uint8Array(width * rows * size * 3);
  pictures.forEach((picture, i) => {
    const { pixels: from, channels } = resizePicture(expectPicture(picture, "spriteSheet"), size, size);
    const left = (i % columns) * size;
    const top = Math.floor(i / columns) * size;
    for (let p = 0; p < size * size; p++) {
      const to = ((top + Math.floor(p / size)) * width + left + (p % size)) * 3;
      for (let k = 0; k < 3; k++) pixels[to + k] = from[p * channels + (channels === 1 ? 0 : k)]!;
    }
  });
  return { sheet: { pixels, width, height: rows * size, channels: 3 }, columns, size };
}

/**
 * A map `[h, w]` as an RGBA picture to lay over another: transparent where the map is at most 0, and stronger
 * in colour and opacity up to `max`.
 * @param max the value drawn strongest; default the map's own maximum
 */
export function heatOverlay(map: Tensor, scale: ColorScale, max?: number): Picture {
  const [height, width] = map.shape as [number, number];
  if (map.shape.length !== 2 || map.dtype !== "float32")
    throw new RangeError(`heatOverlay: expected a float32 tensor [height, width], got ${map}`);
  const values = map.data as Float32Array;
  const top = max ?? values.reduce((a, b) => Math.max(a, b), 0);
  const pixels = new Uint8ClampedArray(width * height * 4);
  for (let p = 0; p < values.length; p++) {
    const t = top > 0 ? Math.min(1, Math.max(0, values[p]! / top)) : 0;
    pixels.set(colorAt(scale, t), 4 * p);
    pixels[4 * p + 3] = 225 * Math.sqrt(t);
  }
  return { pixels: new Uint8Array(pixels.buffer), width, height, channels: 4 };
}
