import { type Picture, Tensor } from "../../tensor/index.js";

/** Pixels [item, channel, y, x] in [0, 1] as 8-bit pictures. */
export function picturesFromPixels(pixels: Tensor<"float32">): Picture[] {
  const [items = 0, channels = 0, height = 0, width = 0] = pixels.shape;
  const plane = height * width;
  return Array.from({ length: items }, (_, i) => {
    const bytes = new Uint8ClampedArray(plane * channels);
    for (let c = 0; c < channels; c++) {
      const from = (i * channels + c) * plane;
      for (let p = 0; p < plane; p++) bytes[p * channels + c] = pixels.data[from + p]! * 255;
    }
    return { pixels: new Uint8Array(bytes.buffer), width, height, channels: channels as Picture["channels"] };
  });
}

/** Pictures of one size as pixels [item, 3, y, x] in [0, 1]; grey is repeated, transparency dropped. */
export function pixelsFromPictures(pictures: readonly Picture[]): Tensor<"float32"> {
  const [first] = pictures;
  if (first === undefined) throw new RangeError("encodeImage: expected at least one picture, got none");
  const { width, height } = first;
  const plane = width * height;
  const data = new Float32Array(pictures.length * 3 * plane);
  pictures.forEach((picture, i) => {
    if (picture.width !== width || picture.height !== height) {
      throw new RangeError(
        `encodeImage: pictures of one call have one size, got ${width}×${height} and ${picture.width}×${picture.height}`,
      );
    }
    for (let c = 0; c < 3; c++) {
      const from = picture.channels === 1 ? 0 : c;
      for (let p = 0; p < plane; p++) data[(i * 3 + c) * plane + p] = picture.pixels[p * picture.channels + from]! / 255;
    }
  });
  return new Tensor("float32", data, [pictures.length, 3, height, width]);
}
