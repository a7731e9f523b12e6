import type { Rng } from "../../lib/tensor/random.js";

export const shapes = ["circle", "square", "triangle", "star", "cross", "ring"] as const;
export const colours = ["red", "orange", "yellow", "green", "cyan", "blue", "purple", "white"] as const;
export const backgrounds = ["black", "gray", "white", "beige", "navy"] as const;
export const sizes = ["small", "large"] as const;
export const textures = ["solid", "striped", "dotted"] as const;
export const relations = ["left of", "right of", "above", "below"] as const;
export const kinds = ["single", "relation", "count"] as const;

export type Shape = (typeof shapes)[number];
export type Colour = (typeof colours)[number];
export type Background = (typeof backgrounds)[number];
export type Size = (typeof sizes)[number];
export type Texture = (typeof textures)[number];
export type Relation = (typeof relations)[number];
export type Kind = (typeof kinds)[number];
export type Rgb = readonly [red: number, green: number, blue: number];

/** Side of every picture, pixels. */
export const canvasSize = 64;

/** One drawn object. Lengths are pixels, x grows right and y grows down; `rgb` is the colour after jitter, 0…255. */
export interface SceneObject {
  readonly shape: Shape;
  readonly colour: Colour;
  readonly rgb: Rgb;
  readonly size: Size;
  readonly texture: Texture;
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  /** Degrees, counter-clockwise; 0 for shapes on which a rotation cannot be seen. */
  readonly rotation: number;
}

/** Everything that is in one picture. `relation` says where `objects[0]` lies as seen from `objects[1]`. */
export interface Scene {
  readonly kind: Kind;
  readonly background: Background;
  readonly backgroundRgb: Rgb;
  readonly objects: readonly SceneObject[];
  readonly relation?: Relation;
}

/** Which two-object combinations may occur: those of the training set, only the held-out ones, or all. */
export type Combinations = "seen" | "heldOut" | "any";

/** A planted shortcut: a shape takes its own colour with probability `strength`, any other colour otherwise. */
export interface Shortcut {
  readonly colourOf: Readonly<Record<Shape, Colour>>;
  readonly strength: number;
}

/** Restrictions on what is drawn; a factor that is left out is free. */
export interface SceneOptions {
  readonly kinds?: readonly Kind[];
  readonly shapes?: readonly Shape[];
  readonly colours?: readonly Colour[];
  readonly backgrounds?: readonly Background[];
  readonly sizes?: readonly Size[];
  readonly textures?: readonly Texture[];
  readonly counts?: readonly (2 | 3)[];
  readonly relations?: readonly Relation[];
  /** Default "seen". */
  readonly combinations?: Combinations;
  readonly shortcut?: Shortcut;
}

// Hues differ in lightness too, so that they stay apart for colour-blind readers.
export const colourRgb: Readonly<Record<Colour, Rgb>> = {
  red: [214, 36, 42],
  orange: [246, 136, 24],
  yellow: [250, 224, 44],
  green: [34, 150, 66],
  cyan: [64, 206, 232],
  blue: [40, 82, 222],
  purple: [148, 54, 184],
  white: [248, 248, 248],
};

export const backgroundRgb: Readonly<Record<Background, Rgb>> = {
  black: [12, 12, 12],
  gray: [124, 124, 124],
  white: [246, 246, 246],
  beige: [222, 204, 164],
  navy: [24, 34, 84],
};

/** Half the side of the box that holds a shape of radius 1 at every rotation it can have. */
export const extentOf: Readonly<Record<Shape, number>> = {
  circle: 1,
  square: 1.12,
  triangle: 1.14,
  star: 1.16,
  cross: 1.12,
  ring: 1.06,
};

const maxRotation: Readonly<Record<Shape, number>> = { circle: 0, square: 20, triangle: 20, star: 20, cross: 20, ring: 0 };
const shadeJitter = 6;
const margin = 1.5;
const gap = 2.5;
// Three larger stars would hardly find room.
const maxCountRadius = 11;

/** Radii in pixels. The two sizes leave a gap, so that "small" and "large" need no comparison. */
export const radiusOf: Readonly<Record<Size, readonly [min: number, max: number]>> = { small: [9, 12], large: [16, 20] };

/** True where a person tells object and background apart at a glance: a CIELAB distance of at least 45. */
export function contrasts(colour: Colour, background: Background): boolean {
  return labDistance(colourRgb[colour], backgroundRgb[background]) >= 45;
}

