import { float32, type Rng, type Tensor } from "../../../lib/tensor/index.js";
import { colourRgb, colours, contrasts, type Scene, type SceneObject, shapes } from "../scene.js";

/**
 * Pictures as a generator may deliver them: a little blurred, a little noisy, a little too bright or dark. Half of
 * them stay as they are.
 */
export function disturbPictures(images: Tensor<"float32">, rng: Rng): Tensor<"float32"> {
  const [n, channels, height, width] = images.shape as [number, number, number, number];
  const data = images.data.slice();
  const plane = height * width;
  const noise = rng.normals(2 * plane);
  for (let i = 0; i < n; i++) {
    if (rng.uniform() < 0.5) continue;
    const brightness = 0.06 * (2 * rng.uniform() - 1);
    const sigma = rng.uniform() < 0.5 ? 0 : 0.1 * rng.uniform();
    const blur = rng.uniform() < 0.5 ? 0 : rng.uniform();
    for (let c = 0; c < channels; c++) {
      const picture = data.subarray((i * channels + c) * plane, (i * channels + c + 1) * plane);
      if (blur > 0) smooth(picture, width, blur);
      // One field of noise, begun elsewhere for each channel, is as good as thousands of draws more.
      const shift = rng.int(plane);
      for (let p = 0; p < plane; p++) picture[p]! += brightness + sigma * noise[p + shift]!;
    }
  }
  return float32(data, images.shape);
}

/** Mixes each pixel with its neighbours' binomial mean, rows then columns; strength 1 is the full [1, 2, 1] / 4 kernel. */
function smooth(picture: Float32Array, width: number, strength: number): void {
  const side = 0.25 * strength;
  for (const stride of [1, width]) {
    const before = picture.slice();
    // The outermost pixels have no neighbour on one side and stay as they are.
    for (let y = 1; y < picture.length / width - 1; y++) {
      for (let p = y * width + 1; p < (y + 1) * width - 1; p++) {
        picture[p]! += side * (before[p - stride]! + before[p + stride]! - 2 * before[p]!);
      }
    }
  }
}

/**
 * A scene such as a generator draws by mistake: objects after the first take another shape or colour, possibly the
 * first one's. A judge that never saw two red objects together could not tell that a colour has leaked.
 */
export function disturbScene(scene: Scene, rng: Rng): Scene {
  const [first, ...rest] = scene.objects;
  const fitting = colours.filter((colour) => contrasts(colour, scene.background));
  const disturb = (object: SceneObject): SceneObject => {
    const u = rng.uniform();
    const shape = u < 0.3 ? first!.shape : u < 0.5 ? shapes[rng.int(shapes.length)]! : object.shape;
    const v = rng.uniform();
    const colour = v < 0.3 ? first!.colour : v < 0.6 ? fitting[rng.int(fitting.length)]! : object.colour;
    const rgb = colour === object.colour ? object.rgb : colour === first!.colour ? first!.rgb : colourRgb[colour];
    return { ...object, shape, colour, rgb };
  };
  return { ...scene, objects: [first!, ...rest.map(disturb)] };
}