/**
 * True for the two-object combinations that training never shows: those in which (sum of the two shape indices − sum
 * of the two colour indices) is a multiple of 7. About one in seven is held out, while every object, every pair of
 * shapes and every pair of colours still occurs in training, so only the composition is new.
 */
export function isHeldOutCombination(
  a: Pick<SceneObject, "shape" | "colour">,
  b: Pick<SceneObject, "shape" | "colour">,
): boolean {
  const shapeSum = shapes.indexOf(a.shape) + shapes.indexOf(b.shape);
  const colourSum = colours.indexOf(a.colour) + colours.indexOf(b.colour);
  return (shapeSum - colourSum) % 7 === 0;
}

/**
 * Draws one scene. Half of the scenes hold one object, three tenths two different objects in a relation, one fifth two
 * or three equal objects.
 * @throws RangeError if the options leave nothing to draw
 */
export function sampleScene(rng: Rng, options: SceneOptions = {}): Scene {
  const kind = options.kinds ? pick(rng, options.kinds, "kinds") : kindAt(rng.uniform());
  for (let attempt = 0; attempt < 1000; attempt++) {
    const scene =
      kind === "single" ? sampleSingle(rng, options) : kind === "relation" ? samplePair(rng, options) : sampleCount(rng, options);
    if (scene) return scene;
  }
  throw new RangeError(
    `sampleScene: no ${kind} scene satisfies ${JSON.stringify(options)}; a colour must contrast with the background, ` +
      "small objects are solid, and two related objects differ in shape and colour; allow more values",
  );
}

interface Look {
  readonly shape: Shape;
  readonly colour: Colour;
}

function kindAt(u: number): Kind {
  return u < 0.5 ? "single" : u < 0.8 ? "relation" : "count";
}

function sampleSingle(rng: Rng, options: SceneOptions): Scene | undefined {
  const look = sampleLook(rng, options);
  const ground = sampleBackground(rng, options, [look]);
  if (!ground) return undefined;
  const size = pick(rng, options.sizes ?? sizes, "sizes");
  const texture = options.textures ? pick(rng, options.textures, "textures") : textureAt(rng.uniform(), size);
  if (size === "small" && texture !== "solid") return undefined;
  const radius = between(rng, ...radiusOf[size]);
  const reach = radius * extentOf[look.shape] + margin;
  const x = between(rng, reach, canvasSize - reach);
  const y = between(rng, reach, canvasSize - reach);
  return { kind: "single", ...ground, objects: [{ ...drawObject(rng, look, size, texture, radius), x, y }] };
}

function samplePair(rng: Rng, options: SceneOptions): Scene | undefined {
  const looks = [sampleLook(rng, options), sampleLook(rng, options)] as const;
  const [a, b] = looks;
  if (a.shape === b.shape || a.colour === b.colour) return undefined;
  const wanted = options.combinations ?? "seen";
  if (wanted !== "any" && isHeldOutCombination(a, b) !== (wanted === "heldOut")) return undefined;
  const ground = sampleBackground(rng, options, looks);
  if (!ground) return undefined;
  const relation = pick(rng, options.relations ?? relations, "relations");
  const first = between(rng, ...radiusOf.small);
  const second = between(rng, ...radiusOf.small);
  const reachA = first * extentOf[a.shape];
  const reachB = second * extentOf[b.shape];

  // Along the relation's axis the objects are apart; across it they are nearly level, so one relation is the plain one.
  const free = canvasSize - 2 * margin - 2 * (reachA + reachB);
  const apart = reachA + reachB + between(rng, gap, free);
  const slack = free - (apart - reachA - reachB);
  const across = between(rng, -1, 1) * Math.min(apart * 0.4, canvasSize - 2 * margin - reachA - reachB);
  const leading = relation === "left of" || relation === "above";
  const nearReach = leading ? reachA : reachB;
  const near = margin + nearReach + rng.uniform() * slack;
  const far = near + apart;
  const low = Math.max(margin + reachA, margin + reachB + across);
  const high = Math.min(canvasSize - margin - reachA, canvasSize - margin - reachB + across);
  const levelA = between(rng, low, high);
  const levelB = levelA - across;
  const alongA = leading ? near : far;
  const alongB = leading ? far : near;
  const horizontal = relation === "left of" || relation === "right of";
  const place = (along: number, level: number): { x: number; y: number } =>
    horizontal ? { x: along, y: level } : { x: level, y: along };
  return {
    kind: "relation",
    ...ground,
    relation,
    objects: [
      { ...drawObject(rng, a, "small", "solid", first), ...place(alongA, levelA) },
      { ...drawObject(rng, b, "small", "solid", second), ...place(alongB, levelB) },
    ],
  };
}

function sampleCount(rng: Rng, options: SceneOptions): Scene | undefined {
  const look = sampleLook(rng, options);
  const ground = sampleBackground(rng, options, [look]);
  if (!ground) return undefined;
  const count = options.counts ? pick(rng, options.counts, "counts") : 2 + rng.int(2);
  const model = drawObject(rng, look, "small", "solid", between(rng, radiusOf.small[0], maxCountRadius));
  const reach = model.radius * extentOf[look.shape];
  const centres: { x: number; y: number }[] = [];
  // A failed arrangement is begun anew rather than given up, or three objects would be rarer than two.
  for (let attempt = 1; centres.length < count; attempt++) {
    if (attempt % 20 === 0) centres.length = 0;
    const x = between(rng, reach + margin, canvasSize - reach - margin);
    const y = between(rng, reach + margin, canvasSize - reach - margin);
    if (centres.every((c) => Math.hypot(c.x - x, c.y - y) >= 2 * reach + gap)) centres.push({ x, y });
  }
  return { kind: "count", ...ground, objects: centres.map((centre) => ({ ...model, ...centre })) };
}

function sampleLook(rng: Rng, options: SceneOptions): Look {
  const shape = pick(rng, options.shapes ?? shapes, "shapes");
  const allowed = options.colours ?? colours;
  if (!options.shortcut) return { shape, colour: pick(rng, allowed, "colours") };
  const own = options.shortcut.colourOf[shape];
  if (rng.uniform() < options.shortcut.strength) return { shape, colour: own };
  return {
    shape,
    colour: pick(
      rng,
      allowed.filter((c) => c !== own),
      "colours",
    ),
  };
}

function sampleBackground(
  rng: Rng,
  options: SceneOptions,
  looks: readonly Look[],
): Pick<Scene, "background" | "backgroundRgb"> | undefined {
  const fitting = (options.backgrounds ?? backgrounds).filter((b) => looks.every((look) => contrasts(look.colour, b)));
  if (fitting.length === 0) return undefined;
  const background = fitting[rng.int(fitting.length)]!;
  return { background, backgroundRgb: jitter(rng, backgroundRgb[background], 2) };
}

function drawObject(rng: Rng, look: Look, size: Size, texture: Texture, radius: number): Omit<SceneObject, "x" | "y"> {
  const limit = maxRotation[look.shape];
  const rotation = limit === 0 ? 0 : between(rng, -limit, limit);
  return { ...look, rgb: jitter(rng, colourRgb[look.colour]), size, texture, radius, rotation };
}

// Stripes and dots need room: on a small star they would hide the outline, so small objects are plain.
function textureAt(u: number, size: Size): Texture {
  return size === "small" || u < 0.5 ? "solid" : u < 0.75 ? "striped" : "dotted";
}

function pick<T>(rng: Rng, values: readonly T[], name: string): T {
  if (values.length === 0)
    throw new RangeError(`sampleScene: "${name}" is empty; leave the option out or name at least one value`);
  return values[rng.int(values.length)]!;
}

function between(rng: Rng, low: number, high: number): number {
  return low + (high - low) * rng.uniform();
}

/** A shade lighter or darker, and each channel a little off. */
function jitter(rng: Rng, rgb: Rgb, channelJitter = 6): Rgb {
  const shade = between(rng, -shadeJitter, shadeJitter);
  const shift = (value: number): number =>
    Math.min(255, Math.max(0, Math.round(value + shade + between(rng, -channelJitter, channelJitter))));
  return [shift(rgb[0]), shift(rgb[1]), shift(rgb[2])];
}

function labDistance(a: Rgb, b: Rgb): number {
  const p = lab(a);
  const q = lab(b);
  return Math.hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]);
}

/** CIELAB (D65) of an sRGB colour. */
function lab(rgb: Rgb): [number, number, number] {
  const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4)) as [
    number,
    number,
    number,
  ];
  const f = (t: number): number => (t > 216 / 24389 ? Math.cbrt(t) : (t * 24389) / 27 / 116 + 16 / 116);
  const x = f((0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047);
  const y = f(0.2126729 * r + 0.7151522 * g + 0.072175 * b);
  const z = f((0.0193339 * r + 0.119192 * g + 0.9503041 * b) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}
